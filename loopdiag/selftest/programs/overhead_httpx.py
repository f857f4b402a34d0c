"""Everything at once, with httpx as it comes."""

import asyncio
import sys

import httpx


async def main(n, base):
    async with httpx.AsyncClient(timeout=60) as client:
        responses = await asyncio.gather(*(client.get(f"{base}/{i}") for i in range(1, n + 1)))
    print(sum(r.status_code == 200 for r in responses))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
