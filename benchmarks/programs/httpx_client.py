"""Fetch N URLs at once with httpx, as a user would: python httpx_client.py N URL CA_FILE asyncio|uvloop."""

import asyncio
import ssl
import sys

import httpx


async def main(n: int, url: str, ca_file: str) -> None:
    """Fetch, decode and count."""
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=ca_file), timeout=60) as client:

        async def one(i: int) -> object:
            answer = await client.get(url.replace("{i}", str(i)))
            return answer.json()

        print(len(await asyncio.gather(*(one(i) for i in range(1, n + 1)))))


if __name__ == "__main__":
    if sys.argv[4] == "uvloop":
        import uvloop

        uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
    else:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
