"""Looks concurrent, with its tasks, and is not: each is awaited where it is made."""

import asyncio
import sys

import httpx2


async def price(client, article):
    response = await client.get(f"/{article}")
    return article, response.json()


async def main(n, url):
    prices = {}
    async with httpx2.AsyncClient(base_url=url) as client:
        for article in range(1, n + 1):
            task = asyncio.create_task(price(client, article))
            key, value = await task  # <- here
            prices[key] = value
    print(len(prices), "prices")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
