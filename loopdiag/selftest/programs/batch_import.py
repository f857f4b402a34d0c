"""Import records in batches of eight."""

import asyncio
import sys

import aiohttp

BATCH = 8


async def load(session, number):
    async with session.get(f"/{number}") as response:
        return await response.json()


async def main(n, url):
    records = []
    numbers = list(range(1, n + 1))
    async with aiohttp.ClientSession(url) as session:
        for start in range(0, n, BATCH):
            batch = numbers[start : start + BATCH]
            records += await asyncio.gather(*(load(session, number) for number in batch))  # <- here
    print(len(records), "records")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
