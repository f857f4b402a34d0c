"""No dependencies: urllib in an executor."""

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen


def load(url):
    with urlopen(url, timeout=20) as answer:
        return json.load(answer)


async def main(n, base):
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=4) as pool:  # <- here
        futures = [loop.run_in_executor(pool, load, f"{base}/{i}") for i in range(1, n + 1)]  # <- here
        documents = await asyncio.gather(*futures)
    print(len(documents))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
