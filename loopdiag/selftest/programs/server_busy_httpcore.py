"""Charts drawn by the server, fetched with httpcore alone."""

import asyncio
import sys

import httpcore


async def chart(pool, url):
    response = await pool.request("GET", url)
    return len(response.content)


async def main(n, base):
    async with httpcore.AsyncConnectionPool(max_connections=200) as pool:
        sizes = await asyncio.gather(*(chart(pool, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(sizes), "charts")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
