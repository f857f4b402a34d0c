"""The internal server has an RSA-4096 key."""

import asyncio
import ssl
import sys

import aiohttp


async def main(n, url, ca):
    connector = aiohttp.TCPConnector(limit=None, ssl=ssl.create_default_context(cafile=ca))
    async with aiohttp.ClientSession(url, connector=connector) as session:

        async def get(number):
            async with session.get(f"/{number}") as response:
                return await response.json()

        found = await asyncio.gather(*map(get, range(1, n + 1)))
    print(len(found))


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
