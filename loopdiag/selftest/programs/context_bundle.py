"""Trust the public CAs and our own; built anew for each request."""

import asyncio
import ssl
import sys

import aiohttp
import certifi
import uvloop


def trusting(ca):
    context = ssl.create_default_context(cafile=certifi.where())  # <- here
    context.load_verify_locations(ca)
    return context


async def fetch(session, number, ca):
    async with session.get(f"/{number}", ssl=trusting(ca)) as response:
        return await response.json()


async def main(n, url, ca):
    async with aiohttp.ClientSession(url) as session:
        found = await asyncio.gather(*(fetch(session, i, ca) for i in range(1, n + 1)))
    print(len(found))


uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
