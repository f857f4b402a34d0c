"""The slope of the total over N: one figure in ms per request, linear in the totals, with an honest interval."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt

from loopdiag.analysis.cells import Cells, Floats, Points, Scatter, read_cells, scatter, with_misfit
from loopdiag.analysis.distributions import student_quantile
from loopdiag.model.law import Estimate

UNIT = "ms/request"


def slope_weights(ns: Sequence[int] | npt.NDArray[np.int64] | Floats) -> Floats:
    """Weights w of the least-squares slope: slope = Σ w_i T_i over all trials i, T in seconds, slope in s/request.

    The slope is linear in T, so the slopes of accounts that add up to T add up to the slope of T exactly.

    Args:
        ns: N of each trial, shape (trials,), in any order.

    Raises:
        ValueError: fewer than two distinct values of N.
    """
    n = np.asarray(ns, dtype=float)
    if np.unique(n).size < 2:
        raise ValueError("a slope needs at least two values of N")
    centred = n - n.mean()
    return np.asarray(centred / (centred**2).sum())


def slope(points: Points, *, seed: int = 0) -> Estimate | None:
    """Ordinary least-squares slope of T over N, over all trials of the sweep, with its 95 % interval.

    The interval is a Student one.  Its variance is that of Σ w_i T_i given the scatter between repetitions (`scatter`: relative to T,
    shared by neighbouring N), with Satterthwaite's degrees of freedom; percentile bootstraps and HC3 cover 59–92 % with 2–5 repetitions
    (``benchmarks/coverage.py``).  What is estimated is the slope over the N that were measured, also where
    T(N) bends: the law and the exponent tell the bend.  Without repetitions the residuals from the line stand in for their scatter.

    Args:
        points: N → totals in seconds.
        seed: unused; the interval takes no random numbers.

    Returns:
        ms per request; without an interval (and with `why`) where there is nothing to take it from; None for fewer than two values of N.
    """
    del seed
    return estimate(read_cells(points))


def estimate(cells: Cells) -> Estimate | None:
    """As `slope`, of cells that were made elsewhere: paired differences, say, whose scale is not their own size."""
    if cells.n.size < 2:
        return None
    weights = cell_weights(cells)
    value = 1e3 * float((weights * np.array([t.mean() for t in cells.trials])).sum())
    half = _half_width(cells, weights)
    if half is None:
        return Estimate(value=value, unit=UNIT, why="two values of N, one repetition each")
    return Estimate(value=value, low=value - 1e3 * half, high=value + 1e3 * half, unit=UNIT)


def repeatability(points: Points) -> float | None:
    """Half the 95 % interval that comes from scatter between repetitions alone, as a share of the slope.

    This is what further repetitions make smaller.  None without
    repetitions, with fewer than two values of N, or where the slope is 0.
    """
    cells = read_cells(points)
    if cells.n.size < 2 or not scatter(cells).known:
        return None
    weights = cell_weights(cells)
    value = float((weights * cells.centre).sum())
    variance, dof = _pure_variance(cells, weights, scatter(cells))
    return None if value == 0 else student_quantile(dof) * sqrt(variance) / abs(value)


def cell_weights(cells: Cells) -> Floats:
    """Weights of the cells' means in the slope, shape (k,)."""
    mean = (cells.count * cells.n).sum() / cells.count.sum()
    centred = cells.n - mean
    return np.asarray(cells.count * centred / (cells.count * centred**2).sum())


def _half_width(cells: Cells, weights: Floats) -> float | None:
    """Half the interval in s/request; None where nothing shows the scatter."""
    seen = spread(cells, weights)
    return None if seen is None else student_quantile(seen[1]) * sqrt(seen[0])


def spread(cells: Cells, weights: Floats | None = None) -> tuple[float, float] | None:
    """Variance of the slope in (s/request)² with its degrees of freedom; None where nothing shows the scatter.

    Args:
        cells: of two values of N or more.
        weights: of the cells' means in the slope, shape (k,); None: `cell_weights`.
    """
    pure = scatter(cells)
    residual, free = line_residual(cells, cells.count / cells.scale**2), cells.n.size - 2.0
    used = pure if pure.dof.sum() >= 3 else with_misfit(cells, pure, residual, free)
    return _pure_variance(cells, cell_weights(cells) if weights is None else weights, used) if used.known else None


def _pure_variance(cells: Cells, weights: Floats, used: Scatter) -> tuple[float, float]:
    """Variance of the slope in (s/request)² and its degrees of freedom after Satterthwaite."""
    parts = weights**2 * used.variance * cells.scale**2 / cells.count
    of_group = np.array([parts[used.group == g].sum() for g in range(used.dof.size)])
    total, below = of_group.sum(), (of_group**2 / np.maximum(used.dof, 1)).sum()
    return float(total), float(total**2 / below) if below > 0 else float(used.dof.sum())


def line_residual(cells: Cells, weight: Floats) -> Floats:
    """Cell means less their weighted straight line, in seconds, shape (k,)."""
    mean = (weight * cells.n).sum() / weight.sum()
    centred = cells.n - mean
    incline = (weight * centred * cells.centre).sum() / (weight * centred**2).sum()
    return np.asarray(cells.centre - (weight * cells.centre).sum() / weight.sum() - incline * centred)
