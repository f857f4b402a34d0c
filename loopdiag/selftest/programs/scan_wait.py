"""Take answers as they come, one by one, by asyncio.wait."""

import asyncio
import sys

import aiohttp


async def fetch(session, url):
    async with session.get(url) as response:
        return await response.read()


async def main(n, base):
    total = 0
    async with aiohttp.ClientSession() as session:
        tasks = {asyncio.create_task(fetch(session, f"{base}/{i}")) for i in range(1, n + 1)}
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)  # <- here
            first = done.pop()
            tasks.remove(first)
            total += len(first.result())
    print(total, "bytes")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
