"""Print answers in the order in which they come."""

import asyncio
import sys

import aiohttp


async def fetch(session, number):
    async with asyncio.timeout(20), session.get(f"/{number}") as response:
        await response.read()
        return number


async def main(n, url):
    order = []
    async with aiohttp.ClientSession(url) as session:
        for next_one in asyncio.as_completed([fetch(session, i) for i in range(1, n + 1)]):
            order.append(await next_one)
    print(sorted(order) == list(range(1, n + 1)))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
