"""What would the slope be, were the machine changed: one replay of it as it is, and one as it would be."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from loopdiag.analysis.cells import Points, read_cells
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.replay import run
from loopdiag.analysis.slope import UNIT, cell_weights
from loopdiag.model.law import Estimate

SEEDS = (0, 1, 2)
#: replays of one trial, beyond which further seeds say nothing new: large trials draw many think times
REQUESTS = 900
#: the model's own error as a share of what it predicts, beside how far it missed the run that it was fitted to
MODEL = 0.1
#: a slope below this share of the largest total over its N is none
FLAT = 1e-3


def slope_ms(machine: Machine, points: Points) -> float:
    """Least-squares slope of the replayed totals over the N of a sweep, in ms per request.

    Args:
        machine: to be replayed.
        points: of the sweep; their values of N and how often each was repeated count, their totals do not.
    """
    return float(np.mean(_slopes(machine, points)))


def totals(machine: Machine, ns: Iterable[int]) -> dict[int, float]:
    """N → replayed total in seconds, times the machine's factor, mean over the seeds."""
    return {n: float(np.mean([_total(machine, n, seed) for seed in _seeds(machine, n)])) * machine.factor for n in ns}


def without(machine: Machine, changed: Machine, points: Points, slope: Estimate) -> tuple[Estimate, Estimate]:
    """What the measured slope would become, and the share of it that would go.

    Args:
        machine: fitted to the run.
        changed: the same without a cause, or after an intervention.
        points: of the sweep that `slope` was measured on.
        slope: measured, in ms per request.

    Returns:
        The predicted slope in ms per request, and 1 - predicted / measured (at most 1; below 0 where the change makes things worse).  The
        first interval holds the measured slope's, the second does not, because both slopes share it; both hold the model's error, which is
        least where the change does nothing.  Without intervals, and with `why`, where the machine's own slope is none.
    """
    base, other = _slopes(machine, points), _slopes(changed, points)
    middle = float(np.mean(base))
    if abs(middle) <= _flat(machine, points):
        why = "the replayed total does not grow with N"
        return Estimate(value=slope.value, unit=UNIT, why=why), Estimate(value=0.0, why=why)
    ratios = [b / a for a, b in zip(base, other, strict=True)] if min(base) > 0 < middle else [float(np.mean(other)) / middle]
    ratio = float(np.mean(other)) / middle
    moved = abs(1 - ratio)
    model = (MODEL + machine.miss) * min(moved, max(abs(ratio), MODEL) + MODEL)
    error = float(np.hypot(model, (max(ratios) - min(ratios)) / 2))
    own = slope.half_width or 0.0
    half = abs(slope.value) * float(np.hypot(error, own * ratio))
    predicted = Estimate(value=slope.value * ratio, low=slope.value * ratio - half, high=slope.value * ratio + half, unit=UNIT)
    return predicted, Estimate(value=min(1.0, 1 - ratio), low=min(1.0, 1 - ratio - error), high=min(1.0, 1 - ratio + error))


def _slopes(machine: Machine, points: Points) -> list[float]:
    """The slope by each seed."""
    cells = read_cells(points)
    weights = cell_weights(cells) * 1e3 * machine.factor
    ns = [int(n) for n in cells.n]
    return [
        float(
            sum(
                weight * _total(machine, n, _seeds(machine, n)[at % len(_seeds(machine, n))]) for n, weight in zip(ns, weights, strict=True)
            )
        )
        for at in range(len(_seeds(machine, min(ns))))
    ]


def _seeds(machine: Machine, n: int) -> tuple[int, ...]:
    """Which seeds a trial is replayed with: one where nothing is drawn."""
    if len(machine.think) < 2:
        return SEEDS[:1]
    return SEEDS[: max(1, min(len(SEEDS), REQUESTS // n))]


def _flat(machine: Machine, points: Points) -> float:
    """A slope that is none, in ms per request."""
    ns = [int(n) for n in read_cells(points).n]
    return FLAT * 1e3 * max(totals(machine, ns).values()) / max(ns)


@lru_cache(maxsize=8192)
def _total(machine: Machine, n: int, seed: int) -> float:
    return run(machine, n, seed=seed).total_s
