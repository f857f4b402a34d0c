"""The aiohttp instrument: grants, kernel stamps, ends of connections; what is left of it where a seam is missing; the public events as witnesses."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp_parts import LOOPS, Origin, Seen, observe, origin

from loopdiag.instruments import kernel_receive, sockets
from loopdiag.instruments.aiohttp_events import EVENTS
from loopdiag.instruments.context import A, C, Rows
from loopdiag.instruments.recorder import now
from loopdiag.instruments.schema import MASK, TICK_SHIFT

MS = 1_000_000

both_loops = pytest.mark.parametrize("loop", LOOPS)

GATHER = """
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session:
        return await asyncio.gather(*(get(session) for _ in range(6)))
"""


@pytest.fixture(scope="module")
def plain() -> Iterator[Origin]:
    """An origin over http."""
    with origin() as started:
        yield started


@both_loops
def test_a_grant_is_stamped_when_it_is_given(plain: Origin, tmp_path: Path, loop: str) -> None:
    # `assigned` is when a connection was released to the one that waited, though its task could run only 100 ms later
    program = """
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        async def hold():
            async with session.get(URL) as response:
                await response.read()  # releases, and so grants
                time.sleep(0.1)
        await asyncio.gather(hold(), get(session))
"""
    held, waited = observe(program, loop, plain, tmp_path, path="/?think=20").attempts
    assert 0 <= waited.stamps["assigned"] - held.stamps["released"] <= 50 * MS
    assert waited.stamps["resumed"] - waited.stamps["assigned"] >= 80 * MS
    assert (held.assignments, waited.assignments) == (1, 1)


@both_loops
def test_a_grant_that_another_took_is_counted(plain: Origin, tmp_path: Path, loop: str) -> None:
    # who is woken and finds the connection taken waits on: each grant counts, and the last one stands
    program = """
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        async def greedy():
            for _ in range(3):
                await get(session)  # the release wakes the one that waits, and the same step takes the connection again
        async def patient():
            await get(session)
        await asyncio.gather(greedy(), patient())
"""
    seen = observe(program, loop, plain, tmp_path, path="/?think=10")
    patient = next(attempt for attempt in seen.attempts if attempt.request == 2)
    assert (patient.assignments or 0) > 1
    last = max(
        attempt.stamps["released"]
        for attempt in seen.attempts
        if attempt.request != 2 and attempt.stamps["released"] < patient.stamps["resumed"]
    )
    assert 0 <= patient.stamps["assigned"] - last <= 50 * MS


@both_loops
def test_connections_tell_how_they_ended(plain: Origin, tmp_path: Path, loop: str) -> None:
    # closed, round trip and retransmits are known of every connection, whichever side closed it
    program = """
async def main():
    async with aiohttp.ClientSession() as session:
        await get(session)
        await get(session, URL + "?leave=1")
        await asyncio.sleep(0.05)
        await get(session)
    await asyncio.sleep(0.01)
"""
    seen = observe(program, loop, plain, tmp_path)
    left, own = seen.timeline.connections
    assert (left.requests, own.requests) == (2, 1)
    assert left.stamps["closed"] <= seen.attempts[2].stamps["enqueued"]
    assert own.stamps["closed"] >= seen.attempts[2].stamps["released"]
    for link in (left, own):
        assert 0 < (link.rtt_us or 0) < 20_000  # on loopback
        assert link.retransmits == 0


@both_loops
def test_every_address_that_was_tried_is_counted(plain: Origin, tmp_path: Path, loop: str) -> None:
    # one connect a socket: two where the first address refuses
    program = """
class Two(AbstractResolver):
    async def resolve(self, host, port=0, family=0):
        return [dict(hostname=host, host=f"127.0.0.{n}", port=port, family=2, proto=6, flags=0) for n in (2, 1)]
    async def close(self):
        pass

async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Two())) as session:
        await get(session, URL.replace("127.0.0.1", "a.test"))
        await get(session)
"""
    seen = observe(program, loop, plain, tmp_path)
    assert [link.address_attempts for link in seen.timeline.connections] == [2, 1]


def test_a_programs_own_sockets_are_left_alone(plain: Origin, tmp_path: Path) -> None:
    # with a socket_factory of its own a program gets the very sockets that it made, their connects counted and their reads not stamped
    program = """
import socket
made = []

def factory(address):
    made.append(socket.socket(*address[:3]))
    return made[-1]

async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=factory)) as session:
        async with session.get(URL) as response:
            same = response.connection is None or response.connection.transport.get_extra_info("socket")._sock is made[0]
            await response.read()
    return [len(made), same, type(made[0]) is socket.socket]
"""
    seen = observe(program, "asyncio", plain, tmp_path, path="/?n=3000&gap=20")
    assert seen.said == [1, True, True]
    assert seen.timeline.connections[0].address_attempts == 1
    assert "rx_kernel" not in seen.attempts[0].stamps
    assert "socket_factory" in seen.observed.not_observed["attempts.rx_kernel"]


def test_the_last_read_has_a_stamp_of_its_own(plain: Origin, tmp_path: Path) -> None:
    # head and body 50 ms apart: each read's stamp is the kernel's for it
    program = """
async def main():
    async with aiohttp.ClientSession() as session:
        return [await get(session), await get(session)]
"""
    seen = observe(program, "asyncio", plain, tmp_path, path="/?n=3000&gap=50")
    for attempt, answer in zip(seen.attempts, seen.said, strict=True):
        assert answer["begun"] - MS <= attempt.stamps["rx_kernel"] <= attempt.stamps["first_byte"]
        assert answer["body"] - MS <= attempt.stamps["rx_last"] <= attempt.stamps["last_byte"]
        assert attempt.stamps["rx_last"] - attempt.stamps["rx_kernel"] >= 45 * MS


def test_an_answer_of_many_segments_does_not_flag_the_next(plain: Origin, tmp_path: Path) -> None:
    # what came coalesced before a request says nothing of its own first read
    program = """
async def main():
    async with aiohttp.ClientSession() as session:
        await get(session, URL + "?n=3000000")
        await get(session)
        await get(session)
"""
    seen = observe(program, "asyncio", plain, tmp_path)
    assert seen.attempts[1].connection == seen.attempts[0].connection
    assert ["rx_coalesced" in attempt.flags for attempt in seen.attempts[1:]] == [False, False]


# --- what is left where a seam is missing

MISSING = {
    "connector": (
        "del aiohttp.connector.BaseConnector._release",
        {"attempts.released", "attempts.first_byte"},
        {"enqueued", "assigned", "resumed", "headers", "body"},
    ),
    "waiters": (
        "del aiohttp.connector.BaseConnector._release_waiter",
        {"attempts.assigned"},
        {"enqueued", "resumed", "first_byte", "body"},
    ),
    "set_up": (
        "aiohttp.connector.TCPConnector._resolve = aiohttp.connector.TCPConnector._resolve_host; del aiohttp.connector.TCPConnector._resolve_host",
        {"connections.tcp_start", "connections.local_port"},
        {"enqueued", "resumed", "first_byte", "body"},
    ),
    "closing": (
        "del aiohttp.client_proto.ResponseHandler.close",
        {"connections.closed", "connections.rtt_us"},
        {"enqueued", "resumed", "first_byte", "body"},
    ),
    "receive": (
        "aiohttp.connector.aiohappyeyeballs.start_connection = older",
        {"attempts.rx_kernel"},
        {"enqueued", "resumed", "first_byte", "body"},
    ),
    "wire": (
        "del aiohttp.http_writer.StreamWriter._writelines",
        {"attempts.send_start", "attempts.first_byte"},
        {"enqueued", "resumed", "headers", "body"},
    ),
    "response": ("del aiohttp.client_reqrep.ClientResponse._body", set(), {"enqueued", "resumed", "first_byte", "headers"}),
}
#: with `missing` gone while the instrument is installed, and back for the program, which runs on whatever aiohttp it has
DEGRADED = """
import sys
import loopdiag_instruments.on_import as on
held = on._finder.watched.pop("aiohttp")
import aiohttp, aiohttp.client_proto, aiohttp.client_reqrep, aiohttp.connector, aiohttp.http_writer
kept = [(owner, dict(vars(owner))) for owner in (
    aiohttp.connector.BaseConnector, aiohttp.connector.TCPConnector, aiohttp.client_proto.ResponseHandler,
    aiohttp.http_writer.StreamWriter, aiohttp.client_reqrep.ClientResponse)]
newest = aiohttp.connector.aiohappyeyeballs.start_connection
async def older(addr_infos, *, local_addr_infos=None, happy_eyeballs_delay=None, interleave=None, loop=None):
    return await newest(addr_infos, local_addr_infos=local_addr_infos, happy_eyeballs_delay=happy_eyeballs_delay, interleave=interleave, loop=loop)
{missing}
for callback in held:
    callback(sys.modules["aiohttp"])
for owner, names in kept:
    for name, value in names.items():
        if name not in vars(owner):
            setattr(owner, name, value)
if "older" in {missing!r}:
    watched = aiohttp.connector.aiohappyeyeballs.start_connection
    async def adapted(*args, socket_factory=None, **kwargs):
        return await watched(*args, **kwargs)
    aiohttp.connector.aiohappyeyeballs.start_connection = adapted
"""


def without(group: str, loop: str, target: Origin, folder: Path, program: str = GATHER, **more: Any) -> Seen:
    """What is seen of `program` without a group of seams."""
    return observe(program, loop, target, folder, before=DEGRADED.format(missing=MISSING[group][0]), **more)


@both_loops
@pytest.mark.parametrize("group", MISSING)
def test_what_a_missing_seam_stamped_is_not_observed_and_the_rest_is(plain: Origin, tmp_path: Path, loop: str, group: str) -> None:
    # the columns that only the missing seams could stamp are named with the reason, and stay empty; the others are stamped as ever, or by public events
    _, lost, left = MISSING[group]
    seen = without(group, loop, plain, tmp_path, path="/?think=10")
    assert len(seen.attempts) == 6
    assert "is not there" in seen.observed.not_observed["aiohttp_pool"]
    assert lost <= set(seen.observed.not_observed)
    for attempt in seen.attempts:
        assert left <= set(attempt.stamps)
        if group != "waiters":  # there the resume stands for the grant
            assert not {f"attempts.{name}" for name in attempt.stamps} & lost
    for link in seen.timeline.connections:
        assert not {f"connections.{name}" for name in link.stamps} & lost
    assert not [fault for fault in seen.timeline.faults if " after " in fault]  # what is left runs forwards


@both_loops
@pytest.mark.parametrize("group", ["connector", "set_up", "response"])
def test_public_events_tell_what_they_can(plain: Origin, tmp_path: Path, loop: str, group: str) -> None:
    # where a core seam is missing, its columns are told by events and said to be; waits, set-ups and answers are still seen
    seen = without(group, loop, plain, tmp_path, path="/?think=30")
    (warning,) = (line for line in seen.observed.warnings if "public events" in line)
    told = {"connector": "attempts.enqueued", "set_up": "connections.made", "response": "attempts.headers"}[group]
    assert told in warning
    assert told not in seen.observed.not_observed
    waited = [attempt for attempt in seen.attempts if attempt.stamps["resumed"] - attempt.stamps["enqueued"] >= 25 * MS]
    assert len(waited) >= 4
    assert len(seen.timeline.connections) == 2
    assert all("made" in link.stamps for link in seen.timeline.connections)
    if group != "connector":
        assert all(attempt.status == 200 for attempt in seen.attempts)
        assert sum(link.requests for link in seen.timeline.connections) == (6 if group == "response" else 2)


def test_an_error_in_an_answer_of_an_unknown_kind_is_the_programs_own(plain: Origin, tmp_path: Path) -> None:
    # what goes wrong while an answer is read comes to the program as it is, also where answers cannot be watched
    program = """
async def main():
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(URL) as response:
                raise ValueError("the program's own")
        except ValueError as error:
            return str(error)
"""
    assert without("response", "asyncio", plain, tmp_path, program, path="/?gap=2000").said == "the program's own"


def test_events_keep_attempts_apart(plain: Origin, tmp_path: Path) -> None:
    # a redirect is two attempts by the events, too
    program = """
async def main():
    async with aiohttp.ClientSession() as session:
        await get(session)
"""
    seen = without("connector", "asyncio", plain, tmp_path, program, path="/?redirect=/")
    assert [(attempt.number, attempt.status) for attempt in seen.attempts] == [(0, 302), (1, 200)]


def test_nothing_listens_but_where_it_must(plain: Origin, tmp_path: Path) -> None:
    # no TraceConfig is in a session unless a seam is missing or the verify mode asks for it
    program = """
async def main():
    async with aiohttp.ClientSession() as session:
        await get(session)
        return len(session.trace_configs)
"""
    assert observe(program, "asyncio", plain, tmp_path).said == 0
    assert not (tmp_path / "events.npy").exists()
    (tmp_path / "verify").mkdir()
    assert observe(program, "asyncio", plain, tmp_path / "verify", verify=True).said == 1


# --- the public events as witnesses

#: event → (stamp that it cannot come before, stamp that it cannot come after), of the attempt or its connection; "" for none
RELATIONS = {
    "request_start": ("first_run", "enqueued"),
    "connection_queued_start": ("enqueued", "assigned"),
    "connection_queued_end": ("assigned", "resumed"),
    "connection_create_start": ("enqueued", "dns_start"),
    "dns_cache_miss": ("dns_start", "dns_end"),
    "dns_resolvehost_start": ("dns_start", "dns_end"),
    "dns_resolvehost_end": ("dns_start", "dns_end"),
    "dns_cache_hit": ("dns_start", "dns_end"),
    "connection_create_end": ("made", "resumed"),
    "connection_reuseconn": ("enqueued", "resumed"),
    "request_headers_sent": ("resumed", "send_start"),  # too early, as ever
    "request_chunk_sent": ("resumed", "first_byte"),
    "request_redirect": ("first_byte", ""),
    "request_end": ("headers", "body"),
    "request_exception": ("enqueued", ""),
    "response_chunk_received": ("last_byte", ""),
}


@both_loops
def test_every_public_event_agrees_with_the_stamps(plain: Origin, tmp_path: Path, loop: str) -> None:
    # each event lies where it must between our stamps, over new and reused connections, waiting, look-ups, bodies, a redirect and a failure
    program = """
class Slow(AbstractResolver):
    async def resolve(self, host, port=0, family=0):
        await asyncio.sleep(0.02)
        return [dict(hostname=host, host="127.0.0.1", port=port, family=2, proto=6, flags=0)]
    async def close(self):
        pass

async def main():
    base = URL.replace("127.0.0.1", "a.test")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2, resolver=Slow())) as session:
        await asyncio.gather(*(get(session, base + "?think=10") for _ in range(6)))
        await get(session, base + "?redirect=/")
        async with session.get(base, data=b"asked") as response:
            await response.read()
        try:
            await get(session, "http://127.0.0.1:1/")
        except aiohttp.ClientError:
            pass
"""
    seen = observe(program, loop, plain, tmp_path, verify=True)
    rows = seen.tables["events"][1:]
    assert {EVENTS[number] for number in rows["event"]} == set(RELATIONS)
    attempts = {int(number): attempt for number, attempt in zip(range(1, len(seen.attempts) + 1), seen.attempts, strict=True)}
    for row in rows:
        name, at, attempt = EVENTS[row["event"]], int(row["t0"]), attempts[int(row["row"])]
        links = {link.number: link.stamps for link in seen.timeline.connections}
        stamps = attempt.stamps | {k: v for k, v in links.get(attempt.connection or 0, {}).items() if k not in attempt.stamps}
        after, before = RELATIONS[name]
        assert after in stamps, (name, attempt)
        assert stamps[after] <= at + 128, (name, attempt)
        assert not before or before not in stamps or at <= stamps[before] + 128, (name, attempt)


# --- parts


def test_a_step_of_the_wall_clock_is_told_and_its_stamps_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a clock that was set ahead puts a stamp into the future: that one is not recorded, the step is warned of, and the next is right again
    rows = Rows(str(tmp_path))
    ahead = 0
    wall = kernel_receive.time.time_ns
    monkeypatch.setattr(kernel_receive.time, "time_ns", lambda: wall() + ahead)
    first, _ = kernel_receive.watcher(rows)

    def received() -> int | None:
        """How long ago a read was stamped that is stamped now, in nanoseconds; None where it was not recorded."""
        row = rows.attempts.open()
        rows.attempts.words[row + A["send_start"]] = now() >> TICK_SHIFT & MASK
        with kernel_receive.StampedSocket() as sock:
            sock.received = kernel_receive.TIMESPEC.pack(*divmod(kernel_receive.time.time_ns(), 1_000_000_000))
            first(row, sock, now())
        stamp = rows.attempts.words[row + A["rx_kernel"]]
        return ((now() >> TICK_SHIFT) - stamp & MASK) << TICK_SHIFT if stamp else None

    assert (received() or 0) <= 500 * MS
    ahead = 3_600_000_000_000
    assert received() is None
    assert rows.counters["clock_steps"] == 1
    assert "+3600." in rows.warnings[0]
    assert received() is not None
    ahead = 0
    assert received() is None  # set back: long before its request
    assert rows.counters["clock_steps"] == 2
    assert received() is not None


def test_stamped_sockets_read_as_sockets_do() -> None:
    # every way of reading gives what a plain socket gives
    with socket.create_server(("127.0.0.1", 0)) as listening, kernel_receive.StampedSocket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.connect(listening.getsockname())
        other, _ = listening.accept()
        with other:
            other.sendall(b"abcdefgh")
            buffer = bytearray(4)
            assert sock.recv(2) == b"ab"
            assert sock.recv(1, socket.MSG_PEEK) == b"c"
            assert sock.recv_into(buffer, 2) == 2
            assert sock.recv_into(buffer) == 4
            assert buffer == b"efgh"
        assert sock.recv(10) == b""
        assert sock.received == b""


def test_closing_never_raises_and_counts_once() -> None:
    # a transport without a socket, or with one that is gone, is closed all the same; what cannot be read stays 0
    links = memoryview(bytearray(4 * 100)).cast("I")
    for transport in (None, asyncio.Transport(), asyncio.Transport({"socket": None}), asyncio.Transport({"socket": socket.socket()})):
        links[C["closed"] + 1] = 0
        if transport is not None and isinstance(transport.get_extra_info("socket"), socket.socket):
            transport.get_extra_info("socket").close()
        sockets.closing(links, 1, transport)
        assert links[C["closed"] + 1]
        assert (links[C["rtt_us"] + 1], links[C["retransmits"] + 1]) == (0, 0)
    links[C["closed"] + 1] = 7
    sockets.closing(links, 1, None)
    assert links[C["closed"] + 1] == 7
    sockets.closing(links, 0, None)
    assert links[C["closed"]] == 0
