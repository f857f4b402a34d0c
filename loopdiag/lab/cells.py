"""What a plan knows about one cell and one arm: what ran, what it took, what it would take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite, log, pow, sqrt  # noqa: A004 - floats only
from statistics import median

from loopdiag.model.recording import Tier
from loopdiag.model.scenario import Arm

Predict = Callable[[Mapping[int, list[float]], int], float | None]
HalfWidth = Callable[[Mapping[int, list[float]]], float | None]

TRIES = 3  # failures in a row after which a cell is given up
FIRST_OVERHEAD_S = 0.5  # of a process around its timed part, until one was measured
COUNTING = 5.0  # times as long as a bare trial, until one was measured: counting calls slows the client up to thirteenfold, not its start
STEEPEST = 3.0  # exponent that an extrapolation never exceeds


@dataclass
class Cell:
    """One arm, N and tier."""

    n: int
    tier: Tier
    tried: int = 0
    failures: int = 0  # in a row
    costs_s: list[float] = field(default_factory=list)  # wall time of each trial, whole process
    totals_s: list[float] = field(default_factory=list)  # T of the usable ones
    given_up: str | None = None  # why
    left_at_refusal_s: float | None = None  # the most that was left of the share when it was found not to fit


@dataclass
class ArmState:
    """One arm: its cells, its warm-ups, what it has spent."""

    arm: Arm
    index: int
    cells: dict[tuple[int, Tier], Cell] = field(default_factory=dict)
    warm_ups: dict[int, list[float]] = field(default_factory=dict)  # N → T
    overheads_s: list[float] = field(default_factory=list)
    refused: Mapping[Tier, str] = field(default_factory=dict)  # tiers that it cannot run in, and why
    spent_s: float = 0.0
    done: bool = False

    def cell(self, n: int, tier: Tier) -> Cell:
        """The cell, made when first asked for."""
        return self.cells.setdefault((n, tier), Cell(n=n, tier=tier, given_up=self.refused.get(tier)))

    def values(self) -> list[int]:
        """The values of N on this arm's ladder, ascending."""
        return sorted({n for n, _ in self.cells})

    def measured(self) -> list[int]:
        """Values of N with a usable bare trial, ascending."""
        return [n for n in self.values() if self.cell(n, "bare").totals_s]

    def points(self) -> dict[int, list[float]]:
        """N → T of the usable bare trials: what is fitted."""
        return {n: list(self.cell(n, "bare").totals_s) for n in self.measured()}

    def known(self) -> dict[int, list[float]]:
        """N → T of whatever tells about N: its bare trials, else its warm-ups; ascending."""
        known = {n: list(totals) for n, totals in self.warm_ups.items()} | self.points()
        return dict(sorted(known.items()))

    def overhead_s(self) -> float:
        """What a process takes around its timed part."""
        return median(self.overheads_s) if self.overheads_s else FIRST_OVERHEAD_S

    def predicted_s(self, n: int, tier: Tier, predict: Predict) -> float:
        """What one more trial of this cell will take, whole process.

        Never less than a failed trial of the cell took: a hanging cell costs its time-out.
        """
        cell, twin = self.cell(n, tier), self.cell(n, "bare")
        if cell.costs_s:
            return median(cell.costs_s)
        if tier == "calls":
            return COUNTING * self.predicted_s(n, "bare", predict)
        if twin.costs_s:
            return median(twin.costs_s)
        known = self.known()
        if n in known:
            return median(known[n]) + self.overhead_s()
        total = predict(known, n) if known else None
        if total is None or not isfinite(total):
            total = extrapolate(known, n)
        least = max((median(totals) for m, totals in known.items() if m < n), default=0.0)  # more requests never take less
        return max(total, least) + self.overhead_s()


def extrapolate(known: Mapping[int, list[float]], n: int) -> float:
    """T at `n` as the power law through the two values of N nearest to it, at least linear beyond them; 0 where nothing is known."""
    points = [(m, median(totals)) for m, totals in sorted(known.items())]
    if not points:
        return 0.0
    below = [point for point in points if point[0] <= n]
    if not below:
        return points[0][1]
    m, total = below[-1]
    exponent = 1.0
    if len(below) > 1:
        exponent = min(STEEPEST, max(1.0, exponent_between(below[-2], below[-1])))
    return total * pow(n / m, exponent)


def exponent_between(first: tuple[int, float], second: tuple[int, float]) -> float:
    """The exponent of the power law through two points (N, T)."""
    if first[1] <= 0 or second[1] <= 0:
        return 1.0
    return log(second[1] / first[1]) / log(second[0] / first[0])


def more_values(measured: list[int], wanted: int, span: float) -> list[int]:
    """Values of N that an arm should have besides those that it could afford, ascending: in the widest gaps, and there the cheapest.

    Args:
        measured: values that it has, ascending; at least one.
        wanted: how many it should have.
        span: by what factor they should spread.
    """
    values = list(measured)
    low = max(1, int(values[-1] / span))
    if values[-1] < span * values[0] and low < values[0]:
        values.insert(0, low)
    while len(values) < wanted:
        gaps = [(a / b, a, b) for a, b in pairwise(values) if b - a > 1]
        if not gaps:
            break
        _, a, b = min(gaps)
        values = sorted({*values, between(a, b)})
    return sorted(set(values) - set(measured))


def between(a: int, b: int) -> int:
    """The geometric mean of two whole numbers that are no neighbours, rounded as a person would where there is room."""
    middle = sqrt(a * b)
    for unit in (100, 50, 10, 5):
        rounded = round(middle / unit) * unit
        if middle >= unit and a < rounded < b and abs(rounded - middle) <= middle / 10:
            return rounded
    return min(b - 1, max(a + 1, round(middle)))


def seconds(value: float) -> str:
    """A duration for a sentence."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
