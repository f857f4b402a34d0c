"""Score many texts with a model server."""

import asyncio
import sys

import httpx2
import uvloop


async def score(client, number):
    response = await client.get(f"/{number}")
    return response.json()


async def main(n, url):
    async with httpx2.AsyncClient(base_url=url, timeout=120) as client:
        scores = await asyncio.gather(*(score(client, i) for i in range(1, n + 1)))
    print(len(scores), "scores")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
