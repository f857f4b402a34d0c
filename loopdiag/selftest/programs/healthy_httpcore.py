"""httpcore on uvloop, a connection for everybody."""

import asyncio
import sys

import httpcore
import uvloop


async def main(n, base):
    async with httpcore.AsyncConnectionPool(max_connections=n, max_keepalive_connections=n) as pool:
        responses = await asyncio.gather(*(pool.request("GET", f"{base}/{i}") for i in range(1, n + 1)))
    print(sum(response.status == 200 for response in responses))


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
