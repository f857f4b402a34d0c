"""Download datasets, all at once."""

import asyncio
import sys
import tempfile

import aiohttp


async def save(session, number, folder):
    async with session.get(f"/{number}") as response:
        data = await response.read()
    return len(data)


async def main(n, url):
    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
            sizes = await asyncio.gather(*(save(session, i, folder) for i in range(1, n + 1)))
    print(sum(sizes), "bytes")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
