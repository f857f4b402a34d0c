"""Least squares with coefficients ≥ 0, for many data sets and many designs at once."""

from itertools import combinations

import numpy as np

from loopdiag.analysis.cells import Floats

#: a coefficient is used only where it takes away more than rounding
GAIN = 1e-9


def fit_nonneg(design: Floats, data: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Minimise Σ weight (data - design @ coefficients)² over coefficients ≥ 0.

    All subsets of at most four columns are tried: the best one with coefficients ≥ 0 is the exact answer, and every step is one matrix product.

    Args:
        design: shape (G, k, q), q ≤ 4.
        data: shape (B, k).
        weight: of squares, shape (k,); 0 leaves a row out.

    Returns:
        Coefficients, shape (G, B, q), and the sums of squares, shape (G, B).
    """
    root = np.sqrt(weight)
    columns, rows = design * root[:, None], data * root
    length = np.sqrt((columns**2).sum(axis=1, keepdims=True))
    columns = columns / np.where(length > 0, length, 1.0)
    shape = (len(design), len(data))
    best, squares = np.zeros((*shape, design.shape[2])), np.broadcast_to((rows**2).sum(axis=1), shape).copy()
    for size in range(1, design.shape[2] + 1):
        for chosen in combinations(range(design.shape[2]), size):
            part = columns[:, :, chosen]
            found = np.matmul(rows, np.linalg.pinv(part).transpose(0, 2, 1))
            error = ((rows - np.matmul(found, part.transpose(0, 2, 1))) ** 2).sum(axis=2)
            better = (found >= 0).all(axis=2) & (error < squares * (1 - GAIN))
            squares = np.where(better, error, squares)
            full = np.zeros_like(best)
            full[:, :, chosen] = found
            best = np.where(better[..., None], full, best)
    return best / np.where(length > 0, length, 1.0), squares


def best_design(squares: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each data set the first design whose squares are least, up to rounding: shape (G, B) → (B,)."""
    least = squares.min(axis=0)
    return np.asarray((squares <= least * (1 + GAIN) + 1e-26).argmax(axis=0))
