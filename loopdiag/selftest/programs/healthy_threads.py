"""requests in an executor that is large enough."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter


async def main(n, base):
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=n))
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=n) as pool:
        jobs = [loop.run_in_executor(pool, session.get, f"{base}/{i}") for i in range(1, n + 1)]
        answers = await asyncio.gather(*jobs)
    print(sum(answer.ok for answer in answers))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
