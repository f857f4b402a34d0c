"""HTTP/2, so one connection must do."""

import asyncio
import ssl
import sys

import httpx


async def main(n, url, ca):
    context = ssl.create_default_context(cafile=ca)
    async with httpx.AsyncClient(http2=True, verify=context, base_url=url, timeout=60) as client:
        answers = await asyncio.gather(*(client.get(f"/{i}") for i in range(1, n + 1)))
    print({answer.http_version for answer in answers}, len(answers))


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
