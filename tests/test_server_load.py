"""A target that computes, a target on a slow link, a target with few streams: each is what the scenario says, and its stamps tell so."""

import asyncio
import socket
from collections.abc import Callable
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_parts import READ_TIMEOUT_S, Line, on_uvloop, port_of, scenario, serving, until

from loopdiag.errors import InputError
from loopdiag.lab.scenario_file import parse_scenario
from loopdiag.lab.servers import SERVERS, link
from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.core import Core
from loopdiag.lab.servers.limits import Limits
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.servers.witness import Witness
from loopdiag.model.scenario import Payload, Service

MS = 1_000_000
COST_MS = 20
ROUNDS = 10


def asked(server: TargetServer, count: int) -> list[bytes]:
    """The bodies of requests made at once, in their order."""

    async def main() -> list[bytes]:
        second = server.name == "http2"
        async with httpx.AsyncClient(http2=second, http1=not second, trust_env=False, timeout=READ_TIMEOUT_S) as made:
            answers = await asyncio.gather(*(made.get(f"{server.url}/{i}") for i in range(1, count + 1)))
            assert {answer.status_code for answer in answers} == {200}
            return [answer.content for answer in answers]

    return asyncio.run(main())


# the CPU


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_the_server_computes_for_one_request_at_a_time(http: str, tmp_path: Path) -> None:
    # answers begin one cost after the other, while all requests are received before most are answered; the CPU is really spent
    early = []  # of each round, whether: a client that gets no core sends its requests late
    with TargetServer.start(scenario(http=http, service=Service(cpu_us=COST_MS * 1000))) as server:
        asked(server, 1)  # imports, connections
        server.collect(None)
        while not any(early) and len(early) < ROUNDS:
            before = server.cpu_ns()
            asked(server, 8)
            spent_ns = server.cpu_ns() - before
            (folder := tmp_path / str(len(early))).mkdir()
            server.collect(folder)
            rows = np.load(folder / "server_requests.npy")
            begun = np.sort(rows["begun_ns"])
            assert len(begun) == 8
            assert np.diff(begun).min() >= 0.98 * COST_MS * MS
            assert (rows["begun_ns"] - rows["received_ns"]).min() >= 0.98 * COST_MS * MS
            assert spent_ns >= 0.98 * 8 * COST_MS * MS
            early.append(rows["received_ns"].max() < begun[5])
    assert any(early)


def test_the_core_serves_in_order_and_lets_the_loop_go_round() -> None:
    # between two computations whatever else is ready runs; who enters while another leaves is not forgotten
    async def main() -> list[str]:
        loop, seen = asyncio.get_running_loop(), list[str]()
        core = Core(loop, 1000)
        for name in "ab":
            core.enter(lambda name=name: (seen.append(name), core.enter(lambda: seen.append(name + name))))  # type: ignore[misc] # binds the loop's value
        loop.call_soon(seen.append, "other")
        while len(seen) < 5:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
        return seen

    assert asyncio.run(main()) == ["a", "other", "b", "aa", "bb"]


def test_without_a_cost_nobody_waits() -> None:
    # the core of everyone else calls at once, inside the same call
    async def main() -> list[int]:
        seen: list[int] = []
        Core(asyncio.get_running_loop(), 0).enter(lambda: seen.append(1))
        return seen

    assert asyncio.run(main()) == [1]


def test_a_request_that_fails_leaves_the_core_to_the_next() -> None:
    # a fault of one answer is the loop's to tell, and stops nobody else
    async def main() -> list[object]:
        loop, seen = asyncio.get_running_loop(), list[object]()
        loop.set_exception_handler(lambda _, context: seen.append(type(context["exception"])))
        core = Core(loop, 1000)

        def fail() -> None:
            raise RuntimeError

        core.enter(fail)
        core.enter(lambda: seen.append("next"))
        while len(seen) < 2:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
        return seen

    assert asyncio.run(main()) == [RuntimeError, "next"]


# the link


class World:
    """A clock and deadlines that only the test moves."""

    def __init__(self) -> None:
        self.now_ns = 1000
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def clock(self) -> int:
        return self.now_ns

    def at(self, due_ns: int, call: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._queue, (due_ns, self._count, call))

    def run(self, late_ns: int = 0) -> None:
        """Make all calls, each so late."""
        while self._queue:
            due_ns, _, call = heappop(self._queue)
            self.now_ns = max(self.now_ns, due_ns + late_ns)
            call()


def sent(contents: list[bytes], rate: float, monkeypatch: pytest.MonkeyPatch, *, late_ns: int = 0, leaves: int | None = None) -> Any:
    """Send all at once; pieces of each, (time, bytes so far) in order, and who was told the end when."""
    world = World()
    monkeypatch.setattr(link, "clock", world.clock)
    line = link.Link(rate, world)  # type: ignore[arg-type] # deadlines, as far as it needs them
    pieces: list[list[bytes]] = [[] for _ in contents]
    curve, ended = [(world.now_ns, 0)], list[tuple[int, int]]()

    def hand_over(number: int, piece: bytes) -> bool:
        if number == leaves and pieces[number]:
            return False
        pieces[number].append(piece)
        curve.append((world.now_ns, curve[-1][1] + len(piece)))
        return True

    for number, content in enumerate(contents):
        line.send(content, lambda piece, n=number: hand_over(n, piece), lambda n=number: ended.append((n, world.now_ns)))  # type: ignore[misc] # binds the loop's value
    world.run(late_ns)
    return pieces, curve, ended


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=8), st.floats(1e4, 1e9), st.integers(0, 5 * MS))
@settings(max_examples=60, deadline=None)
def test_all_together_are_no_faster_than_the_link(sizes: list[int], rate: float, late_ns: int) -> None:
    # by any time no more has been handed over than the line could have carried; the last byte comes when it could, but for one late call; nothing is lost
    with pytest.MonkeyPatch.context() as patch:
        contents = [bytes([number]) * size for number, size in enumerate(sizes)]
        pieces, curve, ended = sent(contents, rate, patch, late_ns=late_ns)
    assert [b"".join(each) for each in pieces] == contents
    begun = curve[0][0]
    assert all(so_far <= (at - begun) * rate / 1e9 * (1 + 1e-9) + 1 for at, so_far in curve)
    assert curve[-1][0] - begun <= sum(sizes) / rate * 1e9 + late_ns + 2
    assert sorted(number for number, _ in ended) == list(range(len(sizes)))


def test_answers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    # two of one size end a piece apart, and a small one does not wait for a large one
    _, _, ended = sent([b"x" * 100_000, b"y" * 100_000, b"z" * 1000], 1e6, monkeypatch)
    at = dict(ended)
    assert at[2] - 1000 <= 4 * 1448 * 1000
    assert 0 < at[1] - at[0] <= 1448 * 1000


def test_a_line_that_was_idle_saves_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # what comes after a pause takes as long as if it were the first
    world = World()
    monkeypatch.setattr(link, "clock", world.clock)
    line, times = link.Link(1e6, world), []  # type: ignore[arg-type] # deadlines, as far as it needs them
    for _ in range(2):
        began = world.now_ns
        line.send(b"x" * 1000, lambda _: True, lambda began=began: times.append(world.now_ns - began))  # type: ignore[misc] # binds the loop's value
        world.run()
        world.now_ns += 10**9
    assert times == [MS, MS]


def test_who_leaves_gives_the_link_free(monkeypatch: pytest.MonkeyPatch) -> None:
    # the rest of a transfer whose client has gone takes no time from the others
    pieces, curve, ended = sent([b"x" * 1_000_000, b"y" * 10_000], 1e6, monkeypatch, leaves=0)
    assert len(pieces[0]) == 1
    assert b"".join(pieces[1]) == b"y" * 10_000
    assert curve[-1][0] - curve[0][0] <= 16 * MS
    assert sorted(number for number, _ in ended) == [0, 1]


@pytest.mark.parametrize("gap_ms", [0, 5])
def test_a_slow_link_is_shared_by_all_answers(gap_ms: float, tmp_path: Path) -> None:
    # four answers of 25 kB at 1 MB/s take 100 ms together, and arrive whole; each is on its way for most of that time
    service = Service(bytes_per_s=1e6, gap_ms=gap_ms)
    made = scenario(service=service, payload=Payload(mean_bytes=25_000))
    with TargetServer.start(made) as server:
        bodies = asked(server, 4)
        server.collect(tmp_path)
    assert [len(body) for body in bodies] == [25_000] * 4
    rows = np.load(tmp_path / "server_requests.npy")
    assert rows["body_bytes"].tolist() == [25_000] * 4
    assert int(rows["ended_ns"].max() - rows["received_ns"].min()) >= 100 * MS
    assert (rows["begun_ns"] >= rows["received_ns"]).all()
    assert np.median(rows["ended_ns"] - rows["begun_ns"]) >= 50 * MS


@on_uvloop
async def test_a_client_that_leaves_a_slow_link_harms_nobody() -> None:
    # its place in service is given back, its row says that the answer never ended, and the next one is served
    service = Service(bytes_per_s=1e5, concurrency=1)
    async with serving(service=service, payload=Payload(mean_bytes=5000)) as (port, witness):
        async with Line(port) as line:
            line.send("GET /1 HTTP/1.1\nHost: x\n\n")
            await line.reader.readexactly(1)
        await until(lambda: bool(witness.connections["closed_ns"][0]))
        async with Line(port) as line:
            line.send("HEAD /2 HTTP/1.1\nHost: x\n\n")
            assert (await line.answer(head_only=True))[0] == 200
            line.send("GET /3 HTTP/1.1\nHost: x\n\n")
            status, _, body = await line.answer()
            assert (status, len(body)) == (200, 5000)
        left, _, served = witness.requests
    assert left["begun_ns"] > 0
    assert left["ended_ns"] == 0
    assert served["ended_ns"] > served["begun_ns"] > served["received_ns"]


# streams


def settings_of(port: int) -> dict[int, int]:
    """The settings that the server greets with."""
    with socket.create_connection(("127.0.0.1", port), timeout=READ_TIMEOUT_S) as sock:
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        file = sock.makefile("rb")
        head = file.read(9)
        assert head[3] == 4
        content = file.read(int.from_bytes(head[:3]))
    return {int.from_bytes(content[i : i + 2]): int.from_bytes(content[i + 2 : i + 6]) for i in range(0, len(content), 6)}


@pytest.mark.parametrize(("streams", "told"), [(7, 7), (None, 200)])
def test_the_server_says_how_many_streams_it_takes(streams: int | None, told: int) -> None:
    # SETTINGS_MAX_CONCURRENT_STREAMS of its first frame
    with TargetServer.start(scenario(http="2", service=Service(max_streams=streams))) as server:
        assert settings_of(port_of(server))[3] == told


def test_no_more_requests_are_in_service_than_streams(tmp_path: Path) -> None:
    # twelve requests of 30 ms over one connection with three streams need four rounds
    with TargetServer.start(scenario(http="2", service=Service(max_streams=3, mean_ms=30))) as server:
        asked(server, 12)
        server.collect(tmp_path)
    rows = np.load(tmp_path / "server_requests.npy")
    assert len(set(rows["connection"].tolist())) == 1
    inside = [int(((rows["received_ns"] <= at) & (rows["ended_ns"] > at)).sum()) for at in rows["received_ns"]]
    assert max(inside) <= 3


# rules

CANNOT = "the client fake cannot play this; remove the key, or the fake arm"
BOTH = 'arms = ["fake/virtual", "aiohttp/asyncio"]\n[target.service]\n'
WRONG = [
    (BOTH + "cpu_us = 5", f"3: target.service.cpu_us: {CANNOT}"),
    (BOTH + "bytes_per_s = 5000", f"3: target.service.bytes_per_s: {CANNOT}"),
    (
        'arms = ["httpx/asyncio"]\n[target.service]\nmax_streams = 5',
        '3: target.service.max_streams: has no effect, because only HTTP/2 has streams; set target.http = "2"',
    ),
    (
        'arms = ["httpx/asyncio"]\n[target]\nhttp = "2"\n[target.service]\nbytes_per_s = 5000',
        '5: target.service.bytes_per_s: the embedded server for HTTP/2 sends by itself, and at once; set http = "1.1", or remove the key',
    ),
    (
        'arms = ["httpx/asyncio"]\n[target.service]\nbytes_per_s = 0.5',
        "3: target.service.bytes_per_s: expected at least 1000 and at most 1099511627776 bytes a second, which is 1 TiB, got 0.5",
    ),
]


@pytest.mark.parametrize(("text", "line"), WRONG, ids=[f"{line.split(':')[1].strip()}-{i}" for i, (_, line) in enumerate(WRONG)])
def test_what_the_target_cannot_be_is_refused(text: str, line: str, tmp_path: Path) -> None:
    # one line: where, which key, and what would be right
    with pytest.raises(InputError) as caught:
        parse_scenario(text, source="x.toml", folder=tmp_path, default_name="x")
    assert caught.value.faults == (f"x.toml:{line}",)


def test_the_http2_front_refuses_a_slow_link_by_itself() -> None:
    # a scenario that was not read from a file is refused before anything listens
    service = Service(bytes_per_s=5000)
    with pytest.raises(InputError, match=r"target\.service\.bytes_per_s: not with http = \"2\".* would be right"):
        SERVERS["http2"](Behaviour(scenario(http="2", service=service)), Limits(service), Witness())
