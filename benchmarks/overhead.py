"""Client CPU of the light level over none, over TLS (asked: at most 1.03), beside what else could watch a client; and its effect on the slope.

The interval is over processes: rounds within one are averaged first, because they share its luck.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loopdiag.analysis.distributions import student_quantile
from loopdiag.lab.environment import client_and_server_cores
from loopdiag.lab.injection import injected_environment
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Payload, Scenario, Service, Sweep, Target

CELLS = (("aiohttp", 800), ("httpx", 200))  # client, N
LOOPS = ("asyncio", "uvloop")
RIVALS = {"aiohttp": ("TraceConfig", "OpenTelemetry"), "httpx": ("trace extension", "OpenTelemetry")}
ASKED = 1.03


def scenario() -> Scenario:
    """The pokeapi experiment's target."""
    service = Service(law="normal", mean_ms=50, sd_ms=10)
    payload = Payload(law="table", table="pokeapi", gzip=True)
    target = Target(path="/api/v2/pokemon/{i}", tls="ecdsa-p256", service=service, payload=payload)
    return Scenario(name="overhead", arms=(Arm(client="aiohttp"),), target=target, sweep=Sweep(n=(200, 800)))


def measured(server: TargetServer, cell: tuple[str, int], loop: str, rounds: int) -> list[dict[str, float]]:
    """One new process: CPU microseconds a request of every variant in every round."""
    client, n = cell
    cores, _ = client_and_server_cores()
    core = str(cores[0]) if cores else "any"
    url = server.url + "/api/v2/pokemon/{i}"
    program = str(Path(__file__).with_name("bursts.py"))
    command = [
        sys.executable,
        program,
        client,
        loop,
        url,
        str(server.ca_file),
        str(n),
        str(rounds),
        core,
        "at-once",
        "bare",
        "light",
        *RIVALS[client],
    ]
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(command, env=injected_environment(os.environ, Path(folder)), check=True, capture_output=True, text=True)
    table: list[dict[str, float]] = json.loads(ended.stdout)
    return table


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of the 95 % interval (Student's)."""
    return statistics.mean(values), student_quantile(len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5


def main(*, quick: bool = False) -> None:
    """Print one block a cell: each variant's ratio, and by how much ours is cheaper than each rival."""
    processes, rounds = (3, 3) if quick else (10, 2)
    _, server_cores = client_and_server_cores()
    with TargetServer.start(scenario(), cores=server_cores) as server:
        for cell in CELLS:
            for loop in LOOPS:
                tables = [measured(server, cell, loop, rounds) for _ in range(processes)]
                report(cell, loop, tables)


def report(cell: tuple[str, int], loop: str, tables: list[list[dict[str, float]]]) -> None:
    """Print one cell."""
    base = statistics.median(row["bare"] for table in tables for row in table)
    print(
        f"{cell[0]}/{loop} N = {cell[1]}: {base:.0f} µs CPU a request; {len(tables)} processes of {len(tables[0])} rounds, interleaved",
        flush=True,
    )
    for name in tables[0][0]:
        if name == "bare":
            continue
        value, half = interval([_ratio(table, name, "bare") for table in tables])
        asked = f"  (asked <= {ASKED})" if name == "light" else ""
        against = ""
        if name != "light":
            ours, width = interval([_ratio(table, "light", name) for table in tables])
            against = f"; light / {name} = {ours:.3f} ± {width:.3f}"
        print(f"  {name:16} / bare = {value:.3f} ± {half:.3f}{asked}{against}", flush=True)


def _ratio(table: list[dict[str, float]], name: str, base: str) -> float:
    """The median over rounds of one process."""
    return statistics.median(row[name] / row[base] for row in table)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
