"""requests is what we know: put it into threads."""

import asyncio
import sys

import requests


def get_order(session, url):
    response = session.get(url, timeout=30)
    response.raise_for_status()
    return response.json()


async def main(n, base):
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
    jobs = [asyncio.to_thread(get_order, session, f"{base}/{i}") for i in range(1, n + 1)]
    orders = await asyncio.gather(*jobs)  # <- here
    print(len(orders), "orders")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
