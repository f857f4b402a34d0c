"""Collect the links of many pages with the parser of the standard library."""

import asyncio
import sys
from html.parser import HTMLParser

import aiohttp
import uvloop


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found.append(dict(attrs).get("href"))


def links(text):
    page = "".join(f'<p class="row"><a href="/{word}">{word}</a></p>' for word in text.split()[:220])
    parser = Links()
    parser.feed(page)  # <- here
    return parser.found


async def visit(session, url):
    async with session.get(url) as response:
        return links((await response.text()).replace(",", " "))


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        pages = await asyncio.gather(*(visit(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(sum(map(len, pages)), "links")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
