"""Reports that the server has to compute."""

import asyncio
import sys

import aiohttp
import uvloop


async def report(session, number):
    async with session.get(f"/{number}") as response:
        return len(await response.text())


async def main(n, url):
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
        sizes = await asyncio.gather(*(report(session, i) for i in range(1, n + 1)))
    print(sum(sizes))


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
