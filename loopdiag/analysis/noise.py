"""How much the machine scatters: repetitions of the same cell against each other (A/A), as relative figures."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from loopdiag.analysis.cells import Floats, pair_spread

Cell = TypeVar("Cell", bound=Hashable)


def repetition_noise(cells: Mapping[Cell, Sequence[float]]) -> dict[str, float]:
    """Relative scatter and drift of the totals of cells that were run more than once.

    Args:
        cells: any key (arm, N) → totals in seconds, in the order in which they ran.

    Returns:
        Empty where no cell was repeated; else

        - ``repeated_cells``: how many cells the figures rest on,
        - ``relative_sd_of_repetitions``: robust standard deviation of one total over its cell's median, over all cells (from the median distance of
          pairs: one wild trial does not move it),
        - ``relative_sd_of_worst_cell``: the same for the cell where it is largest,
        - ``largest_relative_deviation``: of any single total from its cell's median: the wild trial itself,
        - ``relative_drift``: the later half of each cell's repetitions against the earlier half, less 1, typical cell: warming, throttling.
    """
    kept = [np.asarray(totals, dtype=float) for totals in cells.values()]
    relative = [totals / np.median(totals) for totals in kept if totals.size > 1 and np.median(totals) > 0]
    if not relative:
        return {}
    return {
        "repeated_cells": float(len(relative)),
        "relative_sd_of_repetitions": pair_spread(relative) or 0.0,
        "relative_sd_of_worst_cell": max(pair_spread([totals]) or 0.0 for totals in relative),
        "largest_relative_deviation": float(max(np.abs(totals - 1).max() for totals in relative)),
        "relative_drift": float(np.median([_drift(totals) for totals in relative])),
    }


def _drift(totals: Floats) -> float:
    """Median of the later half over that of the earlier half, less 1; a middle one counts for neither."""
    half = totals.size // 2
    early, late = float(np.median(totals[:half])), float(np.median(totals[-half:]))
    return late / early - 1 if early > 0 else 0.0
