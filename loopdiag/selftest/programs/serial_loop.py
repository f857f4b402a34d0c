"""Read all chapters of a book."""

import asyncio
import sys

import aiohttp


async def main(n, base):
    chapters = []
    async with aiohttp.ClientSession() as session:
        for number in range(1, n + 1):
            async with session.get(f"{base}/{number}") as response:  # <- here
                chapters.append(await response.text())
    print(len(chapters), "chapters")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
