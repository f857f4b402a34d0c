"""The resolver of this network is slow; and every connection asks it again."""

import asyncio
import socket
import sys
import time

import aiohttp

system_getaddrinfo = socket.getaddrinfo


def office_getaddrinfo(*args, **kwargs):
    time.sleep(0.06)  # the office's resolver is far away
    return system_getaddrinfo(*args, **kwargs)


socket.getaddrinfo = office_getaddrinfo


async def fetch(session, url):
    async with session.get(url) as response:
        return await response.json()


async def main(n, base):
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver(), use_dns_cache=False, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        found = await asyncio.gather(*(fetch(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(found))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
