"""Fit one candidate law to a sweep, predict what was left out, and replicate the fit."""

from dataclasses import dataclass

import numpy as np

from loopdiag.analysis.cells import Cells, Floats, Scatter
from loopdiag.analysis.laws import Form
from loopdiag.analysis.nonneg import best_design, fit_nonneg


@dataclass(frozen=True)
class Fit:
    """A form with its numbers, for B data sets at once.

    Attributes:
        form: the candidate.
        linear: fitted coefficients, ≥ 0, shape (B, q).
        shape: limit, knee or powers, shape (B, s).
    """

    form: Form
    linear: Floats
    shape: Floats

    def at(self, n: Floats) -> Floats:
        """The law at N of shape (m,), in seconds, shape (B, m)."""
        return np.asarray(np.einsum("bmq,bq->bm", self.form.columns(n, self.shape), self.linear))

    def growth(self, n: float) -> float:
        """Exponent at N of what the law adds to its fixed part: 1 linear, above 1 super-linear, 0 no growth."""
        near, here, above = self.at(np.array([0.0, n, n * 1.001]))[0] if self.form.growth == "as fitted" else (0.0, 0.0, 0.0)
        if self.form.growth == "linear":
            return 1.0 if self.linear[0, 1:].any() else 0.0
        return float((above - here) / 0.001 / (here - near)) if here > near else 0.0


def fit_form(form: Form, cells: Cells, data: Floats, weight: Floats | None = None) -> Fit:
    """Fit `form` to data of shape (B, k), minimising squared relative errors, each cell weighted by its repetitions."""
    used = cells.count / cells.scale**2 if weight is None else weight
    grid = form.shapes(cells.n)
    linear, squares = fit_nonneg(form.columns(cells.n, grid), data, used)
    chosen = best_design(squares)
    return Fit(form=form, linear=linear[chosen, np.arange(len(data))], shape=grid[chosen])


def left_out_error(form: Form, cells: Cells) -> float:
    """Root mean square relative error at each N of the law fitted to all the other N, against that N's median."""
    weight = cells.count / cells.scale**2
    misses = np.zeros(cells.n.size)
    for i in range(cells.n.size):
        fit = fit_form(form, cells, cells.centre[None, :], np.where(np.arange(cells.n.size) == i, 0.0, weight))
        misses[i] = fit.at(cells.n[i : i + 1])[0, 0] - cells.median[i]
    return float(np.sqrt(np.mean((misses / cells.scale) ** 2)))


def replicate(fit: Fit, cells: Cells, used: Scatter, rng: np.random.Generator, times: int) -> Fit:
    """Bootstrap `fit`: draw each cell's mean around the law `times` times, and fit again, shape included.

    The draws are parametric: two to five repetitions are too few to be drawn from (their percentile bootstrap covers 59-86 % instead of
    95 %).  Each replicate also draws how wrong the estimated variance may be, so that the percentiles have Student's width: one factor for all
    cells, with the degrees of freedom of their mean variance (a factor for each group would be conservative: 98-99 %).
    """
    dof = used.overall_dof
    factor = np.sqrt(dof / rng.chisquare(dof, (times, 1)))
    sd = np.sqrt(used.variance / cells.count) * cells.scale
    return fit_form(fit.form, cells, fit.at(cells.n) + rng.standard_normal((times, cells.n.size)) * sd * factor)
