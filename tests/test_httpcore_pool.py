"""httpcore's and httpcore2's instruments in real processes: streams of HTTP/2, seams that are missing, public events as a second witness, lost slots, addresses."""

import socket
from collections import defaultdict
from pathlib import Path

import pytest
from httpx_parts import MS, Observation, http1, http2, observe

from loopdiag.instruments.httpcore_events import EVENTS, FIRST_EVENT
from loopdiag.lab.clients import httpx2
from loopdiag.model.events import PHASES, legal

LOOPS = ("asyncio", "uvloop")
LIBRARIES = ("httpx", "httpx2")
each = pytest.mark.parametrize(("library", "loop"), [(library, loop) for library in LIBRARIES for loop in LOOPS])

STREAMS = """
async def main():
    async with lib.AsyncClient(http2=True, http1=False, timeout=30) as client:
        await asyncio.gather(*[client.get(f"{url}/{i}?think={70 * (i % 3)}&gap={70 * (i % 2)}&size={i * 1000}") for i in range(1, 9)])
go(main())
"""


@each
def test_each_stream_is_charged_to_its_own_request(tmp_path: Path, library: str, loop: str) -> None:
    # eight answers over one connection, read by whichever task waits: first and last byte are within 50 ms of what the server sent when (70 ms apart), and the sizes are each one's own
    with http2() as server:
        seen = observe(tmp_path, STREAMS, library, loop, server)
    (link,) = seen.line.connections
    assert link.requests == 8
    assert seen.line.faults == ()
    assert sum("reused" in attempt.flags for attempt in seen.line.attempts) == 7
    for number in range(1, 9):
        attempt, true = seen.of(number), server.seen[str(number)]
        assert "http2" in attempt.flags
        assert attempt.connection == link.number
        assert abs(seen.at(number, "first_byte") - true.head) <= 50 * MS
        assert abs(seen.at(number, "last_byte") - true.sent) <= 50 * MS
        assert seen.at(number, "send_start") <= true.received
        assert attempt.stamps["resumed"] <= attempt.stamps["stream"] <= attempt.stamps["send_start"] <= attempt.stamps["send_end"]
        assert attempt.wire_bytes is not None
        assert 0 < attempt.wire_bytes - number * 1000 < 100
        order = sorted(
            (at, list(attempt.stamps).index(name), name) for name, at in attempt.stamps.items() if name not in {"due", "released"}
        )
        assert legal([name for *_, name in order]) is None, order
        assert {phase.name for phase in attempt.phases} <= set(PHASES)


@each
def test_waiting_for_a_stream_is_seen(tmp_path: Path, library: str, loop: str) -> None:
    # the server allows one stream at a time: the second request has its connection at once, and its stream when the first's answer of 80 ms is there
    program = STREAMS.replace("range(1, 9)", "(1, 2)").replace("{70 * (i % 3)}", "80").replace("{70 * (i % 2)}", "0")
    with http2(streams=1) as server:
        seen = observe(tmp_path, program, library, loop, server)
    first, second = sorted((seen.of(1), seen.of(2)), key=lambda attempt: attempt.stamps["stream"])
    assert second.stamps["stream"] - second.stamps["resumed"] >= 70 * MS
    assert second.stamps["stream"] >= first.stamps["last_byte"]
    assert sum(p.end_ns - p.start_ns for p in second.phases if p.name == "stream") >= 70 * MS


#: the library is imported, and given to what waits for it without a name that only the library itself then has again
WITHOUT = """
import importlib, sys
import loopdiag_instruments.on_import as imports
name = sys.argv[1].replace("httpx", "httpcore")
held = imports._finder.watched.pop(name)
core = importlib.import_module(name)
part = lambda at: importlib.import_module(name + at)
owner, gone = OWNER, NAME
kept = vars(owner)[gone]
delattr(owner, gone)
for callback in held:
    callback(core)
setattr(owner, gone, kept)
"""
FOUR = """
async def main():
    async with lib.AsyncClient(limits=lib.Limits(max_connections=2), timeout=30) as client:
        await asyncio.gather(*[client.get(f"{url}/{i}?think=20") for i in range(1, 5)])
go(main())
"""


def columns_of(seen: Observation) -> set[str]:
    """The columns in which at least one row has a stamp."""
    tables = {name: seen.tables[name][1:] for name in ("attempts", "connections")}
    return {f"{name}.{column}" for name, rows in tables.items() for column in rows.dtype.names or () if rows[column].any()}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("remove", "lost", "kept"),
    [
        (
            'part("._async.connection_pool").AsyncPoolRequest.clear_connection',
            {"attempts.assigned", "attempts.assignments"},
            {"attempts.enqueued", "attempts.resumed", "attempts.first_byte", "connections.made"},
        ),
        (
            'part("._async.connection").AsyncHTTPConnection._connect',
            {"attempts.resumed"},
            {
                "attempts.assigned",
                "attempts.first_byte",
                "attempts.last_byte",
                "connections.made",
                "connections.tcp_start",
                "connections.tcp_end",
            },
        ),
        (
            'part("._async.http11").AsyncHTTP11Connection._response_closed',
            {"attempts.first_byte", "attempts.last_byte", "attempts.wire_bytes"},
            {"attempts.send_start", "attempts.send_end", "attempts.headers", "attempts.released", "attempts.assigned"},
        ),
        (
            'importlib.import_module("anyio._backends._asyncio").StreamProtocol.data_received',
            {"attempts.first_byte", "attempts.last_byte", "attempts.wire_bytes"},
            {"attempts.send_start", "attempts.send_end", "attempts.headers", "connections.tcp_end", "connections.local_port"},
        ),
        (
            'importlib.import_module("anyio._backends._asyncio").StreamProtocol.connection_made',
            {"connections.local_port", "connections.address_attempts"},
            {"connections.tcp_start", "connections.tcp_end", "connections.made", "attempts.first_byte"},
        ),
    ],
)
def test_what_is_missing_takes_only_its_own_columns(tmp_path: Path, library: str, remove: str, lost: set[str], kept: set[str]) -> None:
    # a name that is gone leaves its columns unobserved, each with the reason; other groups of seams stay, and public events stand in where they tell the truth
    owner, name = remove.rsplit(".", 1)
    with http1() as server:
        seen = observe(tmp_path, FOUR, library, "asyncio", server, first=WITHOUT.replace("OWNER", owner).replace("NAME", repr(name)))
    there = columns_of(seen)
    assert not lost & there
    assert kept <= there
    for column in lost:
        assert "is not there" in seen.account["not_observed"][column]
    assert not kept & set(seen.account["not_observed"])


VERIFY = """
heard = told["heard"] = []
async def main():
    async with lib.AsyncClient(HTTP limits=lib.Limits(max_connections=2), timeout=30, verify=context) as client:
        async def trace(name, info):
            heard.append(name)
        await asyncio.gather(*[client.get(f"{url}/{i}?think=20&size=50000", extensions={"trace": trace}) for i in range(1, 9)])
go(main())
"""

#: event → our stamp of the same attempt that it may not come before (">") or after ("<"), by what each of them means
RELATIONS = {
    "http11.send_request_headers.started": ("<", "send_start"),
    "http11.send_request_headers.complete": (">", "send_start"),
    "http11.send_request_body.complete": ("<", "send_end"),
    "http11.receive_response_headers.started": ("<", "send_end"),
    "http11.receive_response_headers.complete": ("<", "headers"),
    "http11.receive_response_body.started": (">", "headers"),
    "http11.receive_response_body.complete": (">", "last_byte"),
    "http11.response_closed.started": ("<", "released"),
    "http11.response_closed.complete": (">", "released"),
    "http2.send_request_headers.started": ("<", "stream"),
    "http2.send_request_headers.complete": (">", "send_start"),
    "http2.send_request_body.complete": ("<", "send_end"),
    "http2.receive_response_headers.complete": (">", "first_byte"),
    "http2.receive_response_body.complete": (">", "last_byte"),
    "http2.response_closed.complete": (">", "released"),
}
LINK_RELATIONS = {
    "connection.connect_tcp.started": ("<", "tcp_start"),
    "connection.connect_tcp.complete": (">", "tcp_end"),
    "connection.start_tls.started": ("<", "tls_start"),
    "connection.start_tls.complete": (">", "tls_end"),
}
TICK = 128


@pytest.mark.parametrize("http", ["http1", "http2"])
@each
def test_public_events_bear_our_stamps_out(tmp_path: Path, library: str, loop: str, http: str) -> None:
    # in the verify mode each public event is recorded, lies on the right side of our stamp of the same thing, and still reaches the program's own callback
    options = "http2=True, http1=False," if http == "http2" else ""
    with http2() if http == "http2" else http1() as server:
        seen = observe(tmp_path, VERIFY.replace("HTTP", options), library, loop, server, verify=True)
    checked = defaultdict(int)
    attempts, links, events = seen.tables["attempts"], seen.tables["connections"], seen.tables["events"][1:]
    names = [EVENTS[event["event"] - FIRST_EVENT] for event in events]
    assert sorted(names) == sorted(name for name in seen.told["heard"] if name in EVENTS)
    for event, name in zip(events, names, strict=True):
        row = attempts[event["row"]]
        side, stamp = RELATIONS.get(name) or LINK_RELATIONS.get(name) or ("", "")
        if not side:
            continue
        ours = row if name in RELATIONS else links[row["connection"]]
        if name in LINK_RELATIONS and ours["request"] != row["request"]:
            continue
        apart = (int(ours[stamp]) - (int(event["t0"]) >> 7) + (1 << 31)) % (1 << 32) - (1 << 31)
        assert ours[stamp]
        assert apart >= -1 if side == "<" else apart <= 1, (name, stamp, apart * TICK)
        checked[name] += 1
    prefix = "http11." if http == "http1" else "http2."
    assert all(checked[name] == 8 for name in RELATIONS if name.startswith(prefix)), checked
    assert checked["connection.connect_tcp.started"] == len(seen.line.connections)


ORPHAN = """
async def main():
    client = lib.AsyncClient(limits=lib.Limits(max_connections=1), timeout=30)
    async def first():
        await client.get(f"{url}/1close?think=50")
        waiting.cancel()  # it has just been given a connection that nobody has opened
    task = asyncio.ensure_future(first())
    await asyncio.sleep(0.02)
    waiting = asyncio.ensure_future(client.get(f"{url}/2"))
    await asyncio.wait([task, waiting])
    told["cancelled"] = waiting.cancelled()
    await client.aclose()
go(main())
"""


@each
def test_slots_that_a_cancelled_request_left_behind_are_counted(tmp_path: Path, library: str, loop: str) -> None:
    # the pool gave a waiting request a connection to open, and it was cancelled before it ran: httpcore 1.x keeps the slot for ever, and we count it; httpcore2 does not
    with http1() as server:
        seen = observe(tmp_path, ORPHAN, library, loop, server)
    assert seen.told["cancelled"]
    assert seen.account["counters"]["pool_orphans"] == (1 if library == "httpx" else 0)


ADDRESSES = """
async def main():
    where = asyncio.get_running_loop()
    port = int(url.rsplit(":", 1)[1])
    async def getaddrinfo(host, port, **more):
        import socket
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
    type(where).getaddrinfo = lambda self, *args, **more: getaddrinfo(*args, **more)
    async with lib.AsyncClient(timeout=30) as client:
        await client.get(f"http://name.test:{port}/1")
go(main())
"""


@each
def test_every_address_that_is_tried_is_counted_and_the_winner_stands(tmp_path: Path, library: str, loop: str) -> None:
    # the first address does not answer, the second is tried 250 ms after the look-up and wins: two attempts, one connect that ended with the winner, whose port is ours
    with http1() as server:
        port = int(server.url.rsplit(":", 1)[1])
        with socket.socket() as silent:  # a queue for none, filled by us: what comes after is not answered
            silent.bind(("127.0.0.2", port))
            silent.listen(0)
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.2", port))
            seen = observe(tmp_path, ADDRESSES, library, loop, server)
            for filler in fillers:
                filler.close()
    (link,) = seen.line.connections
    assert link.address_attempts == 2
    assert 150 * MS <= link.stamps["tcp_end"] - link.stamps["tcp_start"] <= 900 * MS
    assert seen.tables["connections"]["local_port"][1] > 0
    assert link.stamps["tcp_end"] <= link.stamps["made"] <= seen.of(1).stamps["send_start"]


def test_both_libraries_in_one_process_keep_apart(tmp_path: Path) -> None:
    # httpx and httpx2 stand on one h11 and one anyio: each stamp is written once, on its own rows
    program = """
import httpx, httpx2
async def main():
    async with httpx.AsyncClient() as one, httpx2.AsyncClient() as two:
        for round in range(2):
            await asyncio.gather(one.get(f"{url}/{round}a?think=50&size=1000"), two.get(f"{url}/{round}b?think=100&size=2000"))
go(main())
"""
    with http1() as server:
        seen = observe(tmp_path, program, "httpx", "asyncio", server)
    by_time = sorted(seen.line.attempts, key=lambda attempt: attempt.stamps["enqueued"])
    assert len(by_time) == 4
    assert {attempt.assignments for attempt in by_time} == {1}
    for attempt, size, think in zip(by_time, (1000, 2000) * 2, (50, 100) * 2, strict=True):
        assert attempt.wire_bytes is not None
        assert size < attempt.wire_bytes < size + 100
        assert think * MS <= attempt.stamps["first_byte"] - attempt.stamps["send_start"] <= (think + 45) * MS
    assert [link.requests for link in seen.line.connections] == [2, 2]


def test_an_absent_httpx2_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # the fork is an optional part: without it, the client says how to get it
    monkeypatch.setattr(httpx2, "find_spec", lambda _: None)
    assert 'pip install "loopdiag[httpx2]"' in (httpx2.Httpx2Client.available() or "")
