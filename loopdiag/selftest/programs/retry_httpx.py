"""Try again whenever the service says that it has had enough."""

import asyncio
import sys

import httpx
import uvloop


class Service:
    def __init__(self, url):
        self.client = httpx.AsyncClient(base_url=url, timeout=60)

    async def get(self, path, attempts=30):
        for _ in range(attempts):
            response = await self.client.get(path)
            if response.status_code not in (429, 503):
                return response.json()
            await asyncio.sleep(int(response.headers["retry-after"]))
        raise RuntimeError(f"{path}: refused {attempts} times")


async def main():
    service = Service(sys.argv[2])
    found = await asyncio.gather(*(service.get(f"/{i}") for i in range(1, int(sys.argv[1]) + 1)))
    print(len(found))


uvloop.run(main())
