"""Ask a service that works on four requests at a time."""

import asyncio
import sys

import aiohttp


async def ask(session, number):
    async with session.get(f"/{number}") as response:
        return await response.json()


async def main(n, url):
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        answers = await asyncio.gather(*(ask(session, i) for i in range(1, n + 1)))
    print(len(answers), "answers")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
