"""A program that fetches N URLs at once, several times over, and prints its CPU a request for each; `overhead.py` runs it with and without instruments."""

import asyncio
import json
import os
import ssl
import sys
import time
from typing import Any


async def fetch_all(client: str, url: str, n: int, context: ssl.SSLContext) -> float:
    """CPU microseconds a request of one burst, on a client of its own."""
    marks = sys.modules.get("loopdiag_instruments.marks")
    if client == "aiohttp":
        import aiohttp

        session: Any = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

        async def fetch(number: int) -> None:
            async with session.get(url.replace("{i}", str(number))) as response:
                await response.read()
    else:
        import httpx

        session = httpx.AsyncClient(verify=context, timeout=60)

        async def fetch(number: int) -> None:
            await session.get(url.replace("{i}", str(number)))

    async def marked(number: int, created_ns: int) -> None:
        assert marks is not None
        marks.begin(number, created_ns, created_ns)
        await fetch(number)
        marks.end()

    begun = time.process_time_ns()
    await asyncio.gather(*[fetch(i) if marks is None else marked(i, time.perf_counter_ns()) for i in range(1, n + 1)])
    spent = time.process_time_ns() - begun
    await (session.close() if client == "aiohttp" else session.aclose())
    return spent / n / 1e3


async def main(client: str, url: str, ca_file: str, n: int, bursts: int) -> None:
    """The first burst warms up, and is not printed."""
    context = ssl.create_default_context(cafile=ca_file)
    print(json.dumps([await fetch_all(client, url, n, context) for _ in range(bursts + 1)][1:]))


if __name__ == "__main__":
    client, loop, url, ca_file, n, bursts, core = sys.argv[1:]
    if core != "any":
        os.sched_setaffinity(0, {int(core)})
    work = main(client, url, ca_file, int(n), int(bursts))
    if loop == "uvloop":
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)
