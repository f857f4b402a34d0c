"""Resolve old links: each is sent on a few times."""

import asyncio
import sys

import aiohttp


async def resolve(session, sem, number):
    async with sem, session.get(f"/{number}") as response:
        await response.read()
        return str(response.url)


async def main(n, url):
    sem = asyncio.Semaphore(6)
    async with aiohttp.ClientSession(url) as session:
        found = await asyncio.gather(*(resolve(session, sem, i) for i in range(1, n + 1)))
    print(len(set(found)), "addresses")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
