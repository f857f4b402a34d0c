"""CPU planted into each request, and what profiles of real trials say of it (asked: within 10 % and the stated interval; dose-response 1.00 ± 0.05).

Three sizes on both loops from the slope flame graph at the default rate; beside them what single trials show of their own CPU, as it is and with a py-spy that stops the client
for each sample, which tears no stack (but makes everything else slower, so that it has no say about slopes: what is planted is CPU, and does not slow down); five doses; and a
cost that grows with N, which shall be marked with the power 2.
"""

import sys
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from profile_tier import _stopping

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from planted_cpu_parts import Planting, found, target

from loopdiag.analysis.distributions import student_quantile
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Plant, Profiling

LOOPS = ("asyncio", "uvloop")
COSTS_US = (100, 400, 1600)
NS = (100, 300, 800)
FIVE_NS = (50, 100, 200, 400, 800)
DOSES_US = (0, 200, 400, 800, 1600)
N_OF_DOSES = 500
RATE = Profiling().rate_hz


class Plots:
    """Makes plantings, each in a folder of its own."""

    def __init__(self, server: TargetServer, folder: Path) -> None:
        self._server, self._folder, self._numbers = server, folder, count()

    def new(self, arm: Arm, plant: Plant, profiler: tuple[str, ...] = ()) -> Planting:
        """One more."""
        return Planting(self._server, self._folder / str(next(self._numbers)), arm, plant, rate_hz=RATE, profiler=profiler)


def main(*, quick: bool = False) -> None:
    """Print one line a size, a loop and a way to sample."""
    rounds = 1 if quick else 3
    with target() as server, tempfile.TemporaryDirectory() as folder:
        plots = Plots(server, Path(folder))
        for loop in LOOPS:
            _sizes(plots, Arm(client="aiohttp", loop=loop), rounds)
        for loop in LOOPS:
            _doses(plots, Arm(client="aiohttp", loop=loop), rounds)
        _scan(plots, rounds)


def _sizes(plots: Plots, arm: Arm, rounds: int) -> None:
    for cost_us in COSTS_US:
        planting = plots.new(arm, Plant(cpu_us=cost_us))
        ways = {"as it is": planting, "stopping": plots.new(arm, Plant(cpu_us=cost_us), _stopping())}
        own: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            planting.round(NS)
            for way, each in ways.items():
                own[way].append(each.seen_us(NS[-1], "burn"))
        seen = found(planting.slope_flame(), "burn")
        held = "holds" if abs(seen.slope_us - cost_us) <= 0.1 * cost_us + seen.half_us else "misses"
        of_own = "; ".join(f"{way} {np.mean(each):.1f} ± {_half(each):.1f}" for way, each in own.items())
        print(
            f"{arm.name} {cost_us:5} µs planted: slope {seen.slope_us:.1f} ± {seen.half_us:.1f} ({seen.slope_us / cost_us:.3f}, {held}); "
            f"of the profiled trials' own CPU at N = {NS[-1]}: {of_own}",
            flush=True,
        )


def _half(values: Sequence[float]) -> float:
    """Half the 95 % interval of the mean; nan for a single value."""
    count = len(values)
    return student_quantile(count - 1) * float(np.std(values, ddof=1)) / count**0.5 if count > 1 else float("nan")


def _doses(plots: Plots, arm: Arm, rounds: int) -> None:
    plantings = [(dose, plots.new(arm, Plant(cpu_us=dose))) for dose in DOSES_US]
    seen = [(dose, planting.seen_us(N_OF_DOSES, "burn")) for _ in range(rounds) for dose, planting in plantings]
    slope, half = _slope(*zip(*seen, strict=True))
    by_dose = ", ".join(f"{dose}: {np.mean([found for each, found in seen if each == dose]):.0f}" for dose in DOSES_US)
    print(f"{arm.name} found over planted: {slope:.3f} ± {half:.3f} (asked 1.00 ± 0.05); {by_dose}", flush=True)


def _slope(planted: Sequence[float], seen: Sequence[float]) -> tuple[float, float]:
    """Least squares and half the 95 % interval."""
    x, y = np.array(planted) - np.mean(planted), np.array(seen)
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    return slope, student_quantile(len(y) - 2) * float(np.sqrt(rest @ rest / (len(y) - 2) / (x @ x)))


def _scan(plots: Plots, rounds: int) -> None:
    planting = plots.new(Arm(client="aiohttp"), Plant(scan_us=1))
    for number in range(rounds):
        planting.round(FIVE_NS)
        print(
            f"scan of 1 µs for each of N: power {found(planting.slope_flame(), 'scan').exponent} after {number + 1} rounds (asked 2 ± 0.2)"
        )


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
