"""Keep at most four requests running; look for a free slot every 100 ms."""

import asyncio
import sys

import httpx
import uvloop

MAX_RUNNING = 4


async def fetch(client, path, results):
    response = await client.get(path)
    results.append(response.json())


async def main(n, url):
    results, running = [], set()
    async with httpx.AsyncClient(base_url=url) as client:
        for i in range(1, n + 1):
            while len(running) >= MAX_RUNNING:
                await asyncio.sleep(0.1)  # <- here
                running = {task for task in running if not task.done()}
            running.add(asyncio.create_task(fetch(client, f"/{i}", results)))
        await asyncio.gather(*running)
    print(len(results), "results")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
