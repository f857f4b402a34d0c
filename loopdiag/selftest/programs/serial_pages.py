"""Follow a paginated listing to its end."""

import sys

import httpx
import uvloop


async def pages(client, count):
    page = 1
    while page <= count:
        response = await client.get(f"/{page}")  # <- here
        response.raise_for_status()
        yield response.json()
        page += 1


async def main(count, url):
    entries = 0
    async with httpx.AsyncClient(base_url=url) as client:
        async for page in pages(client, count):  # <- here
            entries += len(page)
    print(entries, "entries")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
