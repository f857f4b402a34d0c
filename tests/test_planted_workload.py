"""Faults that a scenario plants into its workload: each does what it says, by as much as it says, and costs nothing where it is not asked for."""

import asyncio
import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_parts import scenario, spec
from test_workload import Scripted, run

from loopdiag.analysis.timelines import resolve
from loopdiag.errors import InputError, Unavailable
from loopdiag.lab import columns
from loopdiag.lab.clients import CLIENTS, Answer, pause_s
from loopdiag.lab.clients.fake import exact_total_ns
from loopdiag.lab.job import Job
from loopdiag.lab.planted import Plants, burn, litter, scan, slow_look_ups
from loopdiag.lab.scenario_file import parse_scenario
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Arm, Scenario, Service, Target, Workload
from loopdiag.model.scenario import Plant as Planted

MS = 1_000_000


def total_ns(plant: Planted, n: int, **work: Any) -> int:
    """How long n requests of 10 ms take on virtual time."""
    outcome, _ = run(Workload(plant=plant, **work), n, lambda _: 0.01)
    assert outcome.errors == {}
    assert outcome.bodies == [b"{}"] * n
    return outcome.t1_ns - outcome.t0_ns


@given(st.integers(1, 30), st.integers(0, 3000), st.integers(0, 50), st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_the_total_grows_by_what_is_planted(n: int, cpu_us: int, scan_us: int, block_ms: int) -> None:
    # on virtual time: each request takes the loop for its CPU, for its scan of all N, and for its sleep, one after the other
    plant = Planted(cpu_us=cpu_us, scan_us=scan_us, block_ms=block_ms)
    assert total_ns(plant, n) == 10 * MS + n * (cpu_us * 1000 + scan_us * 1000 * n + block_ms * MS)


def test_the_exact_total_of_the_fake_client_does_not_claim_plants() -> None:
    # its formulas know nothing of them
    assert exact_total_ns(scenario(), 8) is not None
    assert exact_total_ns(scenario(workload=Workload(plant=Planted(cpu_us=1))), 8) is None


def test_without_a_plant_nothing_is_called() -> None:
    # the workload of everyone else has no plants at all, not plants of nothing
    async def made(plant: Planted) -> object:
        from random import Random

        from loopdiag.lab.workload import Work

        client: Any = Scripted(lambda _: 0.0)
        return Work(client, ["1"], Workload(plant=plant), clock=time.perf_counter_ns, arrivals=Random(1), marks=None)._plants

    assert asyncio.run(made(Planted())) is None
    assert isinstance(asyncio.run(made(Planted(cpu_us=1))), Plants)


@pytest.mark.parametrize("spin", [burn, scan])
@pytest.mark.parametrize("cost_us", [100, 1600])
def test_spinning_takes_its_cpu(spin: Callable[[int], int], cost_us: int) -> None:
    # over many calls that settle what each was too long, this thread's CPU grows by what was asked for, within 2 %, however busy the machine is
    calls = 40_000 // cost_us
    misses = []
    for _ in range(5):
        over, before = 0, time.thread_time_ns()
        for _ in range(calls):
            over = spin(cost_us * 1000 - over)
        misses.append(abs((time.thread_time_ns() - before) / (calls * cost_us * 1000) - 1))
    assert min(misses) < 0.02


def test_a_debt_that_is_larger_than_the_cost_is_carried_on() -> None:
    # a plant of less than one look at the clock is right over many requests
    assert burn(-5_000) >= 5_000


def test_litter_is_work_for_the_collector() -> None:
    # so many containers are tracked while they are kept, and only a collection can free them
    kept: list[object] = []
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        litter(kept, 1000)
        assert len(gc.get_objects()) - before == pytest.approx(1001, abs=5)
        kept.clear()
        assert len(gc.get_objects()) - before >= 1000
        assert gc.collect() >= 1000
    finally:
        gc.enable()


def test_a_call_in_a_thread_waits_for_a_thread() -> None:
    # six calls of 5 ms in an executor of two threads take three times 5 ms at least, and the loop runs meanwhile
    async def main() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(2))
        plants, turns = Plants(Planted(thread_ms=5), 6), 0
        began = time.perf_counter()
        waiting = asyncio.gather(*(plants.after_answer() for _ in range(6)))
        while not waiting.done():
            await asyncio.sleep(0)
            turns += 1
        return time.perf_counter() - began, turns

    took_s, turns = asyncio.run(main())
    assert took_s >= 0.015
    assert turns > 10


# retries


def test_a_refusal_is_asked_again_after_its_time() -> None:
    # 429, 503, then an answer: one request, without error, that waited as long as both said
    script = [Answer(429, b"", 2.0), Answer(503, b"", 3.0), Answer(200, b"{}")]
    outcome, client = run(Workload(retries=2), 1, lambda _: script.pop(0))
    assert (outcome.errors, outcome.bodies) == ({}, [b"{}"])
    assert [at - outcome.t0_ns for at in client.begun_ns] == [0, 2_000 * MS, 5_000 * MS]


@pytest.mark.parametrize(("retries", "status", "asked"), [(0, 429, 1), (1, 429, 2), (3, 503, 4), (3, 404, 1), (3, 500, 1)], ids=str)
def test_only_refusals_are_asked_again_and_no_more_often_than_allowed(retries: int, status: int, asked: int) -> None:
    # the last refusal counts as one failure
    outcome, client = run(Workload(retries=retries), 1, lambda _: Answer(status, b"", 1.0))
    assert len(client.begun_ns) == asked
    assert outcome.errors == {f"status-{status // 100}xx": 1}


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("0", 0, 0),
        (" 120 ", 120, 120),
        (None, 1, 1),
        ("", 1, 1),
        ("soon", 1, 1),
        ("-3", 1, 1),
        ("1e3", 1, 1),
        ("²", 1, 1),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
        ("Fri, 31 Dec 2999 23:59:59 GMT", 1e9, 1e11),
        ("Fri, 99 Dec 1999 23:59:59 GMT", 1, 1),
    ],
)
def test_retry_after_is_seconds_or_a_date(field: str | None, least: float, most: float) -> None:
    # what cannot be read is one second
    assert least <= pause_s(field) <= most


@given(st.text(max_size=30))
def test_any_retry_after_is_read(field: str) -> None:
    # no server can make the client fail, or wait a negative time
    assert pause_s(field) >= 0


# real trials


def trial(made: Scenario, arm: Arm, folder: Path, *, n: int, tier: str = "bare", warm_up: bool = True) -> tuple[TrialResult, int]:
    """Run one; the result, and how many requests the server received."""
    with TargetServer.start(made) as server:
        job = Job(scenario=made, spec=spec(arm, n, tier=tier), url=server.url, folder=str(folder), warm_up=warm_up)
        result = Bench(server).run(job, folder)
        assert (result.status, result.errors) == ("ok", {}), result
    return result, len(np.load(folder / "server_requests.npy"))


ARMS = [Arm(client=client, loop=loop) for client in ("aiohttp", "httpx") for loop in ("asyncio", "uvloop")]
everywhere = pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)


@everywhere
@pytest.mark.parametrize("tier", ["bare", "timeline"])
def test_every_tier_meets_the_plants(arm: Arm, tier: str, tmp_path: Path) -> None:
    # 20 requests that each compute 2 ms: the client's CPU and the total hold all of it
    made = scenario(arm, target=Target(), workload=Workload(plant=Planted(cpu_us=2000)))
    result, _ = trial(made, arm, tmp_path, n=20, tier=tier)
    assert result.cpu_s is not None
    assert result.total_s is not None
    assert min(result.cpu_s, result.total_s) >= 20 * 0.002


@everywhere
def test_clients_come_back_when_the_server_asks_them_to(arm: Arm, tmp_path: Path) -> None:
    # a server that admits 4 at once, and 4 a second, refuses 2 of 6; these come back after the second that it asks for, as two attempts of one request
    service = Service(rate_per_s=4, retry_after_s=1)
    made = scenario(arm, target=Target(service=service), workload=Workload(retries=5))
    result, received = trial(made, arm, tmp_path, n=6, tier="timeline", warm_up=False)
    assert result.succeeded == 6
    assert received == 8
    assert result.total_s is not None
    assert result.total_s >= 1
    line = resolve(columns.load(tmp_path), result)
    assert line.faults == ()
    again = [attempt for attempt in line.attempts if "retried" in attempt.flags]
    assert [attempt.status for attempt in again] == [429, 429]
    assert sorted(attempt.request for attempt in line.attempts) == sorted([*range(1, 7), *(attempt.request for attempt in again)])


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_debug_mode_is_on(loop: str, tmp_path: Path) -> None:
    # asyncio's debug mode complains about callbacks that last 100 ms; without it there is no such line
    for debug in (True, False):
        folder = tmp_path / str(debug)
        folder.mkdir()
        arm = Arm(client="aiohttp", loop=loop)
        trial(scenario(arm, target=Target(), workload=Workload(plant=Planted(debug=debug, block_ms=120))), arm, folder, n=1)
        log = folder / "worker.log"
        assert ("Executing" in log.read_text() if log.exists() else False) is debug


@pytest.mark.parametrize("client", ["aiohttp", "httpx"])
def test_a_slow_look_up_is_seen_as_one(client: str, tmp_path: Path) -> None:
    # each new connection waits for its own look-up: the phase `dns` of each attempt holds the planted time
    arm = Arm(client=client)
    made = scenario(arm, target=Target(service=Service(keep_alive=False)), workload=Workload(plant=Planted(dns_ms=40)))
    result, _ = trial(made, arm, tmp_path, n=8, tier="timeline")
    line = resolve(columns.load(tmp_path), result)
    assert line.faults == ()
    spent = [sum(phase.end_ns - phase.start_ns for phase in attempt.phases if phase.name == "dns") for attempt in line.attempts]
    assert len(spent) == 8
    assert min(spent) >= 40 * MS


def test_uvloop_has_no_look_ups_to_slow() -> None:
    # what cannot be planted is said, and nothing is patched
    import socket

    before = socket.getaddrinfo

    async def main() -> None:
        slow_look_ups(5)

    with pytest.raises(Unavailable, match="dns_ms: uvloop looks names up in C"):
        uvloop.run(main())
    assert socket.getaddrinfo is before


def test_the_client_of_slow_look_ups_is_the_same_without_them() -> None:
    # only the plant makes aiohttp give up its own resolver and its cache
    async def connectors() -> list[Any]:
        found = []
        for look_ups in (False, True):
            client: Any = CLIENTS["aiohttp"]()
            await client.open(msgspec.convert({"look_ups": look_ups, "pool": {}}, _options()))
            found.append(client._session.connector)
            await client.close()
        return found

    plain, slow = asyncio.run(connectors())
    assert plain.use_dns_cache
    assert not slow.use_dns_cache
    assert type(plain._resolver) is not type(slow._resolver) or "Threaded" in type(plain._resolver).__name__


def _options() -> type:
    from loopdiag.lab.clients import ClientOptions

    return ClientOptions


# the scenario's rules

CANNOT = "the client fake cannot play this; remove the key, or the fake arm"
WRONG = [
    ('arms = ["fake/virtual"]\n[workload.plant]\nthread_ms = 5', f"3: workload.plant.thread_ms: {CANNOT}"),
    ('arms = ["fake/virtual"]\n[workload.plant]\ndns_ms = 5', f"3: workload.plant.dns_ms: {CANNOT}"),
    ('arms = ["fake/virtual"]\n[workload.plant]\ngarbage = 5', f"3: workload.plant.garbage: {CANNOT}"),
    ('arms = ["fake/virtual"]\n[workload.plant]\ndebug = true', f"3: workload.plant.debug: {CANNOT}"),
    (
        'arms = ["httpx/asyncio", "httpx/uvloop"]\n[workload.plant]\ndns_ms = 5',
        "3: workload.plant.dns_ms: uvloop looks names up in C, where nothing can be planted; remove the key, or the uvloop arms",
    ),
    ('arms = ["httpx/asyncio"]\n[workload.plant]\ncpu_us = -1', "3: workload.plant.cpu_us: expected a number ≥ 0, got -1"),
    ('arms = ["httpx/asyncio"]\n[workload.plant]\ngarbage = 0.5', "3: workload.plant.garbage: expected a whole number ≥ 0, got 0.5"),
    ('arms = ["httpx/asyncio"]\n[workload.plant]\nburn_us = 1', "3: workload.plant.burn_us: unknown key; did you mean cpu_us?"),
    (
        'arms = ["httpx/asyncio"]\n[workload]\nretries = 3',
        "3: workload.retries: has no effect, because without target.service.rate_per_s no request is refused",
    ),
    (
        'arms = ["httpx/asyncio"]\n[workload]\nretries = 1000\n[target.service]\nrate_per_s = 5',
        "3: workload.retries: expected at most 100 times, got 1000",
    ),
    (
        'arms = ["httpx/asyncio"]\n[verify]\nenabled = false\nbudget_s = 5',
        "4: verify.budget_s: has no effect, because verify.enabled is false, so nothing is verified",
    ),
    ('arms = ["httpx/asyncio"]\n[verify]\nvalues = 1', "3: verify.values: expected at least 2 and at most 20 values of N, got 1"),
]


@pytest.mark.parametrize(("text", "line"), WRONG, ids=[f"{line.split(':')[1].strip()}-{i}" for i, (_, line) in enumerate(WRONG)])
def test_what_cannot_be_planted_is_refused(text: str, line: str, tmp_path: Path) -> None:
    # one line: where, which key, and what would be right
    with pytest.raises(InputError) as caught:
        parse_scenario(text, source="x.toml", folder=tmp_path, default_name="x")
    assert caught.value.faults == (f"x.toml:{line}",)


def test_a_planted_scenario_is_read(tmp_path: Path) -> None:
    # every plant, its own table
    text = 'arms = ["httpx/asyncio"]\n[workload.plant]\ncpu_us = 1\nscan_us = 0.5\nblock_ms = 2\nthread_ms = 3\ndns_ms = 4\ngarbage = 5\ndebug = true'
    found = parse_scenario(text, source="x.toml", folder=tmp_path, default_name="x").workload.plant
    assert found == Planted(cpu_us=1, scan_us=0.5, block_ms=2, thread_ms=3, dns_ms=4, garbage=5, debug=True)
