"""Find out the content types of many documents without reading them."""

import asyncio
import sys
from collections import Counter

import httpx


async def content_type(client, url, opened):
    request = client.build_request("GET", url)
    response = await client.send(request, stream=True)  # <- here
    opened.append(response)
    return response.headers["content-type"]


async def close_old(opened):
    while True:
        await asyncio.sleep(0.25)
        while opened:
            await opened.pop().aclose()


async def main(n, base):
    opened = []
    limits = httpx.Limits(max_connections=8)
    async with httpx.AsyncClient(limits=limits, timeout=None) as client:
        closer = asyncio.ensure_future(close_old(opened))
        kinds = await asyncio.gather(*[content_type(client, f"{base}/{i}", opened) for i in range(1, n + 1)])
        closer.cancel()
    print(dict(Counter(kinds)))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
