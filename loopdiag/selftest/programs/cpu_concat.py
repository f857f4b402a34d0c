"""Download in small chunks, with progress."""

import asyncio
import sys

import aiohttp


async def download(session, url):
    body = b""
    async with session.get(url) as response:
        async for chunk in response.content.iter_chunked(512):
            body = bytes(body + chunk)  # <- here
    return body


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        files = await asyncio.gather(*(download(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(sum(map(len, files)), "bytes")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
