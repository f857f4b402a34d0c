"""Wall time and CPU of profiled trials over bare ones (asked: at most 1.10 in wall time at the default rate), from interleaved pairs.

For interest: twice the default rate, and py-spy as it is without being told not to stop the client, at 1000 Hz.  Beside them what the
profile says: samples a trial, samples lost, and its weight over the trial's own CPU, which is 1 where nothing is missing.
"""

import shlex
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec
from overhead import interval, scenario

from loopdiag.lab import store
from loopdiag.lab.environment import client_and_server_cores
from loopdiag.lab.job import Job
from loopdiag.lab.sampling import py_spy
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.trial import Bench
from loopdiag.model.profile import Profile
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Profiling

CELLS = (("aiohttp", 800), ("httpx", 200))  # client, N
LOOPS = ("asyncio", "uvloop")
RATE = Profiling().rate_hz
ASKED = 1.10


class Variant(NamedTuple):
    """One way to profile."""

    name: str
    rate_hz: int
    stops: bool = False  # py-spy stops the client for each sample


VARIANTS = (Variant("default", RATE), Variant("twice the rate", 2 * RATE), Variant("1000 Hz, stopping", 1000, stops=True))


class Cell:
    """Trials of one client, loop and N against one server."""

    def __init__(self, server: TargetServer, arm: Arm, n: int, folder: Path) -> None:
        self._server, self._arm, self._n, self._folder = server, arm, n, folder
        self._count = 0

    def trial(self, variant: Variant | None) -> tuple[TrialResult, Profile | None]:
        """Run one trial, bare or profiled."""
        self._count += 1
        spec = TrialSpec(id=f"{self._count}", arm=self._arm, n=self._n, tier="profile" if variant else "bare", repetition=0, seed=1)
        folder = self._folder / "trials" / spec.id
        folder.mkdir(parents=True)
        made = msgspec.structs.replace(scenario(), profile=Profiling(rate_hz=variant.rate_hz if variant else RATE))
        cores, _ = client_and_server_cores()
        job = Job(
            scenario=made, spec=spec, url=self._server.url, folder=str(folder), ca_file=str(self._server.ca_file), cores=cores, warm_up=True
        )
        result = Bench(self._server, profiler=_stopping() if variant and variant.stops else ()).run(job, folder)
        if result.status != "ok" or "profile" in result.not_observed:
            raise SystemExit(f"the trial failed: {result.why or result.not_observed}")
        (folder / "trial.json").write_bytes(msgspec.json.encode(result))
        return result, store.profile(self._folder, spec.id)


def _stopping() -> tuple[str, ...]:
    """py-spy without the option that keeps it from stopping the client."""
    script = f'for a in "$@"; do shift; [ "$a" = --nonblocking ] || set -- "$@" "$a"; done; exec {shlex.quote(py_spy() or "py-spy")} "$@"'
    return ("sh", "-c", script, "py-spy")


def main(*, quick: bool = False) -> None:
    """Print one line a cell and variant."""
    pairs = 4 if quick else 20
    _, server_cores = client_and_server_cores()
    with TargetServer.start(scenario(), cores=server_cores) as server, tempfile.TemporaryDirectory() as folder:
        for client, n in CELLS:
            for loop in LOOPS:
                cell = Cell(server, Arm(client=client, loop=loop), n, Path(folder) / f"{client}-{loop}")
                _report(f"{client}/{loop} N = {n}", cell, pairs)


def _report(name: str, cell: Cell, pairs: int) -> None:
    print(f"{name}: {pairs} pairs, interleaved", flush=True)
    walls: dict[str, list[float]] = {variant.name: [] for variant in VARIANTS}
    cpus: dict[str, list[float]] = {variant.name: [] for variant in VARIANTS}
    profiles: dict[str, list[Profile]] = {variant.name: [] for variant in VARIANTS}
    for _ in range(pairs):
        bare, _nothing = cell.trial(None)
        for variant in VARIANTS:
            result, profile = cell.trial(variant)
            assert profile is not None
            walls[variant.name].append((result.total_s or 0) / (bare.total_s or 1))
            cpus[variant.name].append((result.cpu_s or 0) / (bare.cpu_s or 1))
            profiles[variant.name].append(profile)
    for variant in VARIANTS:
        (wall, half), (cpu, width), seen = interval(walls[variant.name]), interval(cpus[variant.name]), profiles[variant.name]
        samples = statistics.median(len(profile.weight_ns) for profile in seen)
        lost = statistics.median(profile.lost / max(1, profile.lost + len(profile.weight_ns)) for profile in seen)
        whole = statistics.median(profile.total_ns / (profile.cpu_ns or 1) for profile in seen)
        asked = f"  (asked <= {ASKED:.2f})" if variant.name == "default" else ""
        print(
            f"  {variant.name:18} {variant.rate_hz:5} Hz: wall {wall:.3f} ± {half:.3f}{asked}, CPU {cpu:.3f} ± {width:.3f}; "
            f"{samples:.0f} samples a trial, {lost:.1%} lost, weight / CPU {whole:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
