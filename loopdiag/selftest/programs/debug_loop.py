"""The loop's debug mode, switched on from inside."""

import asyncio
import logging
import sys

import aiohttp
import uvloop

logging.getLogger("asyncio").setLevel(logging.ERROR)


async def status(session, number):
    async with session.get(f"/{number}") as response:
        await response.read()
        return response.status


async def main(n, url):
    asyncio.get_running_loop().set_debug(True)  # <- here
    async with aiohttp.ClientSession(url) as session:
        found = await asyncio.gather(*(status(session, i) for i in range(1, n + 1)))
    print(found.count(200), "of", n)


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
