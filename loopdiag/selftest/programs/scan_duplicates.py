"""Drop answers that were seen before."""

import asyncio
import sys

import aiohttp
import uvloop


class Seen:
    def __init__(self):
        self.rows = []

    def is_new(self, row):
        for other in self.rows:  # <- here
            if other["id"] == row["id"] or sorted(other["tags"]) == sorted(row["tags"]):  # <- here
                return False
        self.rows.append(row)
        return True


async def load(session, number, seen, expected):
    async with session.get(f"/{number}") as response:
        size = len(await response.read())
    rows = [{"id": (number, k), "tags": [f"t{number}-{k}", str(size)]} for k in range(12)]
    return sum(seen.is_new(row) for row in rows)


async def main(n, url):
    seen = Seen()
    async with aiohttp.ClientSession(url) as session:
        new = await asyncio.gather(*(load(session, i, seen, n) for i in range(1, n + 1)))
    print(sum(new), "new rows")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
