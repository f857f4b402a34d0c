"""A few slow searches at once."""

import asyncio
import sys

import aiohttp


async def search(session, url):
    async with session.get(url) as response:
        return await response.json()


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        results = await asyncio.gather(*(search(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(results), "results")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
