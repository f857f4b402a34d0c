"""Warm a cache by asking for everything once."""

import asyncio
import sys
import urllib.request

import uvloop


class Warmer:
    def __init__(self, base):
        self.base = base
        self.warm = 0

    async def warm_up(self, number):
        with urllib.request.urlopen(f"{self.base}/{number}") as answer:  # <- here
            answer.read()
        self.warm += 1


async def main(n, base):
    warmer = Warmer(base)
    await asyncio.gather(*(warmer.warm_up(i) for i in range(1, n + 1)))
    print(warmer.warm, "entries are warm")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
