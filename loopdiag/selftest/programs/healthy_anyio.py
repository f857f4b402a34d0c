"""Structured concurrency and one client."""

import sys

import anyio
import httpx2


async def main(n, url):
    names = {}

    async def load(number):
        names[number] = (await client.get(f"/{number}")).json()

    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        async with anyio.create_task_group() as group:
            for number in range(1, n + 1):
                group.start_soon(load, number)
    print(len(names), "names")


anyio.run(main, int(sys.argv[1]), sys.argv[2])
