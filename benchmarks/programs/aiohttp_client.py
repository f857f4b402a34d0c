"""Fetch N URLs at once with aiohttp, as a user would: python aiohttp_client.py N URL CA_FILE asyncio|uvloop."""

import asyncio
import ssl
import sys

import aiohttp


async def main(n: int, url: str, ca_file: str) -> None:
    """Fetch, decode and count."""
    context = ssl.create_default_context(cafile=ca_file)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def one(i: int) -> object:
            async with session.get(url.replace("{i}", str(i))) as answer:
                return await answer.json()

        print(len(await asyncio.gather(*(one(i) for i in range(1, n + 1)))))


if __name__ == "__main__":
    if sys.argv[4] == "uvloop":
        import uvloop

        uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
    else:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
