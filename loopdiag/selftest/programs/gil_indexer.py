"""Index what comes in threads of their own, so that the loop stays free; or does it?"""

import asyncio
import queue
import sys
import threading

import aiohttp
import uvloop

work = queue.Queue()


def indexer():
    index = {}
    while (number := work.get()) is not None:
        for k in range(30_000):  # <- here
            index[k % 997] = index.get(k % 991, number) + 1


async def fetch(session, number):
    async with session.get(f"/{number}") as response:
        text = await response.text()
    work.put(number)
    async with session.get(f"/{number}") as response:
        return len(text) + len(await response.text())


async def main(n, url):
    threads = [threading.Thread(target=indexer) for _ in range(3)]
    for thread in threads:
        thread.start()
    async with aiohttp.ClientSession(url) as session:
        sizes = await asyncio.gather(*(fetch(session, i) for i in range(1, n + 1)))
    for _ in threads:
        work.put(None)
    print(sum(sizes))


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
