"""Sessions, TLS contexts, leaked answers, peers and settings, told by the line that made them, in real processes on both loops."""

from pathlib import Path

import pytest
from blocking_parts import ON_LOOP, PYTHONS, run
from httpx_parts import http1

each = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])

PER_REQUEST = """
import asyncio, sys
import aiohttp, httpx
async def fetch(i):
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{sys.argv[2]}/{i}") as answer:
            await answer.read()
async def shared():
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=7), trust_env=False) as client:
        for i in range(3):
            await client.get(f"{sys.argv[2]}/{i}")
async def main():
    await asyncio.gather(*(fetch(i) for i in range(5)))
    await shared()
"""


@each
def test_a_session_per_request(tmp_path: Path, loop: str) -> None:
    # five sessions with a connector each at one line, one client at another with its bound and the TLS context that it makes, which is what it costs
    with http1() as server:
        seen = run(tmp_path, PER_REQUEST + ON_LOOP, loop, server.url)
    one, client = "async with aiohttp.ClientSession() as session:", "async with httpx.AsyncClient("
    made = {(each["what"], seen.text(each["place"])[:29]): each for each in seen.account["made"]}
    assert made["session", one[:29]]["count"] == made["connector", one[:29]]["count"] == 5
    assert made["session", client[:29]]["count"] == made["tls-context", client[:29]]["count"] == 1
    assert made["session", client[:29]]["value"] == 7
    context = made["tls-context", client[:29]]["cpu_ns"]
    assert 0 < context <= made["session", client[:29]]["cpu_ns"]
    assert seen.account["peers"] == ["127.0.0.1"]
    assert server.connections == 6


CONTEXTS = """
import ssl
def make():
    return ssl.create_default_context()
for _ in range(4): make()
bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
class Own(ssl.SSLContext):
    def __init__(self, protocol, extra):
        super().__init__()
        self.extra = extra
    def __new__(cls, protocol, extra):
        return super().__new__(cls, protocol)
print(Own(ssl.PROTOCOL_TLS_CLIENT, 3).extra, isinstance(bare, ssl.SSLContext), bare.verify_mode.name)
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_tls_contexts(tmp_path: Path, python: str) -> None:
    # contexts are counted where they are made, a subclass's too, with the CPU that reading the certificates took; they are what they were
    seen = run(tmp_path, CONTEXTS, python=PYTHONS[python])
    assert seen.output == "3 True CERT_REQUIRED\n"
    made = dict(seen.made("tls-context"))
    assert made["return ssl.create_default_context()"] == 4
    assert made["bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)"] == 1
    assert len(made) == 3
    costs = {seen.text(each["place"]): each["cpu_ns"] for each in seen.account["made"]}
    assert costs["return ssl.create_default_context()"] > 0
    assert costs["bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)"] == 0


LEAKS = """
import asyncio, sys
import aiohttp, httpx
BIG = 2_000_000
async def main():
    held = []
    async with aiohttp.ClientSession() as session:
        for i in range(3):
            held.append(await session.get(f"{sys.argv[2]}/{i}?size={BIG}"))
        whole = await session.get(f"{sys.argv[2]}/9?size={BIG}")
        await whole.read()
        lost = await session.get(f"{sys.argv[2]}/8?size={BIG}")
        del lost
    async with httpx.AsyncClient() as client:
        for i in range(2):
            held.append(await client.send(client.build_request("GET", f"{sys.argv[2]}/{i}?size={BIG}"), stream=True))
        await client.get(f"{sys.argv[2]}/9?size={BIG}")
        late = await client.send(client.build_request("GET", f"{sys.argv[2]}/7?size={BIG}"), stream=True)
        await asyncio.sleep(0.1)
        await late.aclose()
"""


@each
def test_answers_that_are_never_read(tmp_path: Path, loop: str) -> None:
    # three of aiohttp's and two of httpx's answers hold their connection to the end, one was closed late, each at its line; one was lost before it was read, one was read
    with http1() as server:
        seen = run(tmp_path, LEAKS + ON_LOOP, loop, server.url)
    leaked = sorted(seen.made("leaked-response"))
    assert [each for each in leaked if "lost" not in each[0]] == [  # that one is given back when it is collected, sooner or later
        ('held.append(await client.send(client.build_request("GET", f"{sys.argv[2]}/{i}?size={BIG}"), stream=True))', 2),
        ('held.append(await session.get(f"{sys.argv[2]}/{i}?size={BIG}"))', 3),
        ('late = await client.send(client.build_request("GET", f"{sys.argv[2]}/7?size={BIG}"), stream=True)', 1),
    ]
    counters = seen.account["counters"]
    assert (counters["leaked.aiohttp"], counters["leaked.httpx"], counters["unclosed.aiohttp"]) == (3, 3, 1)


SETTINGS = """
import asyncio, gc, logging, sys
logging.basicConfig(stream=open("/dev/null", "w"), level=logging.INFO)
async def main():
    sys.setswitchinterval(0.001)
    gc.freeze()
    for _ in range(5): logging.info("one")
    logging.debug("none")
"""


@each
def test_settings_and_records(tmp_path: Path, loop: str) -> None:
    # what the program set while its loop ran is told as it was at the loop's end; records that no logger wants are none
    counters = run(tmp_path, SETTINGS + ON_LOOP, loop).account["counters"]
    assert counters["switch_interval_us"] == 1000
    assert counters["gc.frozen"] > 0
    assert counters["logging.records"] == 5


PEERS = """
import asyncio, socket, sys
async def main():
    port = int(sys.argv[2].rpartition(":")[2])
    for host in ("127.0.0.1", "localhost"):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(("127.0.0.2", 9))
    one, other = socket.socketpair()
    one.close()
    other.close()
"""


@each
def test_peers(tmp_path: Path, loop: str) -> None:
    # addresses of stream connections, whoever makes them; uvloop, which looks names up by itself, shows the name; datagrams and pairs are no peers
    with http1() as server:
        peers = run(tmp_path, PEERS + ON_LOOP, loop, server.url).account["peers"]
    assert "127.0.0.1" in peers
    assert set(peers) <= {"127.0.0.1", "::1", "localhost"}
    assert ("localhost" in peers) is (loop == "uvloop")
