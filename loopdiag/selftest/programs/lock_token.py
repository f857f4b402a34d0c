"""Every call needs a valid token; the lock that guards it also spans the call."""

import asyncio
import sys

import aiohttp
import uvloop


class Api:
    def __init__(self, session):
        self.session, self.token = session, None
        self.lock = asyncio.Lock()

    async def call(self, number):
        async with self.lock:  # <- here
            if self.token is None:
                self.token = "secret"
            headers = {"authorization": f"Bearer {self.token}"}
            async with self.session.get(f"/{number}", headers=headers) as response:
                return await response.json()


async def main(n, url):
    async with aiohttp.ClientSession(url) as session:
        api = Api(session)
        answers = await asyncio.gather(*(api.call(i) for i in range(1, n + 1)))
    print(len(answers), "answers")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
