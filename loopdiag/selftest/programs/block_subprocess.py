"""Hash every download with the system's own tool."""

import asyncio
import subprocess
import sys

import aiohttp
import uvloop


def checksum(data):
    done = subprocess.run(["sha256sum"], input=data, stdout=subprocess.PIPE, check=True)  # <- here
    return done.stdout.split()[0].decode()


async def download(session, url):
    async with session.get(url) as response:
        return checksum(await response.read())


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        sums = await asyncio.gather(*[download(session, f"{base}/{i}") for i in range(1, n + 1)])
    print(len(set(sums)), "different files")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
