"""Between two answers, give the API a rest."""

import asyncio
import sys
import time

import aiohttp


async def fetch(session, url):
    async with session.get(url) as response:
        data = await response.json()
    time.sleep(0.005)  # <- here
    return data


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        data = await asyncio.gather(*(fetch(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(data), "answers")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
