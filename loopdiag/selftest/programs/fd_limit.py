"""The service unit allows a few open files only; what fails is tried again a little later."""

import asyncio
import resource
import sys

import aiohttp

resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


async def fetch(session, number):
    while True:
        try:
            async with session.get(f"/{number}") as response:
                return await response.json()
        except OSError:
            await asyncio.sleep(0.3)


async def main(n, url):
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
        found = await asyncio.gather(*(fetch(session, i) for i in range(1, n + 1)))
    print(len(found))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
