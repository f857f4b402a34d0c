"""What the replay predicts beside what a changed scenario measures: base and changed runs in turns, for several changes.

    python benchmarks/replay.py [NAME ...]

Each line: the base slope, the predicted and the measured slope of the changed scenario (ms per request; least totals of the rounds), and the error of the
prediction as a share of the measured and of the base slope.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec.structs import replace as changed

from loopdiag.analysis import calibrate, what_if
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.slope import slope
from loopdiag.analysis.timelines import resolve
from loopdiag.lab import store
from loopdiag.model.law import NotEnough
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Arm, Payload, Pool, Profiling, Scenario, Service, Sweep, Target, Workload
from loopdiag.model.timeline import Timeline
from loopdiag.pipeline import record

ROUNDS = 3
SWEEP = Sweep(n=(50, 100, 200, 300), repetitions=1, max_repetitions=1, warmups=0, budget_s=60.0)


@dataclass(frozen=True)
class Change:
    """A base scenario, the changed one, and the same change of the machine."""

    base: Scenario
    treated: Scenario
    model: Callable[[Machine], Machine]


def _scenario(
    client: str, *, tls: bool = False, service: Service | None = None, workload: Workload | None = None, pool: Pool | None = None
) -> Scenario:
    return Scenario(
        name="replay",
        arms=(Arm(client=client),),
        target=Target(tls="ecdsa-p256" if tls else "off", service=service or Service(mean_ms=50.0), payload=Payload(mean_bytes=4000)),
        workload=workload or Workload(),
        pool=pool or Pool(),
        sweep=SWEEP,
        profile=Profiling(enabled=False, calls=False),
    )


CHANGES = {
    "pool limit 10 to 100": Change(
        _scenario("aiohttp", service=Service(mean_ms=100.0), pool=Pool(limit=10)),
        _scenario("aiohttp", service=Service(mean_ms=100.0), pool=Pool(limit=100)),
        lambda machine: replace(machine, limit=100),
    ),
    "10 workers to 50": Change(
        _scenario("aiohttp", workload=Workload(concurrency=10)),
        _scenario("aiohttp", workload=Workload(concurrency=50)),
        lambda machine: replace(machine, workers=50),
    ),
    "connections closed to kept": Change(
        _scenario("aiohttp", tls=True, service=Service(mean_ms=20.0, keep_alive=False)),
        _scenario("aiohttp", tls=True, service=Service(mean_ms=20.0)),
        lambda machine: replace(machine, reusable=None),
    ),
    "TLS to none": Change(
        _scenario("aiohttp", tls=True),
        _scenario("aiohttp"),
        lambda machine: replace(machine, open_tls=0.0, handshake=0.0, server_handshake=0.0),
    ),
    "httpx: 100 workers before the pool": Change(
        _scenario("httpx", tls=True),
        _scenario("httpx", tls=True, workload=Workload(concurrency=100)),
        lambda machine: replace(machine, workers=100),
    ),
    "httpx: 100 workers, 100 kept alive": Change(
        _scenario("httpx", tls=True),
        _scenario("httpx", tls=True, workload=Workload(concurrency=100), pool=Pool(keepalive=100)),
        lambda machine: replace(machine, workers=100, keepalive=100),
    ),
    "server's limit 10 to none": Change(
        _scenario("aiohttp", service=Service(mean_ms=50.0, concurrency=10), pool=Pool(limit=0)),
        _scenario("aiohttp", pool=Pool(limit=0)),
        lambda machine: replace(machine, server_limit=None),
    ),
}


def main() -> None:
    """Run the changes that are named, or all, and print a line each."""
    errors = []
    for name in sys.argv[1:] or CHANGES:
        change = CHANGES[name]
        with tempfile.TemporaryDirectory() as folder:
            base, treated = _measured(change, Path(folder))
        trials, lines = base
        points = _least(trials)
        machine = calibrate.machine(change.base, change.base.arms[0], trials, lines, {}, points)
        before, after = slope(points), slope(_least(treated[0]))
        if isinstance(machine, NotEnough) or before is None or after is None:
            print(f"{name}: {machine.why if isinstance(machine, NotEnough) else 'too little was measured'}")
            continue
        predicted = what_if.without(machine, change.model(machine), points, before)[0].value
        errors.append(abs(predicted / after.value - 1))
        print(
            f"{name}: base {before.value:.2f}, predicted {predicted:.2f}, measured {after.value:.2f} ms/request; "
            f"error {predicted / after.value - 1:+.0%}, {(predicted - after.value) / before.value:+.1%} of the base"
        )
    if errors:
        print(f"median error {np.median(errors):.0%}, worst {max(errors):.0%}")


def _measured(change: Change, folder: Path) -> tuple[tuple[list[TrialResult], list[Timeline]], ...]:
    """Bare trials and timelines of base and changed runs, made in turns."""
    found: tuple[tuple[list[TrialResult], list[Timeline]], ...] = (([], []), ([], []))
    for at in range(ROUNDS):
        for side, asked in enumerate((change.base, change.treated)):
            run = folder / f"{side}-{at}"
            record(changed(asked, sweep=changed(asked.sweep, seed=1 + at)), run)
            for trial in store.load(run).trials:
                if trial.usable and trial.spec.tier == "bare":
                    found[side][0].append(trial)
                elif trial.usable and trial.spec.tier == "timeline":
                    found[side][1].append(resolve(store.columns(run, trial.spec.id), trial))
    return found


def _least(trials: list[TrialResult]) -> dict[int, list[float]]:
    """N → the least total in seconds, which other work of the machine disturbed least."""
    return {n: [min(trial.total_s or 0.0 for trial in trials if trial.spec.n == n)] for n in sorted({trial.spec.n for trial in trials})}


if __name__ == "__main__":
    main()
