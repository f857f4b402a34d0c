"""What each watcher costs one warm request, in microseconds: keep-alive, no TLS, one after the other, so that little else is in the way.

Bare and watched bursts alternate in one process; the interval is over rounds.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from overhead import RIVALS, interval

from loopdiag.lab.environment import client_and_server_cores
from loopdiag.lab.injection import injected_environment
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Payload, Scenario, Sweep, Target

CELLS = (("aiohttp", 1000), ("httpx", 200))  # client, requests a burst
LOOPS = ("asyncio", "uvloop")


def measured(server: TargetServer, cell: tuple[str, int], loop: str, rounds: int) -> list[dict[str, float]]:
    """CPU microseconds a request of every variant in every round."""
    cores, _ = client_and_server_cores()
    core = str(cores[0]) if cores else "any"
    program = str(Path(__file__).with_name("bursts.py"))
    names = ("bare", "light", *RIVALS[cell[0]])
    command = [sys.executable, program, cell[0], loop, server.url + "/{i}", "", str(cell[1]), str(rounds), core, "in-turn", *names]
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(command, env=injected_environment(os.environ, Path(folder)), check=True, capture_output=True, text=True)
    table: list[dict[str, float]] = json.loads(ended.stdout)
    return table


def main(*, quick: bool = False) -> None:
    """Print one line a cell."""
    what = Scenario(
        name="hooks", arms=(Arm(client="aiohttp"),), target=Target(path="/{i}", payload=Payload(mean_bytes=1000)), sweep=Sweep(n=(1000,))
    )
    _, server_cores = client_and_server_cores()
    with TargetServer.start(what, cores=server_cores) as server:
        for cell in CELLS:
            for loop in LOOPS:
                table = measured(server, cell, loop, 8 if quick else 30)
                base = statistics.median(row["bare"] for row in table)
                print(f"{cell[0]}/{loop}: {base:.0f} µs CPU a warm request, bare; {len(table)} rounds")
                for name in table[0]:
                    if name != "bare":
                        extra, half = interval([row[name] - row["bare"] for row in table])
                        middle = statistics.median(row[name] - row["bare"] for row in table)
                        print(f"  {name:16} + {extra:.1f} ± {half:.1f} µs (median {middle:.1f})", flush=True)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
