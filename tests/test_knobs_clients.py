"""Knobs of the HTTP clients, in real programs against a server that counts their connections."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from knob_parts import counting, run

AIOHTTP = """
import asyncio, sys, aiohttp
url = sys.argv[1]
async def get(session, **kw):
    async with session.get(url, **kw) as answer:
        return await answer.json()
"""
HTTPX = "import asyncio, sys, httpx\nurl = sys.argv[1]\n"
REQUESTS = "import sys, requests\nurl = sys.argv[1]\n"

#: program that makes four requests, one after the other, each on a connection of its own
SESSIONS = {
    "aiohttp": AIOHTTP + "async def main():\n    for _ in range(4):\n        async with aiohttp.ClientSession() as s:\n            print(await get(s))\nasyncio.run(main())",
    "aiohttp-connector": AIOHTTP
    + "async def main():\n    for _ in range(4):\n        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=3)) as s:\n"
    + "            print(await get(s))\nasyncio.run(main())",
    "aiohttp.request": AIOHTTP
    + "async def main():\n    for _ in range(4):\n        async with aiohttp.request('GET', url) as a:\n            print(await a.json())\nasyncio.run(main())",
    "aiohttp-uvloop": "import uvloop\n" + AIOHTTP
    + "async def main():\n    for _ in range(4):\n        async with aiohttp.ClientSession() as s:\n            print(await get(s))\nuvloop.run(main())",
    "httpx": HTTPX + "async def main():\n    for _ in range(4):\n        async with httpx.AsyncClient() as c:\n            print((await c.get(url)).json())\nasyncio.run(main())",
    "httpx-sync": HTTPX + "for _ in range(4):\n    with httpx.Client() as c:\n        print(c.get(url).json())",
    "httpx.get": HTTPX + "for _ in range(4):\n    print(httpx.get(url).json())",
    "httpx2": "import asyncio, sys, httpx2\nurl = sys.argv[1]\nasync def main():\n    for _ in range(4):\n        async with httpx2.AsyncClient() as c:\n"
     "            print((await c.get(url)).json())\nasyncio.run(main())",
    "requests.get": REQUESTS + "for _ in range(4):\n    print(requests.get(url).json())",
    "requests": REQUESTS + "for _ in range(4):\n    with requests.Session() as s:\n        print(s.get(url).json())",
    "urllib3": "import sys, urllib3\nfor _ in range(4):\n    with urllib3.PoolManager() as p:\n        print(p.request('GET', sys.argv[1]).json())",
}  # fmt: skip

#: program whose requests, four in a row, end their connections in some way
CLOSING = {
    "aiohttp-force": AIOHTTP
    + "async def main():\n    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as s:\n"
    + "        for _ in range(4):\n            print(await get(s))\nasyncio.run(main())",
    "aiohttp-header": AIOHTTP
    + "async def main():\n    async with aiohttp.ClientSession(headers={'Connection': 'close'}) as s:\n        for _ in range(4):\n            print(await get(s))\nasyncio.run(main())",
    "httpx-limits": HTTPX
    + "async def main():\n    async with httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)) as c:\n        for _ in range(4):\n"
    + "            print((await c.get(url)).json())\nasyncio.run(main())",
    "httpx-header": HTTPX
    + "with httpx.Client(headers={'Connection': 'close'}) as c:\n    for _ in range(4):\n        print(c.get(url).json())",
    "requests-header": REQUESTS
    + "with requests.Session() as s:\n    for _ in range(4):\n        print(s.get(url, headers={'Connection': 'close'}).json())",
}


@pytest.mark.parametrize(("knobs", "programs", "name"), [
    *(({"shared_session": True}, SESSIONS, name) for name in SESSIONS),
    *(({"keepalive": 0}, CLOSING, name) for name in CLOSING),
])  # fmt: skip
def test_connections_are_kept(knobs: dict[str, Any], programs: dict[str, str], name: str, tmp_path: Path) -> None:
    # what opened a connection a request opens one in all, and prints the same
    with counting() as server:
        (tmp_path / "plain").mkdir()
        plain = run(tmp_path / "plain", programs[name], {}, server.url)
        assert (server.connections, server.requests) == (4, 4)
        ran = run(tmp_path, programs[name], knobs, server.url)
        assert (server.connections, server.requests) == (5, 8)
    assert ran.out == plain.out == "\n".join(["[1, 2, 3]"] * 4)
    assert set(ran.acted) == set(knobs)


LIMITS = {
    "aiohttp": (
        ("import asyncio, aiohttp\nasync def main():\n    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=3, limit_per_host=2)) as s:\n"
        "        print(s.connector.limit, s.connector.limit_per_host)\nasyncio.run(main())"),
        "3 2",
        "70 30",
    ),
    "httpx": (
        ("import asyncio, httpx\nasync def main():\n    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=5)) as c:\n"
        "        p = c._transport._pool\n        print(p._max_connections)\nprint(httpx.Client()._transport._pool._max_connections)\nasyncio.run(main())"),
        "100\n5",
        "70\n70",
    ),
    "urllib3": ("import urllib3\nprint(urllib3.HTTPConnectionPool('x', maxsize=4).pool.maxsize, urllib3.PoolManager().connection_from_host('x').pool.maxsize)", "4 1", "70 70"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_pools(name: str, tmp_path: Path) -> None:
    # a pool has the knob's limit, whatever the program says
    program, before, after = LIMITS[name]
    (tmp_path / "plain").mkdir()
    assert run(tmp_path / "plain", program, {}).out == before
    ran = run(tmp_path, program, {"pool_limit": 70, "pool_limit_per_host": 30})
    assert ran.out == after
    assert ran.acted["pool_limit"]


ANYIO = """
import anyio
async def main():
    s, l, c = anyio.Semaphore(3, max_value=3), anyio.Lock(), anyio.CapacityLimiter(4)
    most = []
    async def one(gate, at):
        async with gate:
            inside[at] += 1
            most[at] = max(most[at], inside[at])
            await anyio.sleep(0.001)
            inside[at] -= 1
    inside, most = [0, 0, 0], [0, 0, 0]
    async with anyio.create_task_group() as group:
        for _ in range(20):
            for at, gate in enumerate((s, l, c)):
                group.start_soon(one, gate, at)
    await anyio.to_thread.run_sync(int)
    print(*most, anyio.to_thread.current_default_thread_limiter().total_tokens)
"""


def test_knobs_of_anyio(tmp_path: Path) -> None:
    # AnyIO's semaphores, locks and limiters are turned like asyncio's
    program = ANYIO + "anyio.run(main)"
    (tmp_path / "plain").mkdir()
    assert run(tmp_path / "plain", program, {}).out == "3 1 4 40"
    ran = run(tmp_path, program, {"semaphore": 9, "lock": False, "executor": 3})
    assert ran.out == "9 20 9 3"
    assert set(ran.acted) == {"semaphore", "lock", "executor"}


DELAYED = {
    "aiohttp": AIOHTTP
    + "import time\nasync def main():\n    async with aiohttp.ClientSession() as s:\n        t = time.perf_counter()\n"
    + "        await asyncio.gather(get(s), get(s))\n        one = time.perf_counter() - t\n        await get(s)\n"
    + "        print(one >= 0.15, time.perf_counter() - t >= 0.3)\nasyncio.run(main())",
    "httpx": HTTPX
    + "import time\nasync def main():\n    async with httpx.AsyncClient() as s:\n        t = time.perf_counter()\n"
    + "        await asyncio.gather(s.get(url), s.get(url))\n        one = time.perf_counter() - t\n        await s.get(url)\n"
    + "        print(one >= 0.15, time.perf_counter() - t >= 0.3)\nasyncio.run(main())",
    "requests": REQUESTS + "import time\nt = time.perf_counter()\nrequests.get(url)\nprint(True, time.perf_counter() - t >= 0.15)",
    "http.client": "import http.client, sys, time\nc = http.client.HTTPConnection(sys.argv[1].split('/')[2])\nt = time.perf_counter()\nc.request('GET', '/')\n"
    "c.getresponse().read()\nprint(True, time.perf_counter() - t >= 0.15)\nc.close()",
}


@pytest.mark.parametrize("name", DELAYED)
@pytest.mark.parametrize("seam", ["request", "connect"])
def test_delays_at_a_seam(name: str, seam: str, tmp_path: Path) -> None:
    # a request is late by the delay, a request beside it at the same time; one that needs no connection is late by none at that seam
    with counting() as server:
        ran = run(tmp_path, DELAYED[name], {"delay": {"seam": seam, "ms": 150.0}}, server.url)
    if seam == "request":
        assert ran.out == "True True"
    awaited = {"request": 3, "connect": 2}[seam]
    assert ran.acted == {"delay": awaited if name in {"aiohttp", "httpx"} else 1}


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_one_context_for_all_clients(library: str, tmp_path: Path) -> None:
    # certificates are loaded once for clients that are made alike, and they still verify
    program = {
        "httpx": "import httpx, ssl\ncs = [c._transport._pool._ssl_context for c in [httpx.Client() for _ in range(3)]]\n",
        "requests": "import ssl\nfrom urllib3.util.ssl_ import create_urllib3_context as f\ncs = [f(cert_reqs=ssl.CERT_REQUIRED) for _ in range(3)]\n",
    }[library]
    program += "print(len(set(map(id, cs))), {c.verify_mode for c in cs} == {ssl.CERT_REQUIRED}, {c.check_hostname for c in cs})"
    ran = run(tmp_path, program, {"shared_tls": True})
    assert ran.out == "1 True {True}"
    assert ran.acted == {"shared_tls": 2}


def test_names_in_aiohttp(tmp_path: Path) -> None:
    # a connector without a cache of its own shares one for ever, and asks for IPv4 addresses alone
    program = (
        "import asyncio, aiohttp\nasync def main():\n    a, b = aiohttp.TCPConnector(use_dns_cache=False), aiohttp.TCPConnector()\n"
        "    print(a.use_dns_cache, a._cached_hosts is b._cached_hosts, int(a._family))\n    await a.close(); await b.close()\nasyncio.run(main())"
    )
    ran = run(tmp_path, program, {"cached_dns": True, "ipv4_only": True})
    assert ran.out == "True True 2"
    assert set(ran.acted) == {"cached_dns", "ipv4_only"}


def test_the_test_server_counts() -> None:
    # a connection that is used twice counts once
    async def twice(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 2)
        await reader.readuntil(b"[1,2,3]")
        answer = await reader.readuntil(b"[1,2,3]")
        writer.close()
        await writer.wait_closed()
        return answer

    with counting() as server:
        assert asyncio.run(twice(server.server_address[1])).endswith(b"[1,2,3]")
        assert (server.connections, server.requests) == (1, 2)


def test_a_semaphore_of_anyio_that_is_entered_there(tmp_path: Path) -> None:
    # the place of its use tells which of AnyIO's semaphores is meant, too
    program = (
        "import anyio\nasync def use(s):\n    async with s:\n        return s.value\nasync def main():\n    a, b = anyio.Semaphore(3, max_value=3), anyio.Semaphore(5)\n"
        "    print(await use(a), b.value, a.max_value)\nanyio.run(main)"
    )
    assert run(tmp_path, program, {"semaphore": 9, "semaphore_place": "client.py:3"}).out == "8 5 9"
