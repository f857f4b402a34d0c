"""A small crawler that asks for ten pages at a time."""

import asyncio
import sys

import aiohttp

CONCURRENCY = 5


async def crawl(sem, session, url):
    async with sem:  # <- here
        async with session.get(url) as response:
            text = await response.text()
    return len(text)


async def main(pages, base):
    sem = asyncio.Semaphore(CONCURRENCY)  # <- here
    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(crawl(sem, session, f"{base}/{page}")) for page in range(1, pages + 1)]
        sizes = await asyncio.gather(*tasks)
    print(f"{len(sizes)} pages, {sum(sizes)} characters")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
