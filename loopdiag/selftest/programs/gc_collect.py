"""Memory was tight once, so every answer is followed by a collection."""

import asyncio
import gc
import sys

import aiohttp
import uvloop


async def fetch(session, url):
    async with session.get(url) as response:
        rows = (await response.text()).split(",")
    gc.collect()  # <- here
    return len(rows)


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        rows = await asyncio.gather(*(fetch(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(sum(rows), "rows")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
