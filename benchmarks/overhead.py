"""Client CPU of the `timeline` tier over `bare`, interleaved pairs of processes over TLS (asked: at most 1.03)."""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from loopdiag.analysis.distributions import student_quantile
from loopdiag.lab.environment import client_and_server_cores
from loopdiag.lab.injection import injected_environment
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Payload, Scenario, Service, Sweep, Target

CELLS = (("aiohttp", 800, 6), ("httpx", 200, 3))  # client, N, bursts in a process
LOOPS = ("asyncio", "uvloop")
ASKED = 1.03


def scenario() -> Scenario:
    """The pokeapi experiment's target."""
    service = Service(law="normal", mean_ms=50, sd_ms=10)
    payload = Payload(law="table", table="pokeapi", gzip=True)
    target = Target(path="/api/v2/pokemon/{i}", tls="ecdsa-p256", service=service, payload=payload)
    return Scenario(name="overhead", arms=(Arm(client="aiohttp"),), target=target, sweep=Sweep(n=(200, 800)))


def spent(server: TargetServer, cell: tuple[str, int, int], loop: str, tier: str) -> float:
    """CPU microseconds a request in one new process, the median of its bursts."""
    client, n, bursts = cell
    cores, _ = client_and_server_cores()
    program = Path(__file__).with_name("bursts.py")
    core = str(cores[0]) if cores else "any"
    command = [
        sys.executable,
        str(program),
        client,
        loop,
        server.url + "/api/v2/pokemon/{i}",
        str(server.ca_file),
        str(n),
        str(bursts),
        core,
    ]
    with tempfile.TemporaryDirectory() as folder:
        environment = injected_environment(os.environ, Path(folder)) if tier == "timeline" else dict(os.environ)
        ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return statistics.median(json.loads(ended.stdout))


def interval(ratios: list[float]) -> tuple[float, float]:
    """Mean and half-width of the 95 % interval (Student's)."""
    return statistics.mean(ratios), student_quantile(len(ratios) - 1) * statistics.stdev(ratios) / len(ratios) ** 0.5


def main(*, quick: bool = False) -> None:
    """Print one line a cell."""
    pairs = 4 if quick else 16
    _, server_cores = client_and_server_cores()
    with TargetServer.start(scenario(), cores=server_cores) as server:
        for cell in CELLS:
            for loop in LOOPS:
                ratios, base = [], []
                for _ in range(pairs):
                    tiers = ["bare", "timeline"]
                    random.shuffle(tiers)
                    cpu = {tier: spent(server, cell, loop, tier) for tier in tiers}
                    ratios.append(cpu["timeline"] / cpu["bare"])
                    base.append(cpu["bare"])
                value, half = interval(ratios)
                middle = statistics.median(ratios)
                print(
                    f"{cell[0]}/{loop} N = {cell[1]}: timeline / bare = {value:.3f} ± {half:.3f} (median {middle:.3f}) "
                    f"of {statistics.median(base):.0f} µs CPU a request; {pairs} pairs of {cell[2]} bursts (asked <= {ASKED})",
                    flush=True,
                )


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
