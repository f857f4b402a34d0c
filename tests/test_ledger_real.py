"""Ledgers of real trials, of every client on every loop: conserved, explained, and true to what the scenario makes them wait for."""

from pathlib import Path

import pytest

from loopdiag.analysis.critical_path import path
from loopdiag.analysis.ledger import trial_ledger
from loopdiag.analysis.loop_time import LoopTime
from loopdiag.analysis.occupancy import occupancy
from loopdiag.analysis.timelines import resolve
from loopdiag.lab import columns
from loopdiag.lab.job import Job
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import TrialSpec
from loopdiag.model.scenario import Arm, Plant, Pool, Scenario, Service, Target, Workload
from loopdiag.model.timeline import Timeline

ARMS = [Arm(client=client, loop=loop) for client in ("aiohttp", "httpx") for loop in ("asyncio", "uvloop")]
MS = 1_000_000

pytestmark = pytest.mark.slow


def traced(scenario: Scenario, n: int, folder: Path) -> Timeline:
    """One timeline trial of the scenario's only arm."""
    spec = TrialSpec(id="t", arm=scenario.arms[0], n=n, tier="timeline", repetition=0, seed=1)
    with TargetServer.start(scenario) as server:
        result = Bench(server).run(Job(scenario=scenario, spec=spec, url=server.url, folder=str(folder), warm_up=True), folder)
    assert result.status == "ok", result.why
    return resolve(columns.load(folder), result)


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_a_pool_limit_is_waves_of_the_server(arm: Arm, tmp_path: Path) -> None:
    # twelve requests of 60 ms over three connections: the path goes through the pool, and what the loop slept through is the server's
    scenario = Scenario(name="s", arms=(arm,), target=Target(service=Service(mean_ms=60)), pool=Pool(limit=3))
    timeline = traced(scenario, 12, tmp_path)
    steps = path(timeline, scenario.workload)
    ledger, loop = trial_ledger(timeline, steps), LoopTime.of(timeline)
    assert sum(ledger.charges.values()) == timeline.total_ns
    assert ledger.hops["pool"] >= 3
    assert ledger.charges.get("unexplained", 0) <= 0.05 * timeline.total_ns
    assert ledger.charges["server"] >= 0.9 * loop.slept_in(0, timeline.total_ns)
    assert occupancy(timeline).in_flight == 3


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_a_blocking_call_is_the_loops(arm: Arm, tmp_path: Path) -> None:
    # each of eight requests blocks the loop for 20 ms: nobody else is to blame for that time, and the thread was off the CPU in it
    workload = Workload(plant=Plant(block_ms=20))
    timeline = traced(Scenario(name="s", arms=(arm,), target=Target(service=Service(mean_ms=5)), workload=workload), 8, tmp_path)
    ledger = trial_ledger(timeline, path(timeline, workload))
    of_loop = sum(charge for account, charge in ledger.charges.items() if account.startswith("loop/"))
    assert of_loop >= 7 * 20 * MS
    assert ledger.charges.get("unexplained", 0) <= 0.05 * timeline.total_ns
