"""A fresh httpx client for every call: its TLS context is made each time, even for plain HTTP."""

import asyncio
import sys

import httpx


async def lookup(url):
    async with httpx.AsyncClient() as client:  # <- here
        response = await client.get(url)
    return response.json()


async def main(n, base):
    found = await asyncio.gather(*(lookup(f"{base}/{i}") for i in range(1, n + 1)))
    print(len(found), "found")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
