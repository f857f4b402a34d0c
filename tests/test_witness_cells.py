"""A thousand requests of every client on every loop against independent witnesses: the server, the kernel, and the system's resolver."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import pytest
from witness_parts import Cell, Measured, build_resolver, look_ups, run_cell

from loopdiag.analysis.phase_witness import (
    CONNECTION_ORDERS,
    REQUEST_ORDERS,
    Distance,
    backwards,
    connection_columns,
    outside,
    request_columns,
)
from loopdiag.analysis.timelines import resolve
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Payload, Scenario, Service, Target, Workload
from loopdiag.model.timeline import Attempt

N = 1000
MS = 1_000_000
GAP_MS = 5.0
CELLS = [(client, loop, tls) for tls in ("off", "ecdsa-p256") for client in ("aiohttp", "httpx") for loop in ("asyncio", "uvloop")]
NAMES = [f"{client}-{loop}-{'http' if tls == 'off' else 'https'}" for client, loop, tls in CELLS]

Key = tuple[str, str, str]


def scenario(client: str, loop: str, tls: str) -> Scenario:
    """Eight workers, think times that spread them, a new connection for every fourth request: both sides rest half of the time and more."""
    service = Service(law="lognormal", mean_ms=30, sd_ms=15, gap_ms=GAP_MS, requests_per_connection=4)
    target = Target(tls=tls, service=service, payload=Payload(mean_bytes=20_000))  # type: ignore[arg-type] # one of the literals
    return Scenario(name="s", arms=(Arm(client=client, loop=loop),), target=target, workload=Workload(concurrency=8))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured[Key, Cell]]:
    """The cells, each measured when a test first asks for it."""
    folder = tmp_path_factory.mktemp("cells")
    resolver = build_resolver(folder)
    servers: dict[str, TargetServer] = {}

    def measure(key: Key, attempt: int) -> Cell:
        tls = key[2]
        if tls not in servers:
            servers[tls] = TargetServer.start(scenario("aiohttp", "asyncio", tls))
        return run_cell(servers[tls], scenario(*key), N, folder / f"{'-'.join(key)}-{attempt}", resolver)

    yield Measured(measure)
    for server in servers.values():
        server.stop()


def since(cell: Cell) -> int:
    """When the timed part began."""
    assert cell.result.t0_ns is not None
    return cell.result.t0_ns


def far(name: str, distances: np.ndarray, limit_ns: int = MS) -> list[str]:
    """A fault where the 95th percentile lies beyond the limit."""
    found = np.percentile(distances, 95)
    return [f"{name}: {found / MS:.3f} ms at the 95th percentile"] if found > limit_ns else []


def of_requests(cell: Cell) -> dict[str, np.ndarray]:
    """Distances of the request's phases from their witness."""
    return Distance.of(cell.tables, since(cell)).requests(request_columns(cell.tables, since(cell)))


def of_connections(cell: Cell) -> dict[str, np.ndarray]:
    """Distances of the connection's phases from their witness."""
    return Distance.of(cell.tables, since(cell)).connections(connection_columns(cell.tables, since(cell)))


def resolver_log(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end of the look-ups of the timed part, by the witness inside the system's resolver."""
    if not (cell.folder / "resolver.so").exists() and not (cell.folder / "look_ups").exists():
        pytest.skip("no C compiler, so no witness inside the system's resolver")
    log = look_ups(cell.folder)
    log = log[log[:, 0] >= since(cell)]
    return log[:, 0], log[:, 1]


@pytest.mark.slow
@pytest.mark.parametrize("key", CELLS, ids=NAMES)
class TestEveryCell:
    """Client × loop × TLS, a thousand requests each."""

    def test_no_effect_is_before_its_cause(self, cells: Measured[Key, Cell], key: Key) -> None:
        # send before receipt, answer's begin before kernel and first byte, connect's begin before accept, handshake's end here before there
        cell = cells.get(key)
        requests, connections = request_columns(cell.tables, since(cell)), connection_columns(cell.tables, since(cell))
        assert len(requests["begun_ns"]) == N
        assert len(connections["tcp_end"]) >= N // 4
        assert backwards(requests, REQUEST_ORDERS) == {}
        assert backwards(connections, CONNECTION_ORDERS) == {}
        assert (requests["last_byte"] - requests["begun_ns"]).min() >= GAP_MS * MS - 256

    def test_dns(self, cells: Measured[Key, Cell], key: Key) -> None:
        # every look-up of the process lies inside a dns phase, and dns phases hold at most 1 ms (p95) of idle time without a look-up
        def faults(cell: Cell) -> list[str]:
            begun, ended = resolver_log(cell)
            columns = connection_columns(cell.tables, since(cell))
            return far("dns", np.abs(Distance.of(cell.tables, since(cell)).look_ups(columns, begun, ended)))

        cells.hold(key, faults)
        begun, ended = resolver_log(cells.get(key))
        assert len(begun) >= 1
        assert outside(connection_columns(cells.get(key).tables, since(cells.get(key))), begun, ended) == 0

    def test_connect(self, cells: Measured[Key, Cell], key: Key) -> None:
        # a connect ends when the server has the connection: p95 of the distance to the accept ≤ 1 ms, less the loop's busy time
        cells.hold(key, lambda cell: far("connect", of_connections(cell)["connect"]))

    def test_ssl(self, cells: Measured[Key, Cell], key: Key) -> None:
        # a handshake begins with the connect's end and ends a moment before the server's: together p95 ≤ 1 ms, less the loop's busy time
        if key[2] == "off":
            assert "ssl" not in of_connections(cells.get(key))
        else:
            cells.hold(key, lambda cell: far("ssl", of_connections(cell)["ssl"]))

    def test_wait(self, cells: Measured[Key, Cell], key: Key) -> None:
        # wait is as long as from the server's receipt to its answer's begin: p95 of the difference ≤ 1 ms, less the loop's busy time
        cells.hold(key, lambda cell: far("wait", of_requests(cell)["wait"]))

    def test_receive(self, cells: Measured[Key, Cell], key: Key) -> None:
        # receive is as long as from the answer's begin to its end: p95 of the difference ≤ 1 ms, less the loop's busy time
        cells.hold(key, lambda cell: far("receive", of_requests(cell)["receive"]))

    def test_kernel(self, cells: Measured[Key, Cell], key: Key) -> None:
        # where the kernel stamps what it receives (aiohttp on asyncio), p95 ≤ 1 ms after the answer's begin, with nothing taken off
        reason = cells.get(key).result.not_observed.get("attempts.rx_kernel")
        if "kernel" not in of_requests(cells.get(key)):
            assert key[:2] != ("aiohttp", "asyncio") or reason
            return
        assert reason is None
        cells.hold(key, lambda cell: far("kernel", of_requests(cell)["kernel"]))

    def test_little_is_unattributed(self, cells: Measured[Key, Cell], key: Key) -> None:
        # of a request's time at most 1 % at the median and 2 % at the 95th percentile is shown by no stamp; no invariant is broken
        def faults(cell: Cell) -> list[str]:
            line = resolve(cell.tables, cell.result)
            assert line.faults == ()
            median, high = np.percentile([unattributed(attempt) for attempt in line.attempts], (50, 95))
            return [f"unattributed: {median:.2%} at the median, {high:.2%} at p95"] if median > 0.01 or high > 0.02 else []

        cells.hold(key, faults)


def unattributed(attempt: Attempt) -> float:
    """The share of a request's time that no stamp shows."""
    whole = sum(phase.end_ns - phase.start_ns for phase in attempt.phases)
    return sum(phase.end_ns - phase.start_ns for phase in attempt.phases if phase.name == "unattributed") / whole


# the witness's own arithmetic, on tables of a few rows


def rows(times: dict[str, list[int]], *, kind: str = "<u4") -> np.ndarray:
    """A table with these columns; stamps in nanoseconds become ticks."""
    count = len(next(iter(times.values())))
    table = np.zeros(count, dtype=[(name, "<u8" if name.endswith(("t0", "_ns")) else kind) for name in times])
    plain = {"request", "local_port", "peer_port", "thread"}
    for name, column in times.items():
        table[name] = column if name in plain or table.dtype[name] == "<u8" else [value >> 7 for value in column]
    return table


US = 1000
BASE = 10_000_000_000
IDLE = [(0, 640), (700, 1000), (1100, 5000)]  # µs: poll entered, poll left


def tables(shift: Callable[[str, int], int] = lambda _, at: at) -> dict[str, np.ndarray]:
    """Two requests on two connections, one microsecond from cause to effect while the loop is idle; `shift` moves a column (µs)."""

    def column(name: str, *at: float) -> list[int]:
        return [BASE + int(shift(name, round(value * US))) for value in at]

    attempt = {"t0": [BASE, BASE], "request": [1, 2]} | {
        name: column(name, *at)
        for name, at in {
            "send_start": (2000, 2100),
            "send_end": (2001, 2101),
            "rx_kernel": (3001, 3101),
            "first_byte": (3002, 3102),
            "rx_last": (4001, 4101),
            "last_byte": (4002, 4102),
        }.items()
    }
    link = {"t0": [BASE, BASE], "local_port": [7, 7]} | {
        name: column(name, *at)
        for name, at in {
            "dns_start": (0.2, 1200),
            "dns_end": (300, 1300),
            "tcp_start": (300, 1300),
            "tcp_end": (310, 1310),
            "tls_start": (311, 1311),
            "tls_end": (600, 1600),
        }.items()
    }
    return {
        "attempts": rows(attempt),
        "connections": rows(link),
        "iterations": rows(
            {"t0": [BASE + a * US for a, _ in IDLE], "poll": [(b - a) * US for a, b in IDLE], "thread": [1] * 3}
            | dict.fromkeys(("run", "ready", "events"), [0] * 3)
        ),
        "server_requests": rows(
            {
                "request": [2, 1],
                "received_ns": column("received_ns", 2102, 2002),
                "begun_ns": column("begun_ns", 3100, 3000),
                "ended_ns": column("ended_ns", 4100, 4000),
            }
        ),
        "server_connections": rows(
            {
                "peer_port": [7, 7],
                "accepted_ns": column("accepted_ns", 309, 1309),
                "handshaken_ns": column("handshaken_ns", 601, 1601),
            }
        ),
    }


def measured(shift: Callable[[str, int], int] = lambda _, at: at) -> tuple[dict[str, np.ndarray], dict[tuple[str, str], int]]:
    """Distances of all phases, and what ran backwards."""
    seen = tables(shift)
    distance = Distance.of(seen, BASE)
    requests, connections = request_columns(seen, BASE), connection_columns(seen, BASE)
    wrong = backwards(requests, REQUEST_ORDERS) | backwards(connections, CONNECTION_ORDERS)
    return distance.requests(requests) | distance.connections(connections), wrong


def test_right_stamps_are_near_their_witness() -> None:
    # rows of both sides find each other in whatever order they stand, a port that is used twice among them
    distances, wrong = measured()
    assert wrong == {}
    assert set(distances) == {"wait", "receive", "kernel", "connect", "ssl"}
    assert max(int(column.max()) for column in distances.values()) <= 4 * US


@pytest.mark.parametrize(
    ("column", "phase"),
    [
        ("send_end", "wait"),
        ("first_byte", "wait"),
        ("last_byte", "receive"),
        ("tcp_end", "connect"),
        ("tls_start", "ssl"),
        ("tls_end", "ssl"),
        ("rx_kernel", "kernel"),
    ],
)
@pytest.mark.parametrize("by_us", [-200, 200])
def test_a_stamp_that_lies_is_far_from_its_witness(column: str, phase: str, by_us: int) -> None:
    # moved by 200 µs to either side, every stamp shows in its phase
    distances, _ = measured(lambda name, at: at + by_us * US if name == column else at)
    assert int(distances[phase].min()) >= 190 * US


@pytest.mark.parametrize(
    ("column", "by_us", "pair"),
    [
        ("send_start", 3, ("send_start", "received_ns")),
        ("first_byte", -3, ("begun_ns", "first_byte")),
        ("rx_kernel", -3, ("begun_ns", "rx_kernel")),
        ("tcp_start", 20, ("tcp_start", "accepted_ns")),
        ("tls_end", 3, ("tls_end", "handshaken_ns")),
    ],
)
def test_an_effect_before_its_cause_is_counted(column: str, by_us: int, pair: tuple[str, str]) -> None:
    # three microseconds are enough, in both rows
    _, wrong = measured(lambda name, at: at + by_us * US if name == column else at)
    assert wrong[pair] == 2


def test_busy_time_of_the_loop_is_taken_off() -> None:
    # the loop was busy from 1000 to 1100 µs: an effect at 1100 is late by the idle time before that only
    distance = Distance.of(tables(), BASE)
    causes, effects = np.array([950, 1000, 1050]) * US + BASE, np.array([1100, 1100, 1100]) * US + BASE
    assert np.allclose(distance.late(causes, effects), [50 * US, 0, 0], atol=256)
    assert distance.late(effects, causes).tolist() == [-150 * US, -100 * US, -50 * US]
    assert Distance(None, BASE).late(causes, effects).tolist() == [150 * US, 100 * US, 50 * US]


def test_look_ups_explain_dns() -> None:
    # a phase is idle without a look-up outside of all of them, overlapping ones counted once; a look-up outside of every phase is found
    seen = tables()
    columns = connection_columns(seen, BASE)
    begun, ended = (np.array(times) * US + BASE for times in ([10, 50, 1250], [100, 200, 1290]))
    idle = Distance.of(seen, BASE).look_ups(columns, begun, ended)
    assert np.allclose(idle, [(300 - 0.2 - 190) * US, 60 * US], atol=512)
    assert outside(columns, begun, ended) == 0
    assert outside(columns, begun - 20 * US, ended) == 1


class Reading(NamedTuple):
    """A measurement as far as `Measured` asks."""

    disturbance: float
    faults: list[str]


@pytest.mark.parametrize(
    ("readings", "ends"),
    [
        ([(0.5, False)], None),
        ([(0.5, True), (0.5, False)], None),
        ([(3.0, True), (2.0, True), (0.5, False)], None),
        ([(0.5, True)] * 4, AssertionError),
        ([(0.5, True), (2.0, True), (0.9, True), (2.0, True)], AssertionError),
        ([(0.5, True), (2.0, True), (2.0, True), (2.0, True)], pytest.skip.Exception),
        ([(2.0, True)] * 4, pytest.skip.Exception),
    ],
)
def test_a_fault_of_ours_is_there_each_time(readings: list[tuple[float, bool]], ends: type[BaseException] | None) -> None:
    # one measurement without it clears us; two that nothing disturbed convict us; else nothing can be said
    made = Measured[str, Reading](lambda _, attempt: Reading(readings[attempt][0], ["late"] * readings[attempt][1]))
    with nullcontext() if ends is None else pytest.raises(ends):
        made.hold("key", lambda seen: seen.faults)
