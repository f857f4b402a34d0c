"""Forecasts for a few cities, with httpx and a shared client."""

import asyncio
import sys

import httpx


async def forecast(client, city):
    response = await client.get(f"/{city}")
    response.raise_for_status()
    return response.json()


async def main(n, url):
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        found = await asyncio.gather(*(forecast(client, city) for city in range(1, n + 1)))
    print(len(found), "forecasts")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
