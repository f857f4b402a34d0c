"""Which parts of the CPU grow faster than N, beyond doubt, and with which power.

Many parts at once, each with variances of its own that are known (samples were counted); for totals, with scatter that must be estimated, there is `analysis/exponent.py`,
which defines the exponent in the same way: p of a + b·N^p with a ≥ 0 and b ≥ 0.
"""

import numpy as np

from loopdiag.analysis.cells import Floats
from loopdiag.analysis.flame_tree import Ints

POWERS = np.arange(0.5, 4.0001, 0.02)
#: χ² by which a law within the interval may fit worse than the best: 99 %, for many frames are asked; with three values of N, which every law of
#: either family fits, 99.9 %
REACH, REACH_OF_THREE = 6.635, 10.828
#: growth is called super-linear where its whole interval lies above (N log N has 1.15 at N = 800)
STEEP = 1.2
#: fewer values of N tell nothing of a bend
LEAST_N = 3
KNEES = 40
HIGHER = (1.3, 1.5, 1.8, 2.2, 2.7, 3.3, 4.0)
BATCH = 2000


def steep_powers(n: Floats, cpu_s: Floats, variance: Floats) -> Floats:
    """Power of N of each part's CPU; nan where it is not super-linear beyond doubt.

    The power is the local one at the largest N, d log(CPU - a) / d log N, by one of two families: a + b·N^p, or, where it fits clearly better, the line
    that only begins at some N, a + b·max(0, N - c), whose local power is N / (N - c): a mechanism such as a pool's queue begins so, and with few N it
    looks much the same.  It is told where the intervals of both lie above `STEEP`, or where that of the power law does and no such line
    fits.  Few samples do neither.

    Args:
        n: shape (k,), ascending.
        cpu_s: in seconds, shape (m, k).
        variance: of these, above 0, shape (m, k).
    """
    powers = np.full(len(cpu_s), np.nan)
    if n.size < LEAST_N or not len(cpu_s):
        return powers
    x = n / n[-1]
    # frames on a path without branches have the same numbers, and most parts are far from steep: both are cheap to see
    _, first, same = np.unique(np.concatenate([cpu_s, variance], axis=1), axis=0, return_index=True, return_inverse=True)
    y, error, found = cpu_s[first], variance[first], powers[first]
    bent = np.flatnonzero(_bends(x, y, error))
    for i in range(0, bent.size, BATCH):
        rows = bent[i : i + BATCH]
        found[rows] = _steep(x, y[rows], error[rows])
    return found[same.reshape(-1)]


def _bends(x: Floats, y: Floats, variance: Floats) -> Floats:
    """Whether any of a few higher powers fits better than `STEEP`; without it no finer look is needed."""
    squares = _misfits(x ** np.array([STEEP, *HIGHER])[:, None], y, 1 / variance)[0]
    return np.asarray(squares[:, 0] > squares[:, 1:].min(axis=1))


def _steep(x: Floats, y: Floats, variance: Floats) -> Floats:
    for _ in range(2):  # variances of what was counted favour cells that came out short: second time, those of the fitted law
        squares = _misfits(x ** POWERS[:, None], y, 1 / variance)[0]
        best = squares.argmin(axis=1)
        variance = _expected(x, y, variance, best)
    power, power_low, power_misfit, reach = _local(x ** POWERS[:, None], POWERS, x, y, variance)
    knees = np.linspace(0, x[-2], KNEES, endpoint=False)
    knee, knee_low, knee_misfit, _ = _local(np.maximum(0, x - knees[:, None]), 1 / (1 - knees), x, y, variance)
    steep = (power_low > STEEP) & ((knee_low > STEEP) | (knee_misfit > power_misfit + reach))
    bent = (power < POWERS[-1]) & (power_misfit <= knee_misfit + REACH)  # at the end of the grid it is no power: the part has just begun
    return np.where(steep & (bent | (knee_misfit <= power_misfit + reach)), np.where(bent, power, knee), np.nan)


def _local(basis: Floats, local: Floats, x: Floats, y: Floats, variance: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Local power of the best law of a family, the low end of its interval, the best law's χ², and by how much more laws within the interval may miss."""
    squares = _misfits(basis, y, 1 / variance)[0]
    least = squares.min(axis=1)
    reach = np.full(least.size, REACH_OF_THREE) if x.size == LEAST_N else REACH * np.maximum(1.0, least / (x.size - LEAST_N))
    inside = squares <= (least + reach)[:, None]
    return local[squares.argmin(axis=1)], local[inside.argmax(axis=1)], least, reach


def _expected(x: Floats, y: Floats, variance: Floats, best: Ints) -> Floats:
    """Variances where the best law expects more than was seen: more by what counting adds, a second of CPU having the variance that it has at the largest N."""
    _, a, b = _misfits(x ** POWERS[:, None], y, 1 / variance)
    rows = np.arange(len(y))
    law = a[rows, best, None] + b[rows, best, None] * x ** POWERS[best][:, None]
    of_a_second = variance[:, -1:] / np.maximum(y[:, -1:], 1e-12)
    return np.asarray(variance + of_a_second * np.maximum(0.0, law - y))


def _misfits(basis: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Least χ² of a + b·basis with a, b ≥ 0, and these: basis (g, k), y and weight (m, k) → three of shape (m, g)."""
    s0 = weight.sum(axis=1, keepdims=True)
    s1, s2 = weight @ basis.T, weight @ (basis**2).T
    y0, y1 = (weight * y).sum(axis=1, keepdims=True), (weight * y) @ basis.T
    ground = s0 * s2 - s1**2
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(ground > 1e-12 * s0 * s2, (s2 * y0 - s1 * y1) / ground, 0.0)
        b = np.where(ground > 1e-12 * s0 * s2, (s0 * y1 - s1 * y0) / ground, 0.0)
        alone = np.where(s2 > 0, y1 / s2, 0.0)
    b, a = np.where(a < 0, alone, b), np.maximum(a, 0)
    a, b = np.where(b < 0, y0 / s0, a), np.maximum(b, 0)
    total = (weight * y**2).sum(axis=1, keepdims=True)
    return np.maximum(total - 2 * (a * y0 + b * y1) + a**2 * s0 + 2 * a * b * s1 + b**2 * s2, 0), a, b
