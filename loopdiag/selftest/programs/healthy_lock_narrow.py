"""A lock around the counter alone, and tasks in a group."""

import asyncio
import sys

import aiohttp


class Progress:
    def __init__(self):
        self.lock, self.done = asyncio.Lock(), 0

    async def step(self):
        async with self.lock:
            self.done += 1


async def fetch(session, number, progress):
    async with session.get(f"/{number}") as response:
        await response.json()
    await progress.step()


async def main(n, url):
    progress = Progress()
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        for number in range(1, n + 1):
            group.create_task(fetch(session, number, progress))
    print(progress.done, "done")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
