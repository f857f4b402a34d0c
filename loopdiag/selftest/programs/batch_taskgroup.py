"""Check many links, a screenful at a time."""

import asyncio
import sys

import httpx
import uvloop


def chunks(items, size):
    for i in range(0, len(items), size):
        yield items[i : i + size]


async def check(client, link):
    response = await client.get(link)
    return link, response.status_code


async def main(n, url):
    links = [f"{url}/{i}" for i in range(1, n + 1)]
    good = 0
    async with httpx.AsyncClient() as client:
        for screen in chunks(links, 6):
            async with asyncio.TaskGroup() as group:  # <- here
                checks = [group.create_task(check(client, link)) for link in screen]
            good += sum(task.result()[1] == 200 for task in checks)
    print(good, "good links")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
