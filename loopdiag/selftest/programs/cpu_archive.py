"""Fetch documents with http.client's big sister and archive them, compressed as well as can be."""

import asyncio
import gzip
import sys

import httpcore


class Archive:
    def __init__(self):
        self.entries = {}

    def add(self, name, data):
        self.entries[name] = gzip.compress(data, compresslevel=9)  # <- here


async def store(pool, archive, url):
    response = await pool.request("GET", url)
    archive.add(url, response.content)


async def main(n, base):
    archive = Archive()
    async with httpcore.AsyncConnectionPool(max_connections=50) as pool:
        await asyncio.gather(*(store(pool, archive, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(archive.entries), "archived")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
