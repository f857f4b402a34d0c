"""A header copied from an old script: Connection: close."""

import asyncio
import ssl
import sys

import aiohttp
import uvloop

HEADERS = {"Connection": "close", "User-Agent": "status/1.0"}  # <- here


async def status(session, sem, url):
    async with sem, session.get(url) as response:
        await response.read()
        return response.status


async def main(n, base, ca):
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca))
    sem = asyncio.Semaphore(12)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:  # <- here
        found = await asyncio.gather(*(status(session, sem, f"{base}/{i}") for i in range(1, n + 1)))
    print(found.count(200), "are up")


uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
