"""urllib3's pool manager, shared by the loop's default executor."""

import asyncio
import sys

import urllib3

http = urllib3.PoolManager(maxsize=50)


async def size_of(url):
    loop = asyncio.get_event_loop()
    response = await loop.run_in_executor(None, http.request, "GET", url)  # <- here
    return len(response.data)


async def main():
    n, base = int(sys.argv[1]), sys.argv[2]
    sizes = await asyncio.gather(*(size_of(f"{base}/{i}") for i in range(1, n + 1)))
    print(f"{sum(sizes)} bytes in {len(sizes)} answers")


asyncio.run(main())
