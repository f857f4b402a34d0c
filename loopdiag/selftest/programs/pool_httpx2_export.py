"""Export all records through an HTTP API."""

import asyncio
import json
import sys

import httpx2

LIMITS = httpx2.Limits(max_connections=4)


async def record(client, number):
    answer = await client.get(f"/{number}")
    return answer.json()


async def export(n, url):
    async with httpx2.AsyncClient(base_url=url, limits=LIMITS, timeout=None) as client:  # <- here
        rows = await asyncio.gather(*(record(client, i) for i in range(1, n + 1)))
    return sum(len(json.dumps(row)) for row in rows)


if __name__ == "__main__":
    print(asyncio.run(export(int(sys.argv[1]), sys.argv[2])), "bytes")
