"""Start a download, and look now and then whether it is there."""

import asyncio
import sys

import aiohttp


async def download(session, url):
    async with session.get(url) as response:
        return await response.read()


async def main(n, base):
    total = 0
    async with aiohttp.ClientSession() as session:
        for i in range(1, n + 1):
            task = asyncio.create_task(download(session, f"{base}/{i}"))
            while not task.done():
                await asyncio.sleep(0.05)  # <- here
            total += len(task.result())
    print(total, "bytes")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
