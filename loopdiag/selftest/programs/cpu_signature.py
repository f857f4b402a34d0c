"""Sign each request with a key that is derived for it."""

import asyncio
import hashlib
import sys

import aiohttp
import uvloop


def signature(number):
    key = hashlib.pbkdf2_hmac("sha256", b"secret", str(number).encode(), 8000)  # <- here
    return key.hex()


async def fetch(session, number):
    headers = {"x-signature": signature(number)}
    async with session.get(f"/{number}", headers=headers) as response:
        return await response.json()


async def main(n, url):
    async with aiohttp.ClientSession(url) as session:
        found = await asyncio.gather(*(fetch(session, i) for i in range(1, n + 1)))
    print(len(found), "signed answers")


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
