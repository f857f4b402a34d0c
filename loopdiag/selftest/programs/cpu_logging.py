"""Log every field of every answer."""

import asyncio
import logging
import os
import sys

import aiohttp

logging.basicConfig(
    filename=os.devnull,
    level=logging.DEBUG,
    format="%(asctime)s %(levelname)-8s [%(name)s:%(funcName)s:%(lineno)d] %(message)s",
)
log = logging.getLogger("inventory")


async def fetch(session, number):
    async with session.get(f"/{number}") as response:
        text = await response.text()
    for word in text.split(",")[:250]:
        log.debug("item %s: %s", number, word)  # <- here
    return len(text)


async def main(n, url):
    async with aiohttp.ClientSession(url) as session:
        sizes = await asyncio.gather(*(fetch(session, i) for i in range(1, n + 1)))
    print(sum(sizes))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
