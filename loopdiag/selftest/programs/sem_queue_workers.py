"""The classic: a queue of addresses and a handful of workers."""

import asyncio
import sys

import aiohttp

WORKERS = 6


async def worker(queue, session, results):
    while True:
        url = await queue.get()
        try:
            async with session.get(url) as response:
                results.append(await response.read())
        finally:
            queue.task_done()


async def main(n, base):
    queue, results = asyncio.Queue(), []
    for i in range(1, n + 1):
        queue.put_nowait(f"{base}/{i}")  # <- here
    async with aiohttp.ClientSession() as session:
        workers = [asyncio.create_task(worker(queue, session, results)) for _ in range(WORKERS)]  # <- here
        await queue.join()  # <- here
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    print("fetched", len(results))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2].rstrip("/")))
