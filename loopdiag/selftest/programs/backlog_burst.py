"""A burst of connections, more than the server's listening queue holds."""

import asyncio
import sys

import aiohttp


async def fire(session, number):
    async with session.get(f"/{number}") as response:
        return await response.read()


async def main(n, url):
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
        found = await asyncio.gather(*(fire(session, i) for i in range(1, n + 1)))
    print(len(found), "shots")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
