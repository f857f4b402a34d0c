"""A sweep's totals as one row a value of N, and how far repetitions of the same N scatter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from loopdiag.analysis.distributions import f_tail

Floats = npt.NDArray[np.float64]
Points = Mapping[int, Sequence[float]]  # N → totals in seconds of the bare trials

#: the standard deviation of a normal law over the median distance of two draws from it
PAIR_TO_SD = 1.0 / (0.6744897501960817 * 2**0.5)
#: neighbouring N share one relative variance until they have so many degrees of freedom together
GROUP_DOF = 4
#: repetitions further than this many robust standard deviations from their cell's median are outliers
CLIP_SD = 4.0
#: a misfit is taken for real where chance alone would give it in fewer than one sweep of 100
MISFIT_LEVEL = 0.01


@dataclass(frozen=True)
class Scatter:
    """Relative variance of single trials, for each cell, with its degrees of freedom.

    Attributes:
        variance: of T over the cell's scale, shape (k,).
        group: which cells share an estimate, shape (k,), from 0.
        dof: degrees of freedom of each group's estimate, shape (groups,).
    """

    variance: Floats
    group: npt.NDArray[np.int64]
    dof: Floats

    @property
    def known(self) -> bool:
        """Whether anything was repeated."""
        return bool(self.dof.sum() > 0)

    @property
    def pooled(self) -> float:
        """One relative variance for the whole sweep, weighted by degrees of freedom."""
        of_group = np.array([self.variance[self.group == g][0] for g in range(self.dof.size)])
        return float((of_group * self.dof).sum() / self.dof.sum())

    @property
    def overall_dof(self) -> float:
        """Degrees of freedom of the cells' mean variance, after Satterthwaite; at least 1."""
        parts = np.array([self.variance[self.group == g].sum() for g in range(self.dof.size)])
        below = float((parts**2 / np.maximum(self.dof, 1)).sum())
        return max(1.0, float(parts.sum()) ** 2 / below if below > 0 else float(self.dof.sum()))


@dataclass(frozen=True)
class Cells:
    """The sweep by N, ascending.

    Attributes:
        n: values of N, shape (k,).
        trials: their totals in seconds, ascending, so that no result depends on the order of repetitions.
        count: repetitions, shape (k,).
        centre: mean total of each N in seconds, shape (k,).
        scale: what relative errors are relative to, in seconds, above 0, shape (k,).
    """

    n: Floats
    trials: tuple[Floats, ...]
    count: Floats
    centre: Floats
    scale: Floats

    @property
    def median(self) -> Floats:
        """Median total of each N in seconds."""
        return np.array([np.median(trials) for trials in self.trials])

    def clipped(self) -> "Cells":
        """The same cells without gross outliers: those further than `CLIP_SD` robust standard deviations from their cell's median.

        An outlier of a cell of three or more gives way to the median; of two totals far apart neither can be called wild, and both are pulled in.
        Under normal noise hardly anything is touched, so that intervals keep their coverage.
        """
        sd = pair_spread([trials / scale for trials, scale in zip(self.trials, self.scale, strict=True)])
        if not sd:
            return self
        kept = tuple(_tamed(trials, CLIP_SD * sd * scale) for trials, scale in zip(self.trials, self.scale, strict=True))
        return replace(self, trials=kept, centre=np.array([trials.mean() for trials in kept]))


def _tamed(trials: Floats, reach: float) -> Floats:
    middle = float(np.median(trials))
    pulled = np.clip(trials, middle - reach, middle + reach)
    return np.where(pulled == trials, trials, middle) if trials.size > 2 else pulled


def pair_spread(samples: Sequence[Floats]) -> float | None:
    """Robust standard deviation from the distances of all pairs within each sample; None where nothing was repeated.

    A pair's distance does not depend on the sample's own size or centre, so that samples of two carry as good a figure as samples of ten.
    """
    distances, weights = [np.zeros(0)], [np.zeros(0)]
    for sample in samples:
        if len(sample) > 1:
            i, j = np.triu_indices(len(sample), 1)
            distances.append(np.abs(sample[i] - sample[j]))
            weights.append(np.full(i.size, 2.0 / len(sample)))  # r repetitions hold r - 1 independent distances
    distance, weight = np.concatenate(distances), np.concatenate(weights)
    if not distance.size:
        return None
    order = np.argsort(distance, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    low, high = (distance[order][np.searchsorted(reached, side)] for side in (0.5 - 1e-9, 0.5 + 1e-9))
    return float((low + high) / 2 * PAIR_TO_SD)


def read_cells(points: Points) -> Cells:
    """Sort a sweep's totals by N; values of N without a finite total are left out."""
    rows = {int(n): np.sort(np.asarray([t for t in points[n] if np.isfinite(t)], dtype=float)) for n in sorted(points)}
    rows = {n: trials for n, trials in rows.items() if trials.size}
    ns, trials = np.array(list(rows), dtype=float), tuple(rows.values())
    centre = np.array([t.mean() for t in trials])
    size = np.array([abs(np.median(t)) for t in trials])
    return Cells(
        n=ns,
        trials=trials,
        count=np.array([t.size for t in trials], dtype=float),
        centre=centre,
        scale=smooth(ns, size),
    )


def smooth(ns: Floats, size: Floats) -> Floats:
    """A parabola in log-log through the cells' sizes.

    Weights taken from each cell's own total would favour cells that came out short by chance, and so bias a law downwards.
    """
    top = float(size.max(initial=0.0))
    if top <= 0:
        return np.ones_like(size)  # nothing took any time: relative to a second, then
    logs = np.log(np.maximum(size, 1e-3 * top))  # an account may be 0 in some cells: no infinite weight
    if ns.size < 4:
        return np.exp(logs)
    x = np.log(ns / ns.max())
    columns = np.stack([np.ones_like(x), x, x * x], axis=1)
    return np.asarray(np.exp(columns @ np.linalg.lstsq(columns, logs, rcond=None)[0]))


def scatter(cells: Cells) -> Scatter:
    """Estimate the relative variance of single trials around their own cell's mean (pure error).

    Two or three repetitions say next to nothing about their own variance (Student's quantile at one degree of freedom is 12.7), and one variance
    for all would be wrong where large N scatter more than small ones.  So neighbouring cells, from the largest N down,
    share an estimate until they have `GROUP_DOF` degrees of freedom.
    """
    squares = np.array([((t - t.mean()) ** 2).sum() for t in cells.trials]) / cells.scale**2
    free = cells.count - 1
    group = np.zeros(cells.n.size, dtype=np.int64)
    gathered = 0.0
    for i in range(cells.n.size - 1, -1, -1):
        full = gathered >= GROUP_DOF
        group[: i + 1] += full
        gathered = free[i] + (0.0 if full else gathered)
    return _grouped(squares, free, group)


def _grouped(squares: Floats, free: Floats, group: npt.NDArray[np.int64]) -> Scatter:
    """Pool within groups; a last group that is too small joins its neighbour."""
    last = int(group.max())
    if last and free[group == last].sum() < GROUP_DOF / 2:
        group = np.minimum(group, last - 1)
        last -= 1
    dof = np.array([free[group == g].sum() for g in range(last + 1)])
    sums = np.array([squares[group == g].sum() for g in range(last + 1)])
    return Scatter(variance=(sums / np.maximum(dof, 1))[group], group=group, dof=dof)


def with_misfit(cells: Cells, pure: Scatter, residual: Floats, free: float) -> Scatter:
    """The scatter to be used around a fitted law, given the cells' residuals from it.

    Args:
        cells: the sweep.
        pure: scatter between repetitions.
        residual: cell mean less fitted law, in seconds, shape (k,).
        free: degrees of freedom of these residuals.

    Returns:
        `pure`, where the law fits within it; one variance from residuals and repetitions together, where fewer than 3 degrees of freedom come from
        repetitions; else, where the misfit is beyond chance, the misfit's.
    """
    squares = float((cells.count * (residual / cells.scale) ** 2).sum())
    repeated = float(pure.dof.sum())
    if free <= 0:
        return pure
    if repeated < 3:
        inside = pure.pooled * repeated if repeated else 0.0
        return _one(cells, (squares + inside) / (free + repeated), free + repeated)
    if misfits(squares, free, pure):
        return _one(cells, squares / free, free)
    return pure


def misfits(squares: float, free: float, pure: Scatter) -> bool:
    """Whether weighted residual squares around a law are beyond what repetitions explain."""
    inside = pure.pooled
    ratio = squares / free / inside if inside > 0 else np.inf
    return squares / free > 1e-18 and f_tail(min(ratio, 1e12), free, float(pure.dof.sum())) < MISFIT_LEVEL


def _one(cells: Cells, variance: float, dof: float) -> Scatter:
    size = cells.n.size
    return Scatter(variance=np.full(size, variance), group=np.zeros(size, dtype=np.int64), dof=np.array([dof]))
