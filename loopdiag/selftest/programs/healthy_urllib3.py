"""urllib3 in threads, as many as there are requests; a heartbeat beside it."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import urllib3


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def main(n, base):
    beating = asyncio.create_task(heartbeat())
    http = urllib3.PoolManager(maxsize=n)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(n))
    answers = await asyncio.gather(*(asyncio.to_thread(http.request, "GET", f"{base}/{i}") for i in range(1, n + 1)))
    beating.cancel()
    print(sum(answer.status == 200 for answer in answers))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
