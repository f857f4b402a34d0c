"""urllib3's pool and `requests` on top of it, in real processes: waiting for a connection, retries, redirects, answers that are read later or never."""

from itertools import pairwise
from pathlib import Path

import pytest
from blocking_parts import MS, assert_legal, run
from httpx_parts import http1

from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Scenario, Service, Target

BLOCKED = """
import sys, threading, urllib3
pool = urllib3.PoolManager(maxsize=1, block=True)
threads = [threading.Thread(target=pool.request, args=("GET", f"{sys.argv[1]}/{i}?think=80")) for i in (1, 2, 3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_waiting_for_a_connection_is_seen(tmp_path: Path) -> None:
    # a pool of one connection that blocks: the k-th of three waits for the k - 1 answers of 80 ms before it, and gets the connection when it was given back
    with http1() as server:
        seen = run(tmp_path, BLOCKED, server.url)
    assert server.connections == 1
    order = sorted(seen.attempts, key=lambda attempt: attempt.stamps["assigned"])
    assert [attempt.assignments for attempt in order] == [1, 1, 1]
    for before, after in pairwise(order):
        assert before.stamps["released"] <= after.stamps["assigned"]
    for position, attempt in enumerate(order):
        assert attempt.stamps["assigned"] - attempt.stamps["enqueued"] >= (80 * position - 20) * MS
        assert sum(phase.end_ns - phase.start_ns for phase in attempt.phases if phase.name == "pool") >= (80 * position - 20) * MS
        assert_legal(attempt)


RETRIED = """
import sys, urllib3
pool = urllib3.PoolManager()
answer = pool.request("GET", sys.argv[1] + "/1", retries=urllib3.Retry(total=2, status_forcelist=[503]), timeout=10)
print(answer.status)
"""
RETRIED_BY_REQUESTS = """
import sys, requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
session = requests.Session()
session.trust_env = False
session.mount("http://", HTTPAdapter(max_retries=Retry(total=2, status_forcelist=[503])))
print(session.get(sys.argv[1] + "/1", timeout=10).status_code)
"""

UNAVAILABLE = """
import http.server, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version, left = "HTTP/1.1", 1
    def do_GET(self):
        self.send_response(503 if Answer.left else 200)
        Answer.left = 0
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ab")
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.argv.append(f"http://127.0.0.1:{server.server_address[1]}")
"""


@pytest.mark.parametrize("program", [RETRIED, RETRIED_BY_REQUESTS], ids=["urllib3", "requests"])
def test_a_retry_is_an_attempt_of_the_same_request(tmp_path: Path, program: str) -> None:
    # a 503 that the library itself repeats: two attempts of one request, numbered, the first one flagged as retried and with its own answer
    seen = run(tmp_path, UNAVAILABLE + program)
    assert seen.output == "200\n"
    first, second = seen.attempts
    assert [(attempt.request, attempt.number, attempt.status) for attempt in seen.attempts] == [(1, 0, 503), (1, 1, 200)]
    assert "retried" in first.flags
    assert "reused" in second.flags
    assert len(seen.rows("requests")) == 1
    for attempt in seen.attempts:
        assert_legal(attempt)


HOPS = """
import sys, requests
with requests.Session() as session:
    for i in (1, 2):
        answer = session.get(f"{sys.argv[1]}/{i}", timeout=10)
        print(answer.status_code, len(answer.history))
"""


def test_hops_of_requests_are_of_one_request(tmp_path: Path) -> None:
    # two redirects each: three attempts a request, hops counted, all on one connection, and noted once by `requests`
    target = Target(service=Service(redirects=2))
    with TargetServer.start(Scenario(name="s", arms=(Arm(client="aiohttp"),), target=target)) as server:
        seen = run(tmp_path, HOPS, server.url)
    assert seen.output == "200 2\n200 2\n"
    assert [(attempt.request, attempt.hop) for attempt in seen.attempts] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert ["redirected" in attempt.flags for attempt in seen.attempts] == [True, True, False] * 2
    assert [library for library, _ in seen.makers()] == ["requests"] * 2
    assert len(seen.rows("connections")) == 1


STREAMED = """
import sys, requests
session = requests.Session()
whole = session.get(sys.argv[1] + "/1?gap=60&size=3000", stream=True, timeout=10)
print(len(whole.content))
kept = [session.get(sys.argv[1] + "/2?size=3000", stream=True, timeout=10) for _ in range(3)]
given_up = session.get(sys.argv[1] + "/3?size=3000", stream=True, timeout=10)
given_up.close()
"""


def test_answers_that_are_read_later_or_never(tmp_path: Path) -> None:
    # read later: the body's end and the release come then; never: a connection each, and they are told as leaked at their line; closed: given back unread
    with http1() as server:
        seen = run(tmp_path, STREAMED, server.url)
    assert seen.output == "3000\n"
    whole, *kept, given_up = seen.attempts
    assert whole.stamps["last_byte"] - whole.stamps["headers"] >= 50 * MS
    assert {"body", "released", "done"} <= set(whole.stamps)
    assert len(kept) == 3
    assert not any("body" in attempt.stamps for attempt in kept)
    assert {"released", "done"} <= set(given_up.stamps)
    assert "body" not in given_up.stamps
    assert seen.made("leaked-response") == [
        ('kept = [session.get(sys.argv[1] + "/2?size=3000", stream=True, timeout=10) for _ in range(3)]', 3)
    ]
    assert seen.account["counters"]["leaked.requests"] == 3
    assert server.connections == len(seen.rows("connections")) == 4


PER_CALL = """
import sys, requests, urllib3
for i in range(3):
    requests.get(f"{sys.argv[1]}/{i}", timeout=10)
pool = urllib3.PoolManager()
for i in range(3):
    pool.urlopen("GET", f"{sys.argv[1]}/{i}")
"""


def test_sessions_per_call(tmp_path: Path) -> None:
    # `requests.get` makes a session for each call, at the caller's line, and no connection is used twice; urllib3's own entry is told apart
    with http1() as server:
        seen = run(tmp_path, PER_CALL, server.url)
    assert ["reused" in attempt.flags for attempt in seen.attempts] == [False, False, False, False, True, True]
    assert seen.made("session") == [('requests.get(f"{sys.argv[1]}/{i}", timeout=10)', 3)]
    assert [library for library, _ in seen.makers()] == ["requests"] * 3 + ["urllib3"] * 3
