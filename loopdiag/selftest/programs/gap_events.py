"""Read small events; the server writes the header and the body in two pieces."""

import asyncio
import sys

import aiohttp


async def events(session, sem, number):
    async with sem:
        async with session.get(f"/{number}") as response:
            return await response.json()


async def main(n, url):
    sem = asyncio.Semaphore(8)
    async with aiohttp.ClientSession(url) as session:
        found = await asyncio.gather(*(events(session, sem, i) for i in range(1, n + 1)))
    print(len(found), "events")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
