"""Thousands of small answers, nothing wasted."""

import asyncio
import sys

import aiohttp
import uvloop


async def get(session, path):
    async with session.get(path) as response:
        return await response.read()


async def main(n, url):
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
        bodies = await asyncio.gather(*(get(session, f"/{i}") for i in range(1, n + 1)))
    print(sum(map(len, bodies)), "bytes")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
