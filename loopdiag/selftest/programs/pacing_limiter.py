"""A hand-made rate limiter in front of httpx."""

import asyncio
import sys
import time

import httpx
import uvloop


class RateLimiter:
    def __init__(self, per_second):
        self.interval = 1 / per_second
        self.lock = asyncio.Lock()
        self.next_at = 0.0

    async def wait(self):
        async with self.lock:
            delay = self.next_at - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)  # <- here
            self.next_at = time.monotonic() + self.interval


async def ask(client, limiter, number):
    await limiter.wait()
    return (await client.get(f"/{number}")).status_code


async def main():
    limiter = RateLimiter(per_second=60)
    async with httpx.AsyncClient(base_url=sys.argv[2]) as client:
        found = await asyncio.gather(*(ask(client, limiter, i) for i in range(1, int(sys.argv[1]) + 1)))
    print(found.count(200), "fine")


uvloop.run(main())
