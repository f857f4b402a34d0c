"""Some threads keep statistics up to date while the loop fetches."""

import asyncio
import sys
import threading

import aiohttp

running = True


def statistics():
    rounds = 0
    while running:
        rounds += sum(k * k for k in range(200)) % 7  # <- here


async def fetch(session, url):
    async with session.get(url) as response:
        return await response.json()


async def main(n, base):
    async with aiohttp.ClientSession() as session:
        found = await asyncio.gather(*(fetch(session, f"{base}/{i}") for i in range(1, n + 1)))
    print(len(found))


if __name__ == "__main__":
    for _ in range(3):
        threading.Thread(target=statistics, daemon=True).start()
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
    running = False
