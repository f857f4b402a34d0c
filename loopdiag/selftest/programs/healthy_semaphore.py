"""A semaphore that is never short of places."""

import asyncio
import sys

import aiohttp
import uvloop

PLACES = asyncio.Semaphore(500)


async def fetch(session, path):
    async with PLACES, session.get(path) as response:
        return await response.json()


async def main(n, url):
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=500)) as session:
        found = await asyncio.gather(*(fetch(session, f"/{i}") for i in range(1, n + 1)))
    print(len(found))


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
