"""Count words with a regular expression."""

import asyncio
import re
import sys
from collections import Counter

import httpx

WORD = re.compile(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]")


def count(text):
    return Counter(WORD.findall(text.lower()))  # <- here


async def main(n, base):
    words = Counter()

    async def read(client, url):
        words.update(count((await client.get(url)).text))  # <- here

    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.gather(*(read(client, f"{base}/{i}") for i in range(1, n + 1)))
    print(words.most_common(1)[0][0], len(words))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
