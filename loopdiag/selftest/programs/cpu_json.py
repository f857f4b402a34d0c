"""Load large documents and keep one field of each."""

import asyncio
import json
import sys

import aiohttp


async def field(session, url):
    async with session.get(url) as response:
        body = await response.read()
    document = json.loads(body)  # <- here
    return next(iter(document))


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        fields = await asyncio.gather(*(field(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(fields), "fields")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
