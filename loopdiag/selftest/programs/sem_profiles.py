"""Fetch user profiles; the client class keeps the load down by itself."""

import asyncio
import sys

import httpx
import uvloop


class ProfileFetcher:
    def __init__(self, url, max_parallel=6):
        self.client = httpx.AsyncClient(base_url=url, timeout=30.0)
        self._gate = asyncio.BoundedSemaphore(max_parallel)  # <- here

    async def profile(self, user_id):
        async with self._gate:  # <- here
            r = await self.client.get(f"/{user_id}")
        return r.json()

    async def all(self, user_ids):
        return await asyncio.gather(*map(self.profile, user_ids))


async def main():
    fetcher = ProfileFetcher(sys.argv[2])
    profiles = await fetcher.all(range(1, int(sys.argv[1]) + 1))
    await fetcher.client.aclose()
    print(len(profiles), "profiles")


uvloop.run(main())
