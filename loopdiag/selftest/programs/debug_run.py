"""Somebody left debug=True in."""

import asyncio
import sys

import aiohttp


async def fetch(session, url):
    async with session.get(url) as response:
        return await response.json()


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        answers = await asyncio.gather(*(fetch(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(answers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]), debug=True)  # <- here
