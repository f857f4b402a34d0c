"""Honour 429 and Retry-After."""

import asyncio
import sys

import aiohttp


async def fetch(session, number):
    while True:
        async with session.get(f"/{number}") as response:
            if response.status != 429:
                return await response.json()
            delay = float(response.headers.get("retry-after", 1))
        await asyncio.sleep(delay)


async def main(n, url):
    async with aiohttp.ClientSession(url) as session:
        found = await asyncio.gather(*(fetch(session, i) for i in range(1, n + 1)))
    print(len(found), "fetched")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
