"""What an instrument costs: a ratio of treated over base trials, paired by cell."""

from collections.abc import Hashable, Mapping, Sequence
from math import sqrt
from typing import TypeVar

import numpy as np

from loopdiag.analysis.cells import MISFIT_LEVEL, Floats
from loopdiag.analysis.distributions import f_tail, student_quantile

Cell = TypeVar("Cell", bound=Hashable)


def paired_ratio(
    base: Mapping[Cell, Sequence[float]], treated: Mapping[Cell, Sequence[float]]
) -> tuple[float, float | None, float | None] | None:
    """Geometric mean over cells of treated over base, with its 95 % interval.

    A cell (arm, N) counts once, however often it was repeated; only cells measured on both sides count.  The interval is Student's in
    log ratio: from the scatter between repetitions; where the cells' ratios differ beyond that, or nothing was repeated, from the scatter between cells.

    Args:
        base: cell → positive measurements (for example client CPU in seconds of bare trials).
        treated: the same of treated trials.

    Returns:
        (ratio, low, high); low and high are None where there is nothing to take them from; None where no cell was measured on both sides.
    """
    pairs = [(_logs(base[cell]), _logs(treated[cell])) for cell in base if cell in treated]
    pairs = [(b, t) for b, t in pairs if b.size and t.size]
    if not pairs:
        return None
    ratios = np.array([t.mean() - b.mean() for b, t in pairs])
    half = _half_width(pairs, ratios)
    middle = float(ratios.mean())
    if half is None:
        return float(np.exp(middle)), None, None
    return float(np.exp(middle)), float(np.exp(middle - half)), float(np.exp(middle + half))


def _logs(sample: Sequence[float]) -> Floats:
    values = np.asarray(sample, dtype=float)
    return np.sort(np.log(values[np.isfinite(values) & (values > 0)]))


def _half_width(pairs: list[tuple[Floats, Floats]], ratios: Floats) -> float | None:
    """Half the interval of the mean log ratio."""
    cells = ratios.size
    dof = float(sum(b.size + t.size - 2 for b, t in pairs))
    squares = float(sum(((x - x.mean()) ** 2).sum() for pair in pairs for x in pair))
    between = float(ratios.var(ddof=1) / cells) if cells > 1 else None
    if dof == 0:
        return None if between is None else student_quantile(cells - 1) * sqrt(between)
    within = squares / dof * float(sum(1 / b.size + 1 / t.size for b, t in pairs)) / cells**2
    if between is not None and between > 0 and (within == 0 or f_tail(between / within, cells - 1, dof) < MISFIT_LEVEL):
        return student_quantile(cells - 1) * sqrt(between)
    return student_quantile(dof) * sqrt(within)
