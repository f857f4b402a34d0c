"""force_close=True once cured a "Server disconnected"."""

import asyncio
import ssl
import sys

import aiohttp


async def fetch(session, queue, out):
    while queue:
        async with session.get(f"/{queue.pop()}") as response:
            out.append(await response.json())


async def main(n, base, ca):
    context = ssl.create_default_context(cafile=ca)
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)  # <- here
    out, queue = [], list(range(1, n + 1))
    async with aiohttp.ClientSession(base, connector=connector) as session:
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(fetch(session, queue, out))
    print(len(out))


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:4]))
