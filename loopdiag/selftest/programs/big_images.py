"""Thumbnails of a gallery."""

import asyncio
import sys

import httpx
import uvloop


async def thumbnail(client, number):
    parts = []
    async with client.stream("GET", f"/{number}") as response:
        async for part in response.aiter_bytes():
            parts.append(part)
    return b"".join(parts)


async def main(n, url):
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        images = await asyncio.gather(*[thumbnail(client, i) for i in range(1, n + 1)])
    print(sum(map(len, images)), "bytes")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
