"""Translate many texts at once through a web service."""

import asyncio
import sys

import httpx
import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


class Translator:
    def __init__(self, url):
        self.http = httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(60))

    async def translate(self, number):
        response = await self.http.get(f"/{number}")
        return response.content


async def main():
    translator = Translator(sys.argv[2])
    texts = await asyncio.gather(*map(translator.translate, range(1, int(sys.argv[1]) + 1)))
    await translator.http.aclose()
    print(len(texts), "texts")


asyncio.run(main())
