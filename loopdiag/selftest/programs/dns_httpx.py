"""Wait for a slow name server in the loop's threads, once for each connection."""

import asyncio
import socket
import sys
import time

import httpx

resolve = socket.getaddrinfo


def through_vpn(host, port, *rest, **named):
    time.sleep(0.08)  # the name server is at the other end of a VPN
    return resolve(host, port, *rest, **named)


async def main():
    socket.getaddrinfo = through_vpn
    numbers = range(1, int(sys.argv[1]) + 1)
    async with httpx.AsyncClient(base_url=sys.argv[2], timeout=60) as client:
        answers = await asyncio.gather(*(client.get(f"/{i}") for i in numbers))
    print(len(answers), "answers")


asyncio.run(main())
