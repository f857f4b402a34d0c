"""The exponent of growth: is the total linear in N, or worse?"""

import numpy as np

from loopdiag.analysis.cells import Cells, Floats, Points, Scatter, read_cells, scatter, with_misfit
from loopdiag.analysis.distributions import student_quantile
from loopdiag.analysis.nonneg import GAIN, fit_nonneg
from loopdiag.model.law import Estimate

#: powers that are tried, and the share of the sweep (in factors of N, counted from its upper end) that they are fitted to
POWERS = np.arange(0.05, 5.0001, 0.01)
REACH = 16.0
AT_LEAST = 5


def exponent(points: Points, *, seed: int = 0) -> Estimate | None:
    """Exponent p of growth above the fixed part, d log(T - a) / d log N, at the upper end of the sweep.

    Definition: p of the law T = a + b*N^p with a ≥ 0 and b ≥ 0 that has the least squared relative errors over the upper end: values of N
    within a factor of 16 of the largest, at least five where there are so many.  The fixed part a (connecting, think time) is fitted, not
    guessed: of T = 50 ms + 1 ms * N, d log T / d log N is 0.67 at N = 100 and only tends to 1, yet nothing about it grows less than linearly; p is 1.
    For a law of several terms p is their mean over this range: 1.9 for a linear and a dominant square term.

    The 95 % interval is the likelihood's: all p whose best a and b fit not significantly worse, given the scatter between repetitions
    (or, without repetitions, that of the residuals).

    Args:
        points: N → totals in seconds.
        seed: unused; the interval takes no random numbers.

    Returns:
        None for fewer than three values of N; value 0, without an interval, where T does not grow beyond its scatter.
    """
    del seed
    cells = upper_end(read_cells(points))
    if cells is None:
        return None
    cells = cells.clipped()
    linear, squares = _profile(cells)
    best = int(squares.argmin())
    residual = cells.centre - (linear[best, 0] + linear[best, 1] * (cells.n / cells.n[-1]) ** POWERS[best])
    pure = scatter(cells)
    used = with_misfit(cells, pure, residual, cells.n.size - 3.0)
    if not used.known:
        return Estimate(value=_refined(squares, best), why="three values of N, one repetition each")
    reach = _reach(used)
    if _flat(cells) <= squares[best] * (1 + GAIN) + (_reach(pure) if pure.dof.sum() >= 3 else 0.0):
        return Estimate(value=0.0, why="no growth beyond the scatter between repetitions")
    value = _refined(squares, best)
    low, high = _bounds(squares, best, squares[best] + reach)
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _reach(used: Scatter) -> float:
    """How much worse than the best the squares may be within the 95 % interval."""
    return student_quantile(float(used.dof.sum())) ** 2 * used.pooled


def upper_end(cells: Cells) -> Cells | None:
    """The cells that `exponent` looks at; None for fewer than three."""
    size = cells.n.size
    if size < 3:
        return None
    first = min(int(np.argmax(cells.n >= cells.n[-1] / REACH)), max(0, size - AT_LEAST))
    return Cells(
        n=cells.n[first:], trials=cells.trials[first:], count=cells.count[first:], centre=cells.centre[first:], scale=cells.scale[first:]
    )


def _profile(cells: Cells) -> tuple[Floats, Floats]:
    """Best a and b and their squares for each power: shapes (powers, 2) and (powers,)."""
    grown = (cells.n[None, :] / cells.n[-1]) ** POWERS[:, None]
    design = np.stack([np.ones_like(grown), grown], axis=-1)
    linear, squares = fit_nonneg(design, cells.centre[None, :], cells.count / cells.scale**2)
    return linear[:, 0], squares[:, 0]


def _flat(cells: Cells) -> float:
    """Squares around the best constant."""
    weight = cells.count / cells.scale**2
    mean = (weight * cells.centre).sum() / weight.sum()
    return float((weight * (cells.centre - mean) ** 2).sum())


def _refined(squares: Floats, best: int) -> float:
    """The minimum of the parabola through the best power and its neighbours."""
    if best in {0, POWERS.size - 1}:
        return float(POWERS[best])
    before, here, after = squares[best - 1 : best + 2]
    bend = before - 2 * here + after
    shift = float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend > 0 else 0.0
    return float(POWERS[best] + shift * (POWERS[1] - POWERS[0]))


def _bounds(squares: Floats, best: int, level: float) -> tuple[float, float]:
    """Where the squares cross `level` on either side of the best power, interpolated; the grid's end where they do not."""
    low, high = best, best
    while low > 0 and squares[low - 1] <= level:
        low -= 1
    while high < POWERS.size - 1 and squares[high + 1] <= level:
        high += 1
    return _crossing(squares, low, -1, level), _crossing(squares, high, 1, level)


def _crossing(squares: Floats, inside: int, step: int, level: float) -> float:
    outside = inside + step
    if not 0 <= outside < POWERS.size:
        return float(POWERS[inside])
    rise = squares[outside] - squares[inside]
    share = (level - squares[inside]) / rise if rise > 0 else 0.0
    return float(POWERS[inside] + share * (POWERS[outside] - POWERS[inside]))
