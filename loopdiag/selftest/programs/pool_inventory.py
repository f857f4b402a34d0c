"""Fetch every item of an inventory with one aiohttp session."""

import asyncio
import sys

import aiohttp


async def fetch(session, url):
    async with session.get(url) as response:
        response.raise_for_status()
        return await response.json()


async def main(n, base):
    connector = aiohttp.TCPConnector(limit=5)  # <- here
    async with aiohttp.ClientSession(connector=connector) as session:
        items = await asyncio.gather(*(fetch(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(f"{len(items)} items")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
