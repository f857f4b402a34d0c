"""The replay beside real runs: what it is fitted to, it reproduces, and what it predicts for a changed pool is what a changed pool does."""

from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from loopdiag.analysis import calibrate, what_if
from loopdiag.analysis.diagnose import points
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.replay import run
from loopdiag.analysis.timelines import resolve
from loopdiag.lab import store
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Arm, Payload, Pool, Profiling, Scenario, Service, Sweep, Target
from loopdiag.pipeline import record

pytestmark = pytest.mark.slow

NS = (10, 20, 40)


def scenario(client: str, pool: Pool) -> Scenario:
    return Scenario(
        name="pool",
        arms=(Arm(client=client),),
        target=Target(service=Service(mean_ms=60.0), payload=Payload(mean_bytes=500)),
        pool=pool,
        sweep=Sweep(n=NS, repetitions=1, max_repetitions=1, warmups=0, budget_s=30.0),
        profile=Profiling(enabled=False, calls=False),
    )


def recorded(asked: Scenario, folder: Path) -> tuple[list[TrialResult], Machine | None]:
    """The usable bare trials, and the machine that was fitted to them."""
    record(asked, folder)
    found, arm = store.load(folder), asked.arms[0]
    bare = [trial for trial in found.trials if trial.usable and trial.spec.tier == "bare"]
    lines = [
        resolve(store.columns(folder, trial.spec.id), trial) for trial in found.trials if trial.usable and trial.spec.tier == "timeline"
    ]
    made = calibrate.machine(asked, arm, bare, lines, {}, points(found.trials, arm.name))
    return bare, made if isinstance(made, Machine) else None


@pytest.mark.parametrize(("client", "limit"), [("aiohttp", 5)])
def test_a_higher_limit_does_what_was_predicted(client: str, limit: int, tmp_path: Path) -> None:
    # waves of 5 that take 60 ms each, whatever the computer's speed; without the limit, most of the slope goes
    base = scenario(client, Pool(limit=limit))
    bare, machine = recorded(base, tmp_path / "base")
    assert machine is not None
    assert (machine.limit, machine.server_limit) == (limit, None)
    assert machine.think[len(machine.think) // 2] == pytest.approx(0.06, rel=0.1)
    treated, _ = recorded(changed(base, pool=Pool(limit=20)), tmp_path / "treated")
    before, after = ({n: min(trial.total_s or 0 for trial in trials if trial.spec.n == n) for n in NS} for trials in (bare, treated))
    predicted = what_if.totals(Machine(**{**vars(machine), "limit": 20}), before)
    for n, seconds in before.items():
        assert predicted[n] / seconds == pytest.approx(after[n] / seconds, abs=0.2)


def test_connections_are_opened_as_often_as_httpcore_does(tmp_path: Path) -> None:
    # more requests than connections, fewer idle ones allowed than connections: each request opens its own; with as many idle ones allowed it does not
    for keepalive, name in ((3, "evicting"), (10, "keeping")):
        bare, machine = recorded(scenario("httpx", Pool(limit=10, keepalive=keepalive)), tmp_path / name)
        assert machine is not None
        for trial in bare:
            assert trial.connections_opened == run(machine, trial.spec.n).opened
