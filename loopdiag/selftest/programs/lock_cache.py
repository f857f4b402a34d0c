"""A cache in front of an API; one lock keeps it consistent."""

import asyncio
import sys

import httpx

cache: dict[str, bytes] = {}
cache_lock = asyncio.Lock()


async def cached_get(client: httpx.AsyncClient, path: str) -> bytes:
    await cache_lock.acquire()  # <- here
    try:
        if path not in cache:
            response = await client.get(path)
            cache[path] = response.content
        return cache[path]
    finally:
        cache_lock.release()


async def main() -> None:
    async with httpx.AsyncClient(base_url=sys.argv[2]) as client:
        paths = [f"/{i}" for i in range(1, int(sys.argv[1]) + 1)]
        found = await asyncio.gather(*(cached_get(client, path) for path in paths))
    print(len(found), "documents,", len(cache), "cached")


asyncio.run(main())
