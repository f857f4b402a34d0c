"""Fetch shortened addresses, following where they lead."""

import asyncio
import sys

import httpx
import uvloop

LIMITS = httpx.Limits(max_connections=5)


async def main(n, url):
    async with httpx.AsyncClient(base_url=url, follow_redirects=True, limits=LIMITS, timeout=60) as client:

        async def follow(number):
            response = await client.get(f"/{number}")
            return len(response.history)

        hops = await asyncio.gather(*(follow(i) for i in range(1, n + 1)))
    print(sum(hops), "hops")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
