"""Ask one mirror for the state of all packages; be kind to it."""

import asyncio
import sys

import aiohttp
import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


async def state(session: aiohttp.ClientSession, package: int) -> int:
    async with session.get(f"/{package}") as response:
        await response.read()
        return response.status


async def main() -> None:
    n, url = int(sys.argv[1]), sys.argv[2]
    async with aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=500, limit_per_host=8),  # <- here
    ) as session:
        async with asyncio.TaskGroup() as group:
            states = [group.create_task(state(session, i)) for i in range(1, n + 1)]
    print(sum(task.result() == 200 for task in states), "packages are there")


asyncio.run(main())
