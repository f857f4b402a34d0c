"""Write each line to the journal from a thread."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import uvloop

journal = []
pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="journal")


async def fetch(client, path):
    loop = asyncio.get_running_loop()
    response = await client.get(path)
    for line in response.text.split(",")[:150]:
        await loop.run_in_executor(pool, journal.append, line)  # <- here


async def main(n, url):
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await asyncio.gather(*(fetch(client, f"/{i}") for i in range(1, n + 1)))
    print(len(journal), "lines")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
