"""The fake client: its total is known exactly, its life is legal, its randomness is the seed's."""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lab_parts import ENVIRONMENT, FAKE, scenario, spec

from loopdiag.lab import columns
from loopdiag.lab.clients import ClientOptions
from loopdiag.lab.clients.fake import FakeClient, exact_total_ns
from loopdiag.lab.job import Job
from loopdiag.lab.loops.virtual import VirtualTimeLoop
from loopdiag.lab.trial import Bench
from loopdiag.lab.workload import Outcome, Work, instruments
from loopdiag.model.events import legal
from loopdiag.model.scenario import Fake, Pool, Scenario, Service, Target, Workload


def world(*, keep_alive: bool = True, mean_ms: float = 50.0, limit: int | None = 0, **fake: float) -> Scenario:
    """A scenario of the fake client."""
    service = Service(mean_ms=mean_ms, keep_alive=keep_alive)
    return scenario(target=Target(service=service), pool=Pool(limit=limit), fake=Fake(**fake))


def run(made: Scenario, n: int, *, seed: int = 1, workload: Workload | None = None, marks: object = None) -> tuple[Outcome, FakeClient]:
    """Run a fake workload on virtual time, in this process."""

    async def main() -> tuple[Outcome, FakeClient]:
        client = FakeClient()
        service, payload = made.target.service, made.target.payload
        await client.open(ClientOptions(pool=made.pool, service=service, payload=payload, fake=made.fake, seed=seed))
        clock = asyncio.get_running_loop().now_ns  # type: ignore[attr-defined] # the virtual loop's
        work = Work(client, ["/"] * n, workload or Workload(), clock=clock, arrivals=Random(seed), marks=marks)  # type: ignore[arg-type] # a stand-in
        return await work.run(), client

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def total_ns(made: Scenario, n: int, **options: int) -> int:
    """The total of a run."""
    outcome, _ = run(made, n, **options)
    return outcome.t1_ns - outcome.t0_ns


def queue_ns(made: Scenario, n: int) -> int:
    """The same total by another way: a queue of n requests, one loop and `limit` leases, request by request."""
    cpu, served = round(made.fake.cpu_us * 1000), round(made.target.service.mean_ms * 1e6)
    connect, limit = round(made.fake.connect_us * 1000), made.pool.limit or n
    sent, ended = 0, []
    for k in range(n):
        free = 0 if k < limit else ended[k - limit]
        sent = max(sent, free + (connect if k < limit else 0)) + cpu
        ended.append(sent + served)
    return ended[-1]


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 60),
    limit=st.integers(0, 20),
    cpu_us=st.integers(0, 3000),
    mean_ms=st.integers(0, 60),
    connect_us=st.integers(0, 9000),
    keep_alive=st.booleans(),
)
def test_the_total_is_exact(*, n: int, limit: int, cpu_us: int, mean_ms: int, connect_us: int, keep_alive: bool) -> None:
    # What runs on virtual time, the documented formula and a queue worked out by hand agree to the nanosecond.
    made = world(limit=limit, cpu_us=cpu_us, mean_ms=mean_ms, connect_us=connect_us, keep_alive=keep_alive)
    assume(keep_alive or not connect_us or not 0 < limit < n)
    assert total_ns(made, n) == exact_total_ns(made, n) == queue_ns(made, n)


@given(n=st.integers(1, 80), cpu_us=st.integers(0, 900), scan_us=st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_the_quadratic_term_is_exact(n: int, cpu_us: int, scan_us: int) -> None:
    # With a scan of q per request in flight, T = N·p + q·N·(N+1)/2 + s.
    made = world(cpu_us=cpu_us, scan_us=scan_us)
    wanted = (n * cpu_us + scan_us * n * (n + 1) // 2) * 1000 + 50_000_000
    assert total_ns(made, n) == exact_total_ns(made, n) == wanted


@pytest.mark.parametrize(
    "made",
    [
        world(noise=0.1),
        world(scan_us=1, connect_us=1),
        world(scan_us=1, limit=5),
        world(keep_alive=False, connect_us=1, limit=5),
        scenario(target=Target(service=Service(law="normal", mean_ms=5))),
        scenario(workload=Workload(concurrency=3)),
    ],
)
def test_where_the_formula_does_not_hold_it_says_nothing(made: Scenario) -> None:
    # A truth that is not known is None, never a guess.
    assert exact_total_ns(made, 10) is None


def test_virtual_time_takes_no_real_time() -> None:
    # Fourteen hours of service pass at once.
    began = time.monotonic()
    assert total_ns(world(limit=1, mean_ms=50_000, cpu_us=0), 1000) == 1000 * 50 * 10**9
    assert time.monotonic() - began < 600


def test_the_default_limit_is_that_of_the_real_clients() -> None:
    # Without a limit of its own the fake pool has 100 leases, and opens as many connections.
    outcome, client = run(world(limit=None), 250)
    assert client.connections_opened == 100
    assert outcome.errors == {}


def test_noise_is_one_factor_a_trial_drawn_by_seed() -> None:
    # The same seed gives the same total, others give others, with the stated spread of the loop's CPU.
    made = world(mean_ms=0, cpu_us=1000, noise=0.1)
    totals = [total_ns(made, 10, seed=seed) for seed in range(400)]
    assert total_ns(made, 10, seed=7) == totals[7]
    mean = sum(totals) / len(totals)
    spread = (sum((total - mean) ** 2 for total in totals) / len(totals)) ** 0.5
    assert mean == pytest.approx(10e6, rel=0.03)
    assert spread / mean == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize("law", ["normal", "lognormal"])
def test_service_times_follow_their_law(law: str) -> None:
    # Mean and spread of the drawn service times are the scenario's.
    service = Service(law=law, mean_ms=50, sd_ms=10)  # type: ignore[arg-type] # a literal, from the table above

    async def draws() -> list[int]:
        client = FakeClient()
        await client.open(ClientOptions(service=service, seed=3))
        return [client._draw_ns() for _ in range(4000)]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        drawn = runner.run(draws())
    mean = sum(drawn) / len(drawn)
    assert mean == pytest.approx(50e6, rel=0.02)
    assert (sum((x - mean) ** 2 for x in drawn) / len(drawn)) ** 0.5 == pytest.approx(10e6, rel=0.1)


class Marks:
    """A stand-in for the injected marks that keeps each request's stamps in order."""

    def __init__(self) -> None:
        self.orders: dict[int, list[str]] = defaultdict(list)
        self.links: dict[int, int] = {}
        self._request: ContextVar[int] = ContextVar("request")

    def begin(self, request: int, due_ns: int, created_ns: int) -> None:
        """A request begins."""
        assert due_ns <= created_ns
        self._request.set(request)
        self.orders[request] += ["due", "created", "first_run"]

    def stamp(self, name: str) -> None:
        """Note a stamp."""
        self.orders[self._request.get()].append(name)

    def decoded(self) -> None:
        """Note that."""
        self.stamp("decoded")

    def end(self) -> None:
        """Note that."""
        self.stamp("done")

    def connection(self, begun_ns: int, made_ns: int) -> int:
        """A connection has been opened."""
        assert begun_ns <= made_ns
        return 100 + self._request.get()

    def reuse(self, link: int) -> None:
        """A connection is used."""
        self.links[self._request.get()] = link

    def answered(self, status: int, wire_bytes: int) -> None:
        """An answer came."""
        assert (status, wire_bytes) == (200, 1024)


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marks]:
    made = Marks()
    monkeypatch.setitem(sys.modules, "loopdiag_instruments", SimpleNamespace(marks=made))
    assert instruments() is made
    return made


@pytest.mark.parametrize(
    "workload", [Workload(decode="json", decode_when="inside"), Workload(concurrency=4), Workload(kind="open", rate_per_s=100)]
)
def test_its_life_is_legal(marks: Marks, workload: Workload) -> None:
    # Every request's stamps come in an order that the transition table allows, from due to done, on a connection that was opened.
    outcome, client = run(world(limit=5, connect_us=300), 30, workload=workload, marks=marks)
    assert outcome.errors == {}
    assert len(marks.orders) == 30
    for order in marks.orders.values():
        assert legal(order) is None
        assert order[-1] == "done"
        assert ("decoded" in order) is (workload.decode == "json")
    assert len(set(marks.links.values())) == client.connections_opened


def test_its_timeline_is_on_virtual_time(tmp_path: Path) -> None:
    # Under the real instruments, in a process of its own, each request is a row whose stamps add up to the exact total.
    made = world(limit=3, cpu_us=1000)
    job = Job(scenario=made, spec=spec(FAKE, 12, tier="timeline"), url="fake:", folder=str(tmp_path), cores=ENVIRONMENT.client_cores)
    result = Bench(None).run(job, tmp_path)
    assert (result.status, result.why, result.lost) == ("ok", None, {})
    assert result.total_s == (exact_total_ns(made, 12) or 0) / 1e9
    rows = columns.load(tmp_path)["attempts"]
    rows = rows[rows["t0"] >= (result.t0_ns or 0)]
    assert sorted(rows["request"]) == list(range(1, 13))
    assert result.t1_ns is not None
    assert max(rows["done"]) == (result.t1_ns >> 7) & 0xFFFFFFFF
