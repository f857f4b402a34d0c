"""Look at the headers of many large files; only the few that changed would be downloaded."""

import asyncio
import sys

import aiohttp


class Watcher:
    def __init__(self, session):
        self.session = session
        self.seen = {}

    async def check(self, number):
        response = await self.session.get(f"/{number}")  # <- here
        self.seen[number] = response
        return response.headers["content-length"]

    async def tidy(self):
        while True:
            await asyncio.sleep(0.2)
            for number in list(self.seen):
                self.seen.pop(number).close()


async def main(n, base):
    connector = aiohttp.TCPConnector(limit=10)
    async with aiohttp.ClientSession(base, connector=connector) as session:
        watcher = Watcher(session)
        tidying = asyncio.create_task(watcher.tidy())
        lengths = await asyncio.gather(*(watcher.check(i) for i in range(1, n + 1)))
        tidying.cancel()
    print(len(lengths), "files looked at")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
