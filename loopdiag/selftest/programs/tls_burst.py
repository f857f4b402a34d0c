"""All at once over TLS, no limit: every request needs a connection of its own."""

import asyncio
import ssl
import sys

import aiohttp
import uvloop


async def ping(session, number):
    async with session.get(f"/{number}") as response:
        return response.status


async def main(n, url, ca):
    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca))
    async with aiohttp.ClientSession(url, connector=connector) as session:
        found = await asyncio.gather(*(ping(session, i) for i in range(1, n + 1)))
    print(found.count(200))


uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
