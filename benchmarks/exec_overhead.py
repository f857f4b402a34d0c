"""CPU and time of the timeline tier over the bare one, of aiohttp and httpx programs as `loopdiag exec` runs them (asked: at most 1.03 in CPU).

Each pair is two new processes, one of each tier in a random order; the interval is over pairs.
"""

import os
import random
import statistics
import sys
import tempfile
from math import exp, log
from pathlib import Path

from overhead import ASKED, CELLS, LOOPS, interval, scenario

from loopdiag.lab.environment import client_and_server_cores
from loopdiag.lab.job import Job
from loopdiag.lab.program_start import program_scenario
from loopdiag.lab.program_trial import ProgramBench
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.recording import Tier, TrialResult, TrialSpec
from loopdiag.model.scenario import Scenario

TIERS: tuple[Tier, ...] = ("bare", "timeline")
HERE = Path(__file__).parent


def program(client: str, loop: str, server: TargetServer) -> Scenario:
    """The client's program, on this loop."""
    url = server.url + "/api/v2/pokemon/{i}"
    return program_scenario([sys.executable, str(HERE / "programs" / f"{client}_client.py"), "{n}", url, str(server.ca_file), loop])


def once(asked: Scenario, n: int, tier: Tier) -> TrialResult:
    """One new process."""
    spec = TrialSpec(id="bench", arm=asked.arms[0], n=n, tier=tier, repetition=0, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        result = ProgramBench().run(Job(scenario=asked, spec=spec, url="", folder=folder), Path(folder))
    if result.status != "ok" or result.cpu_s is None or result.total_s is None:
        raise SystemExit(f"{asked.name} N = {n}, {tier}: {result.status}: {result.why}")
    return result


def pairs(asked: Scenario, n: int, count: int) -> list[dict[Tier, TrialResult]]:
    """Both tiers, `count` times, in an order of its own each time; one pair before them is not counted."""
    order = random.Random(1)
    made = []
    for _ in range(count + 1):
        tiers = list(TIERS)
        order.shuffle(tiers)
        made.append({tier: once(asked, n, tier) for tier in tiers})
    return made[1:]


def ratio(made: list[dict[Tier, TrialResult]], what: str) -> tuple[float, float, float]:
    """Geometric mean of timeline over bare with its 95 % interval."""
    mean, half = interval([log(getattr(pair["timeline"], what) / getattr(pair["bare"], what)) for pair in made])
    return exp(mean), exp(mean - half), exp(mean + half)


def main(*, quick: bool = False) -> None:
    """Print two lines a cell."""
    count = 4 if quick else 30
    os.environ["PYTHONHASHSEED"] = "0"  # processes differ by less
    cores, server_cores = client_and_server_cores()
    with TargetServer.start(scenario(), cores=server_cores) as server:
        if cores:
            os.sched_setaffinity(0, cores)  # programs inherit it
        for client, n in CELLS:
            for loop in LOOPS:
                made = pairs(program(client, loop, server), n, count)
                base = 1e6 * statistics.median(pair["bare"].cpu_s or 0.0 for pair in made) / n
                print(
                    f"{client}/{loop} N = {n}, as a program: {base:.0f} µs CPU a request; {len(made)} pairs of processes, interleaved",
                    flush=True,
                )
                for what, name, asked in (("cpu_s", "CPU", f"  (asked <= {ASKED})"), ("total_s", "T", "")):
                    value, low, high = ratio(made, what)
                    print(f"  {name:3} timeline / bare = {value:.3f} [{low:.3f}, {high:.3f}]{asked}", flush=True)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
