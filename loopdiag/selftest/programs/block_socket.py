"""Tell a monitor about each answer, and wait until it has taken notice."""

import asyncio
import socket
import sys
import threading
import time

import aiohttp

monitor, ours = socket.socketpair()


def monitoring():
    while message := monitor.recv(100):
        time.sleep(0.006)
        monitor.send(message)


def report(number):
    ours.send(b"%d" % number)
    ours.recv(100)  # <- here


async def fetch(session, number):
    async with session.get(f"/{number}") as response:
        data = await response.json()
    report(number)
    return data


async def main(n, url):
    threading.Thread(target=monitoring, daemon=True).start()
    async with aiohttp.ClientSession(url) as session:
        data = await asyncio.gather(*(fetch(session, i) for i in range(1, n + 1)))
    print(len(data))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
