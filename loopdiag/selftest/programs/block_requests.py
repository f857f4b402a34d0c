"""An async function is not enough: requests blocks."""

import asyncio
import sys

import requests

session = requests.Session()


async def fetch(url):
    response = session.get(url)  # <- here
    response.raise_for_status()
    return response.json()


async def main(n, base):
    tasks = [asyncio.create_task(fetch(f"{base}/{i}")) for i in range(1, n + 1)]
    found = await asyncio.gather(*tasks)
    print(len(found))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
