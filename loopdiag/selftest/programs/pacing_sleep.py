"""Start one request every 10 ms, so that nobody complains."""

import asyncio
import sys

import aiohttp


async def fetch(session, url):
    async with session.get(url) as response:
        return await response.json()


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        tasks = []
        for i in range(1, n + 1):
            tasks.append(asyncio.create_task(fetch(session, f"{base}/{i}")))
            await asyncio.sleep(0.01)  # <- here
        results = await asyncio.gather(*tasks)
    print(len(results))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
