"""Normalise each field in a thread, because threads are good."""

import asyncio
import sys

import aiohttp


def normalise(value):
    return value.strip().lower()


async def fetch(session, url):
    async with session.get(url) as response:
        text = await response.text()
    return [await asyncio.to_thread(normalise, value) for value in text.split(",")[:60]]  # <- here


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        rows = await asyncio.gather(*(fetch(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(sum(map(len, rows)), "fields")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
