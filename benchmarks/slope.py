"""What the light level does to what is measured: the slope of T over N in timeline trials against bare ones, interleaved (asked: known, with its interval)."""

import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from overhead import interval

from loopdiag.lab.environment import client_and_server_cores
from loopdiag.lab.job import Job
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import Tier, TrialSpec
from loopdiag.model.scenario import Arm, Payload, Scenario, Service, Sweep, Target

SWEEPS = {"aiohttp": (200, 400, 600, 800), "httpx": (50, 100, 150, 200)}
LOOPS = ("asyncio", "uvloop")
TIERS: tuple[Tier, ...] = ("bare", "timeline")


def scenario(client: str, loop: str) -> Scenario:
    """The pokeapi experiment for one arm."""
    service = Service(law="normal", mean_ms=50, sd_ms=10)
    target = Target(path="/api/v2/pokemon/{i}", tls="ecdsa-p256", service=service, payload=Payload(law="table", table="pokeapi", gzip=True))
    return Scenario(name="slope", arms=(Arm(client=client, loop=loop),), target=target, sweep=Sweep(n=SWEEPS[client]))


def total_s(server: TargetServer, what: Scenario, n: int, tier: Tier) -> float:
    """T of one trial.

    Raises:
        RuntimeError: it failed.
    """
    cores, _ = client_and_server_cores()
    spec = TrialSpec(id="t", arm=what.arms[0], n=n, tier=tier, repetition=0, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(scenario=what, spec=spec, url=server.url, folder=folder, ca_file=str(server.ca_file), cores=tuple(cores), warm_up=True)
        result = Bench(server).run(job, Path(folder))
    if result.total_s is None:
        raise RuntimeError(result.why)
    return result.total_s


def main(*, quick: bool = False) -> None:
    """Print one line an arm."""
    rounds = 3 if quick else 12
    _, server_cores = client_and_server_cores()
    for client, sweep in SWEEPS.items():
        for loop in LOOPS:
            what = scenario(client, loop)
            slopes: dict[Tier, list[float]] = {tier: [] for tier in TIERS}
            with TargetServer.start(what, cores=server_cores) as server:
                for _ in range(rounds):
                    cells = [(n, tier) for n in sweep for tier in TIERS]
                    totals = {cell: total_s(server, what, *cell) for cell in random.sample(cells, len(cells))}
                    for tier in TIERS:
                        slopes[tier].append(float(np.polyfit(sweep, [totals[n, tier] * 1e3 for n in sweep], 1)[0]))
            report(f"{client}/{loop} N = {sweep[0]}-{sweep[-1]}", slopes)


def report(arm: str, slopes: dict[Tier, list[float]]) -> None:
    """Print both slopes and the difference of the pairs."""
    (bare, half), (watched, width) = interval(slopes["bare"]), interval(slopes["timeline"])
    difference, spread = interval([t - b for b, t in zip(slopes["bare"], slopes["timeline"], strict=True)])
    print(
        f"{arm}: {bare:.4f} ± {half:.4f} ms/request bare, {watched:.4f} ± {width:.4f} watched: "
        f"{difference * 1e3:+.1f} ± {spread * 1e3:.1f} µs/request ({difference / bare:+.1%} ± {spread / bare:.1%}); {len(slopes['bare'])} interleaved sweeps",
        flush=True,
    )


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
