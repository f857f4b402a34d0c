"""One session for each request: simple, and each pays for a handshake."""

import asyncio
import ssl
import sys

import aiohttp

TLS = ssl.create_default_context(cafile=sys.argv[3])


async def fetch(sem, url):
    async with sem:
        async with aiohttp.ClientSession() as session:  # <- here
            async with session.get(url, ssl=TLS) as response:
                return await response.json()


async def main(n, base):
    sem = asyncio.Semaphore(10)
    found = await asyncio.gather(*(fetch(sem, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(found))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
