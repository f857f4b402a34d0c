"""The clients at the foot of the ladder: their reader of HTTP, and epoll by the rules of every client (tests/test_clients.py has the others)."""

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import test_runners
from fates import serving as serving_fates
from hypothesis import given
from hypothesis import strategies as st
from lab_parts import serving
from test_contract import MIXED, Fate, by_request, check_account, check_lives, connected, matched, run, sorted_words, summary

from loopdiag.analysis.timelines import resolve
from loopdiag.errors import InputError, Unavailable
from loopdiag.lab import columns
from loopdiag.lab.clients import ClientOptions
from loopdiag.lab.clients.epoll import EpollClient
from loopdiag.lab.clients.ladder.origins import Idle, Origin, Requests, onward
from loopdiag.lab.clients.ladder.replies import BadAnswer, Reading, answer_of, read_head
from loopdiag.lab.measuring import Urls
from loopdiag.lab.scenario_file import parse_scenario
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Plant, Pool, Workload

PROGRAM = Path(__file__).with_name("ladder_program.py")
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n"

#: method, what comes, body, whether the connection may be used again
ANSWERS = (
    ("GET", OK + b"Content-Length: 3\r\n\r\nabc", b"abc", True),
    ("GET", OK + b"CONTENT-length:  3 \r\nConnection: Close\r\n\r\nabc", b"abc", False),
    ("GET", OK + CHUNKS, b"abcdefg", True),
    ("GET", OK + b"Content-Length: 0\r\n\r\n", b"", True),
    ("HEAD", OK + b"Content-Length: 3\r\n\r\n", b"", True),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", b"", True),
    ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", b"x", True),
    ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
    ("GET", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", b"x", True),
    ("GET", OK + b"Content-Length: 1\r\n\r\nxy", b"x", False),  # more than was asked for
)


@given(st.sampled_from(ANSWERS), st.randoms(use_true_random=False))
def test_an_answer_is_read_alike_in_parts_of_any_size(answer: tuple[str, bytes, bytes, bool], cuts: Random) -> None:
    # However the bytes are cut, the answer is whole with its last byte, and the same.
    method, text, body, reusable = answer
    reading, at, whole = Reading(method), 0, False
    while at < len(text):
        assert not whole or text[at:] == b"y"
        step = cuts.randint(1, len(text) - at)
        whole = reading.feed(text[at : at + step])
        at += step
    assert whole
    reply = reading.reply()
    assert (reply.body, reply.reusable, reply.wire_bytes) == (body, reusable, len(text))
    assert not reading.until_end or method == "HEAD" or reply.head.status in {204, 304}


def test_a_body_without_a_length_lasts_until_the_connection_ends() -> None:
    # It is never whole by itself, and its connection is not used again.
    reading = Reading("GET")
    assert not reading.feed(OK + b"\r\nab")
    assert not reading.feed(b"c")
    assert reading.until_end
    assert (reading.reply().body, reading.reply().reusable) == (b"abc", False)


@pytest.mark.parametrize(
    "text",
    [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", OK + b"Content-Length: -1\r\n\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"],
)
def test_what_is_no_answer_is_refused(text: bytes) -> None:
    # Another protocol, a length or a chunk that is no number: one error, whatever it is.
    with pytest.raises(BadAnswer):
        Reading("GET").feed(text)
    with pytest.raises(BadAnswer, match="more than"):
        Reading("GET").feed(b"x" * 70_000)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", ""])
def test_a_body_is_decoded_as_its_coding_says(coding: str) -> None:
    # gzip and zlib are undone, what has no coding stays, and what is none fails.
    body = {"": b"text", "deflate": zlib.compress(b"text")}.get(coding, gzip.compress(b"text"))
    reading = Reading("GET")
    assert reading.feed(OK + f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answer_of(reading.reply()).body == b"text"
    if coding:
        with pytest.raises(zlib.error):
            answer_of(reading.reply()._replace(body=b"no such thing"))


def test_a_refusal_says_when_to_come_back() -> None:
    # Retry-After of a 429 is read as every client does.
    reading = Reading("GET")
    reading.feed(b"HTTP/1.1 429 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
    assert answer_of(reading.reply()) == (429, b"", 7.0)


@pytest.mark.parametrize(
    ("url", "location", "there"),
    [
        ("http://a:1/x", "/y?z", "http://a:1/y?z"),
        ("http://a:1/x/y", "z#part", "http://a:1/x/z"),
        ("http://a/x", "https://b", "https://b/"),
        ("http://a/x", "//c:3/d", "http://c:3/d"),
    ],
)
def test_a_redirect_leads_where_it_says(url: str, location: str, there: str) -> None:
    # Relative to the address that was asked for, without the fragment, with a path.
    assert onward(url, location) == there
    assert read_head(f"HTTP/1.1 302 Found\r\nLocation: {location}".encode()).location == location


def test_a_request_is_sent_to_its_origin() -> None:
    # Scheme, host and port say where, the rest what; what is no address of HTTP is refused.
    requests = Requests("epoll", ClientOptions(method="POST", user_agent="me"))
    origin, text = requests.to("https://[::1]:8443/a?b=c")
    assert origin == Origin(tls=True, host="::1", port=8443)
    assert text.startswith(b"POST /a?b=c HTTP/1.1\r\nHost: [::1]:8443\r\n")
    assert b"User-Agent: me\r\nContent-Length: 0\r\n\r\n" in text
    assert requests.to("http://a/")[0] == Origin(tls=False, host="a", port=80)
    with pytest.raises(BadAnswer):
        requests.to("ftp://a/")


class Ended:
    """A connection that only notes that it was closed."""

    def __init__(self) -> None:
        self.idle_since, self.open = 0.0, True

    def abort(self) -> None:
        """Note it."""
        self.open = False


def test_idle_connections_are_bounded_and_grow_old() -> None:
    # The one used last is taken first; too many and too old ones are closed; 0 lifts both bounds.
    origin, links = Origin(tls=False, host="a", port=1), [Ended() for _ in range(4)]
    idle: Idle[Ended] = Idle(Pool(keepalive=2, keepalive_s=10))
    for now, link in enumerate(links[:3]):
        idle.keep(origin, link, now)
    assert [link.open for link in links[:3]] == [True, True, False]
    assert idle.take(origin, 5) is links[1]
    assert idle.take(origin, 10.5) is None
    assert not links[0].open
    forever: Idle[Ended] = Idle(Pool(keepalive=0, keepalive_s=0))
    forever.keep(origin, links[3], 0)
    assert forever.take(Origin(tls=True, host="a", port=1), 0) is None
    assert forever.take(origin, 1e9) is links[3]


# epoll, by the rules of the clients that bring their own loop


@pytest.mark.parametrize(
    "rule",
    [
        test_runners.test_each_request_is_told_as_it_went,
        test_runners.test_the_pool_is_as_asked,
        test_runners.test_tls_is_verified,
        test_runners.test_nobody_listens_is_kind_connect,
    ],
    ids=lambda rule: rule.__name__,
)
def test_epoll_keeps_the_rules_of_runners(rule: Callable[[str, str, Path], None], tmp_path: Path) -> None:
    # What holds for every client that no loop of asyncio's runs holds for epoll, by the real worker.
    rule("epoll", "own", tmp_path)


def outcome(url: str, count: int, options: ClientOptions, workload: Workload | None = None) -> dict[str, int]:
    """Make requests with epoll in this process; the failures."""
    client = EpollClient()
    client.begin(options)
    try:
        return client.run(Urls(url, "/{i}", count), workload or Workload()).errors
    finally:
        client.end()


def test_epoll_opens_a_connection_for_each_request_without_a_limit() -> None:
    # 0 removes the limit: all are open at once, or the server would never answer.
    with serving() as server:
        assert outcome(f"{server.url}/together/105", 105, ClientOptions(pool=Pool(limit=0))) == {}
    assert server.open_at_most == 105


def test_epoll_has_as_many_under_way_as_there_are_workers() -> None:
    # A closed workload of 4 workers needs 4 connections.
    with serving() as server:
        assert outcome(server.url, 40, ClientOptions(), Workload(concurrency=4)) == {}
    assert server.open_at_most <= 4
    assert sum(server.paths.values()) == 40


def test_epoll_takes_nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # No proxy, no credentials; a live target is told who asks.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving() as server:
        assert outcome(server.url, 1, ClientOptions(user_agent="loopdiag/1.2.3")) == {}
        assert outcome(server.url, 1, ClientOptions()) == {}
    assert [headers["user-agent"].partition("/")[0] for headers in server.headers] == ["loopdiag", "loopdiag-epoll"]


@pytest.mark.parametrize("workload", [Workload(kind="open", rate_per_s=5), Workload(retries=1), Workload(plant=Plant(cpu_us=1))])
def test_what_epoll_has_no_loop_for_is_said(workload: Workload) -> None:
    # Arrivals, retries and plants are refused in one line, never ignored.
    with pytest.raises(Unavailable, match="closed workloads"):
        outcome("http://127.0.0.1:1", 1, ClientOptions(), workload)
    with pytest.raises(Unavailable, match="speaks HTTP"):
        EpollClient().begin(ClientOptions(http="2"))


def test_epoll_is_told_as_it_was(tmp_path: Path) -> None:
    # Every fate that needs no cancellation, under the instruments: attempts, statuses, ends and connections as the server saw them.
    record = tmp_path / "record"
    record.mkdir()
    with serving_fates(tmp_path) as server:
        fates = [fate for fate in MIXED if not fate.cancel]
        late = [
            Fate("slow", ("- timed_out",)),
            Fate("none", ("- timed_out",), listener="full"),
            Fate("none", ("- timed_out",), listener="mute"),
        ]
        urls = [f"{server.urls[fate.listener]}/{fate.path}/{number}" for number, fate in enumerate(fates, 1)]
        options = {"ca_file": str(tmp_path / "ca.pem")}
        told = run([str(PROGRAM)], record, json.dumps({"groups": [{"options": options | {"timeout_s": 30}, "urls": urls}]}))
        assert isinstance(told, dict)
        spec = TrialSpec(id="t", arm=Arm(client="epoll", loop="own"), n=len(urls), tier="timeline", repetition=0, seed=1)
        tables = columns.load(record)
        line = resolve(tables, TrialResult(spec=spec, status="ok", t0_ns=told["began_ns"]))
        check_lives(line)
        found = {number: [summary(attempt) for attempt in attempts] for number, attempts in by_request(line).items()}
        assert found == {number: sorted_words(list(fate.attempts)) for number, fate in enumerate(fates, 1)}
        check_account(matched(line, tables, server.account), told["began_ns"])
        accepted = connected(line, tables, server.account)
        assert all(link.requests == accepted[link.number].requests for link in line.connections if link.number in accepted)
        slow = [f"{server.urls[fate.listener]}/{fate.path}/{number}" for number, fate in enumerate(late, 1)]
        again = tmp_path / "late"
        again.mkdir()
        said = run([str(PROGRAM)], again, json.dumps({"groups": [{"options": options | {"timeout_s": 0.3}, "urls": slow}]}))
        assert isinstance(said, dict)
        assert said["errors"] == [{"timeout": 3}]


# what a scenario may ask


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'arms = ["epoll/own"]\n[workload]\nretries = 1\n[target.service]\nrate_per_s = 5',
            "workload.retries: the client epoll has no loop",
        ),
        ('arms = ["epoll/own"]\n[workload.plant]\ncpu_us = 1', "workload.plant.cpu_us: the client epoll has no loop"),
        ('arms = ["streams/asyncio"]\n[target]\nhttp = "2"', "target.http: the clients epoll, protocol and streams"),
        ('arms = ["aiohttp/asyncio"]\n[ladder]\nrungs = ["epol", "aiohttp"]', "ladder.rungs: expected names of clients"),
        ('arms = ["aiohttp/asyncio"]\n[ladder]\nrungs = ["aiohttp"]', "ladder.rungs: expected at least two"),
    ],
)
def test_scenarios_that_ask_too_much_are_refused(text: str, said: str, tmp_path: Path) -> None:
    # One line, with the key and what would be right.
    with pytest.raises(InputError) as fault:
        parse_scenario(text, source="x.toml", folder=tmp_path, default_name="x")
    assert any(said in line for line in fault.value.faults), fault.value.faults
