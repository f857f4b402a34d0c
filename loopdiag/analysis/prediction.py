"""What a value of N that was not measured would take, so that a plan can leave out what does not fit its budget."""

from itertools import pairwise
from math import log

import numpy as np

from loopdiag.analysis.cells import Points


def predict_total(points: Points, n: int) -> float | None:
    """Predict T at `n` from the medians of the (up to three) nearest smaller N: their power law, never flatter than linear.

    It leans to the long side: of the two steepnesses between the last three medians the larger one counts, and an offset is not subtracted.  One
    smaller N alone is extended in proportion; with none, the nearest larger one is shrunk in proportion.

    Args:
        points: N → totals in seconds.
        n: the N that is asked for; its own totals, if any, are not looked at.

    Returns:
        Seconds; None where there is nothing to predict from.
    """
    medians = {m: float(np.median(totals)) for m, totals in sorted(points.items()) if len(totals) and m != n}
    medians = {m: median for m, median in medians.items() if median > 0}
    smaller = [m for m in medians if m < n][-3:]
    if not smaller:
        return medians[min(medians)] * n / min(medians) if medians else None
    steepness = max([1.0, *(log(medians[b] / medians[a]) / log(b / a) for a, b in pairwise(smaller))])
    return float(medians[smaller[-1]] * (n / smaller[-1]) ** steepness)
