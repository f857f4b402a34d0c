"""http.client in AnyIO's worker threads, on uvloop."""

import http.client
import sys
from urllib.parse import urlsplit

import anyio
from anyio import to_thread


def fetch(host, port, path):
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


async def job(where, number, done):
    done.append(await to_thread.run_sync(fetch, where.hostname, where.port, f"/{number}"))  # <- here


async def main(n, url):
    to_thread.current_default_thread_limiter().total_tokens = 8  # <- here
    where, done = urlsplit(url), []
    async with anyio.create_task_group() as group:
        for number in range(1, n + 1):
            group.start_soon(job, where, number, done)
    print(sum(map(len, done)), "bytes")


anyio.run(main, int(sys.argv[1]), sys.argv[2], backend_options={"use_uvloop": True})
