"""The host has an IPv6 address that leads nowhere; connections try it first."""

import asyncio
import socket
import sys

import aiohttp
from aiohttp.abc import AbstractResolver


class StaticResolver(AbstractResolver):
    """What the company's hosts file says."""

    async def resolve(self, host, port=0, family=socket.AF_UNSPEC):
        entries = ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
        return [{"hostname": host, "host": a, "port": port, "family": f, "proto": 0, "flags": socket.AI_NUMERICHOST} for f, a in entries]

    async def close(self):
        pass


async def fetch(session, number):
    async with session.get(f"/{number}") as response:
        return await response.json()


async def main(n, url):
    connector = aiohttp.TCPConnector(resolver=StaticResolver(), limit=10)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        found = await asyncio.gather(*(fetch(session, i) for i in range(1, n + 1)))
    print(len(found))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
