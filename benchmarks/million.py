"""A million recorded requests of the fake client on virtual time: bytes on disk, memory, and how long reading back and checking take."""

import tempfile
import time
from pathlib import Path

from loopdiag.analysis.invariants import check
from loopdiag.lab import columns
from loopdiag.lab.job import Job
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Scenario, Service, Sweep, Target, Workload

ARM = Arm(client="fake", loop="virtual")
MADE = Scenario(
    name="million",
    arms=(ARM,),
    target=Target(service=Service(mean_ms=50)),
    workload=Workload(concurrency=1000),
    sweep=Sweep(trial_timeout_s=900),
)


def observe(folder: Path, n: int) -> TrialResult:
    """A timeline trial of `n` requests, a thousand in flight."""
    folder.mkdir()
    spec = TrialSpec(id="1", arm=ARM, n=n, tier="timeline", repetition=0, seed=1)
    return Bench(None).run(Job(scenario=MADE, spec=spec, url="fake:", folder=str(folder)), folder)


def main(*, quick: bool = False) -> None:
    """Print the three figures that were asked for."""
    n = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as scratch:
        few = observe(Path(scratch) / "few", 100)
        folder = Path(scratch) / "trial"
        begun = time.perf_counter()
        result = observe(folder, n)
        recorded = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in folder.iterdir())
        begun = time.perf_counter()
        faults = check(columns.load(folder), result.t0_ns or 0)
        checked = time.perf_counter() - begun
    grown = ((result.rss_peak_kib or 0) - (few.rss_peak_kib or 0)) / 1024
    print(f"{n} requests, {result.succeeded} succeeded, in {recorded:.0f} s")
    print(f"on disk: {size / n:.1f} B a request (asked <= 110)")
    print(f"memory: {grown:.0f} MiB above a trial of 100 requests at the peak (asked <= 150)")
    print(f"read back and checked: {checked:.1f} s, {len(faults)} invariants broken (asked <= 15 s and none)")


if __name__ == "__main__":
    main()
