"""Clients that block, in real processes: http.client, urllib.request, urllib3, requests, httpx's Client; on the main thread, in threads, and on a loop's thread."""

from pathlib import Path

import pytest
from blocking_parts import MS, ON_LOOP, PYTHONS, assert_legal, run
from httpx_parts import http1

from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Scenario, Service, Target
from loopdiag.model.timeline import Attempt

#: client → how it is opened for `url` (with the CA's certificate in `ca`, or ""), and `get(path, timeout)`, which returns the status and the body
CLIENTS = {
    "http.client": """
import http.client, ssl, sys
from urllib.parse import urlsplit
parts = urlsplit(url)
if ca:
    line = http.client.HTTPSConnection(parts.netloc, timeout=30, context=ssl.create_default_context(cafile=ca))
else:
    line = http.client.HTTPConnection(parts.netloc, timeout=30)
def get(path):
    line.request("GET", path)
    answer = line.getresponse()
    return answer.status, answer.read()
""",
    "urllib": """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=ca) if ca else None
def get(path):
    with urllib.request.urlopen(url + path, timeout=30, context=context) as answer:
        return answer.status, answer.read()
""",
    "urllib3": """
import sys, urllib3
pool = urllib3.PoolManager(timeout=30, **({"ca_certs": ca} if ca else {}))
def get(path):
    answer = pool.request("GET", url + path)
    return answer.status, answer.data
""",
    "requests": """
import sys, requests
session = requests.Session()
session.trust_env, session.verify = False, ca or True
def get(path):
    answer = session.get(url + path, timeout=30)
    return answer.status_code, answer.content
""",
    "httpx": """
import ssl, sys, httpx
client = httpx.Client(timeout=30, follow_redirects=True, trust_env=False, verify=ssl.create_default_context(cafile=ca) if ca else True)
def get(path):
    answer = client.get(url + path)
    return answer.status_code, answer.content
""",
}
LIBRARY = {"urllib": "http.client"}  # by which of the libraries that are told apart a client goes, where that is not its name
each = pytest.mark.parametrize("client", CLIENTS)


def program(client: str, body: str) -> str:
    """`client` opened for the arguments, and what is done with it."""
    return 'import sys\nurl, ca = (*sys.argv[1:], "")[:2]\n' + CLIENTS[client] + body


def reused(attempts: tuple[Attempt, ...]) -> list[bool]:
    """Which ran on a connection that had served before."""
    return ["reused" in attempt.flags for attempt in attempts]


@each
def test_stamps_are_the_servers_own(tmp_path: Path, client: str) -> None:
    # think time and a gap before the body: what the client read when is within 50 ms of what the server sent when, and was sent before the server received it
    with http1() as server:
        seen = run(
            tmp_path,
            program(client, 'for i in (1, 2, 3): print(*map(len, map(str, get(f"/{i}?think=60&gap=70&size={i}000"))))\n'),
            server.url,
        )
    assert len(seen.attempts) == 3
    for number, attempt in enumerate(seen.attempts, start=1):
        stamps = server.seen[str(number)]
        assert attempt.status == 200
        assert 0 <= stamps.received - seen.at(attempt, "send_start") < 50 * MS
        assert 0 <= seen.at(attempt, "first_byte") - stamps.head < 50 * MS
        assert 60 * MS <= attempt.stamps["last_byte"] - attempt.stamps["first_byte"] < 120 * MS
        assert number * 1000 < (attempt.wire_bytes or 0) < number * 1000 + 200
        assert attempt.stamps["headers"] <= attempt.stamps["last_byte"] <= attempt.stamps["body"] <= attempt.stamps["done"]
        assert_legal(attempt)


@each
def test_connections_are_the_servers_own(tmp_path: Path, client: str) -> None:
    # as many rows as the server accepted connections; every request after the first is on one that has served before, but urllib closes each
    with http1() as server:
        seen = run(tmp_path, program(client, "for i in (1, 2, 3): get(f'/{i}')\n"), server.url)
    connections = seen.rows("connections")
    assert len(connections) == server.connections == (3 if client == "urllib" else 1)
    assert reused(seen.attempts) == ([False] * 3 if client == "urllib" else [False, True, True])
    assert [int(row["requests"]) for row in connections] == ([1] * 3 if client == "urllib" else [3])
    for row in connections:
        assert 0 < row["tcp_end"] - row["tcp_start"] <= row["made"] - row["dns_start"]
        assert row["local_port"]
        assert row["address_attempts"] == 1
    assert seen.account["peers"] == ["127.0.0.1"]


@each
def test_a_connection_that_the_server_closes_is_not_reused(tmp_path: Path, client: str) -> None:
    # "Connection: close" in the second answer: the third request opens another connection, and the first one's end comes after its last octet
    with http1() as server:
        seen = run(tmp_path, program(client, "get('/1'); get('/close2'); get('/3')\n"), server.url)
    assert not reused(seen.attempts)[2]
    assert len(seen.rows("connections")) == server.connections
    for attempt in seen.attempts:
        assert_legal(attempt)


@each
def test_a_request_belongs_to_its_line_and_library(tmp_path: Path, client: str) -> None:
    # each request once, by the outermost library that it entered, and by the line of the program that called it
    with http1() as server:
        seen = run(tmp_path, program(client, "def fetch():\n    return get('/1')\nfetch()\nfetch()\n"), server.url)
    (line,) = {text for _, text in seen.makers()}
    assert [library for library, _ in seen.makers()] == [LIBRARY.get(client, client)] * 2
    assert any(call in line for call in ("request(", "urlopen(", "get("))


@each
def test_tls_and_redirects(tmp_path: Path, client: str) -> None:
    # with TLS: the handshake lies inside the connection's making, its CPU was measured; a redirect is a hop of the same request, where the client follows it
    follows = client != "http.client"
    target = Target(tls="ecdsa-p256", service=Service(redirects=1 if follows else 0))
    with TargetServer.start(Scenario(name="s", arms=(Arm(client="aiohttp"),), target=target)) as server:
        seen = run(tmp_path, program(client, "print(get('/1')[0])\n"), server.url, str(server.ca_file))
    assert seen.output == "200\n"
    first = seen.rows("connections")[0]
    assert 0 < first["tls_end"] - first["tls_start"] <= first["made"] - first["tcp_end"]
    assert first["tls_cpu_ns"] > 0
    assert [attempt.request for attempt in seen.attempts] == [1] * (1 + follows)
    assert [attempt.status for attempt in seen.attempts] == ([302, 200] if follows else [200])
    assert ["redirected" in attempt.flags for attempt in seen.attempts] == ([True, False] if follows else [False])
    for attempt in seen.attempts:
        assert_legal(attempt)


FAILS = """
import socket
quiet = socket.socket()
quiet.bind(("127.0.0.1", 0))
free = socket.socket()
free.bind(("127.0.0.1", 0))
quiet.listen()
TIMED
for port in (free.getsockname()[1], quiet.getsockname()[1]):
    try:
        once(f"http://127.0.0.1:{port}/")
    except Exception as error:
        print(type(error).__name__)
"""
ONCE = {
    "http.client": "def once(at):\n    line = http.client.HTTPConnection(at[7:-1], timeout=0.05)\n    line.request('GET', '/')\n    line.getresponse()",
    "urllib": "def once(at): urllib.request.urlopen(at, timeout=0.05)",
    "urllib3": "def once(at): pool.request('GET', at, timeout=0.05, retries=False)",
    "requests": "def once(at): session.get(at, timeout=0.05)",
    "httpx": "def once(at): client.get(at, timeout=0.05)",
}


@each
def test_failures_and_time_outs(tmp_path: Path, client: str) -> None:
    # a refused connection is an error, a silent server a time-out; both are over, and neither has an answer
    with http1() as server:
        seen = run(tmp_path, program(client, FAILS.replace("TIMED", ONCE[client])), server.url)
    refused, silent = seen.attempts
    assert "error" in refused.flags
    assert "timed_out" in silent.flags
    for attempt in seen.attempts:
        assert not attempt.status
        assert "first_byte" not in attempt.stamps
        assert "done" in attempt.stamps
        assert_legal(attempt)
    assert silent.stamps["done"] - silent.stamps["send_start"] >= 45 * MS


THREADS = """
import threading
threads = [threading.Thread(target=get, args=(f"/{i}?think={80 * i}&size={i}00",)) for i in (1, 2, 3, 4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("client", ["urllib3", "requests", "httpx", "urllib"])
def test_threads_do_not_mix(tmp_path: Path, client: str) -> None:
    # four threads at once, answers 80 ms apart: each attempt has its own answer's time and size, and its own thread
    with http1() as server:
        seen = run(tmp_path, program(client, THREADS), server.url)
    assert len(seen.attempts) == 4
    by_size = sorted(seen.attempts, key=lambda attempt: attempt.wire_bytes or 0)
    for number, attempt in enumerate(by_size, start=1):
        assert number * 100 < (attempt.wire_bytes or 0) < number * 100 + 200
        assert abs(seen.at(attempt, "first_byte") - server.seen[str(number)].head) < 50 * MS
        assert_legal(attempt)
    assert sorted(row["thread"] for row in seen.rows("requests")) == [1, 2, 3, 4]
    assert {row["task"] for row in seen.rows("requests")} == {0}


IN_LOOP = """
import asyncio
async def main():
    get("/1?think=30")
    await asyncio.to_thread(get, "/2?think=30")
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("client", ["requests", "http.client", "httpx"])
def test_on_a_loops_thread_and_beside_it(tmp_path: Path, client: str, loop: str) -> None:
    # a blocking call in a coroutine is its task's request; one in `to_thread` is its thread's, within that call of the executor
    text = program(client, IN_LOOP + ON_LOOP).replace("sys.argv[1:]", "sys.argv[2:]")
    with http1() as server:
        seen = run(tmp_path, text, loop, server.url)
    inside, beside = seen.rows("requests")
    assert (inside["task"], inside["thread"], inside["job"]) == (1, 0, 0)
    assert beside["task"] == 0
    assert beside["thread"] == 1
    assert beside["job"] == 1
    for attempt in seen.attempts:
        assert attempt.stamps["first_byte"] - attempt.stamps["send_start"] >= 25 * MS


OLD_WAY = """
line.request("GET", "/1")
try:
    line.getresponse(buffering=True)
except TypeError:
    print(len(line.getresponse().read()))
"""


def test_an_argument_that_is_tried_is_no_failure(tmp_path: Path) -> None:
    # urllib3 1.26 asks for the answer with an argument that no Python 3 has, and then without: the request goes on as if it had not
    with http1() as server:
        seen = run(tmp_path, program("http.client", OLD_WAY), server.url)
    assert seen.output == "10\n"
    (attempt,) = seen.attempts
    assert attempt.flags == ()
    assert attempt.status == 200
    assert_legal(attempt)


@pytest.mark.parametrize("client", ["http.client", "urllib", "urllib3", "requests"])
def test_without_a_name_that_it_needs_it_says_so(tmp_path: Path, client: str) -> None:
    # a library that is not the one that is known is left as it is, with the reason, as is what stands on it, and the program runs as ever
    gone = "import sys, http\nimport loopdiag_instruments.on_import as imports\nheld = imports._finder.watched.pop('http.client')\n"
    gone += "import http.client\nkept = http.client.HTTPResponse._close_conn\ndel http.client.HTTPResponse._close_conn\n"
    gone += "for callback in held: callback(http.client)\nhttp.client.HTTPResponse._close_conn = kept\n"
    with http1() as server:
        seen = run(tmp_path, gone + program(client, "print(get('/1')[0])\n"), server.url)
    assert seen.output == "200\n"
    assert "_close_conn is not there" in seen.account["not_observed"]["http_client"]
    assert ("urllib3_pool" in seen.account["not_observed"]) == (client in {"urllib3", "requests"})
    assert not len(seen.rows("attempts"))


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_that_is_there(tmp_path: Path, python: str) -> None:
    # the standard library alone, of each version
    with http1() as server:
        seen = run(tmp_path, program("http.client", "get('/1?think=30&size=100'); get('/2')\n"), server.url, python=PYTHONS[python])
    assert reused(seen.attempts) == [False, True]
    assert not {name for name in seen.account["not_observed"] if name in {"http_client", "blocking_sockets", "made_sessions", "made_leaks"}}
