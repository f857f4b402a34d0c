"""Accounts over N: the proportions of timeline trials, applied to the bare trials' totals, and the slope of each with its interval."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from loopdiag.analysis.cells import Cells, Floats, Points, read_cells, scatter
from loopdiag.analysis.distributions import student_quantile
from loopdiag.analysis.path_phases import UNEXPLAINED
from loopdiag.analysis.slope import UNIT, cell_weights
from loopdiag.model.law import Estimate
from loopdiag.model.ledger import Account, TrialLedger

__all__ = ["Account", "account_slopes", "share_of"]

#: so many degrees of freedom tell by themselves how far proportions scatter
LEAST_REPEATED = 3
NO_SCATTER = "one timeline trial at each of two values of N at most"

Found = tuple[tuple[Account, ...], tuple[str, ...], str | None]


@dataclass(frozen=True)
class Proportions:
    """Shares of accounts in the total, by the N of timeline trials.

    Attributes:
        n: values of N with timeline trials, ascending, shape (m,).
        count: trials of each, shape (m,).
        share: mean over trials, shape (accounts, m); adds up to 1 over accounts.
        square: Σ over trials of the squared distance from that, shape (accounts, m).
    """

    n: Floats
    count: Floats
    share: Floats
    square: Floats

    @classmethod
    def of(cls, names: Sequence[str], trials: Sequence[TrialLedger], field: str = "charges") -> "Proportions":
        """Those of the charges, or, where an account has any, of one of the bounds (`field`)."""
        return cls.read(trials, np.array([[_charge(trial, name, field) / trial.total_ns for trial in trials] for name in names]))

    @classmethod
    def read(cls, trials: Sequence[TrialLedger], each: Floats) -> "Proportions":
        """Those of single trials, shape (accounts, trials)."""
        ns = sorted({trial.n for trial in trials})
        at = np.array([ns.index(trial.n) for trial in trials])
        gather = np.eye(len(ns))[at]  # (trials, m)
        count = gather.sum(axis=0)
        share = each @ (gather / count)
        return cls(np.array(ns, dtype=float), count, share, ((each - share[:, at]) ** 2) @ gather)

    def at(self, n: Floats) -> Floats:
        """Shares at other N, shape (accounts, k): linear between neighbours, the nearest one's beyond."""
        return np.array([np.interp(n, self.n, row) for row in self.share])

    def repeated(self) -> tuple[Floats, float]:
        """Squares of single trials' distances from their N's mean, shape (accounts,), and their degrees of freedom."""
        return self.square.sum(axis=1), float((self.count - 1).sum())

    def bent(self) -> tuple[Floats, float]:
        """Squares of how far the shares of each N lie off the straight line between its neighbours', and how many N have neighbours.

        Scatter is in them, and so is bending, which only makes them larger.
        """
        square = np.zeros(len(self.share))
        for i in range(1, self.n.size - 1):
            part = (self.n[i] - self.n[i - 1]) / (self.n[i + 1] - self.n[i - 1])
            off = self.share[:, i] - (1 - part) * self.share[:, i - 1] - part * self.share[:, i + 1]
            square += off**2 / (1 / self.count[i] + (1 - part) ** 2 / self.count[i - 1] + part**2 / self.count[i + 1])
        return square, float(max(0, self.n.size - 2))


def _scatter_of_shares(shown: Proportions, share: Floats, cells: Cells) -> tuple[Floats, float]:
    """Variance of one trial's shares, shape (accounts, k), and its degrees of freedom (0: nothing shows it).

    From repeated timeline trials.  Where they are too few, a stretch of the total is taken to scatter as the bare totals do, so that a share s has the
    variance s (1 - s) times theirs; where these were not repeated either, from how far neighbouring N differ.
    """
    squares, free = shown.repeated()
    pure = scatter(cells)
    if free < LEAST_REPEATED and pure.known:
        borrowed = min(pure.overall_dof, float(LEAST_REPEATED))
        lent = share * (1 - share) * pure.variance * borrowed
        return (squares[:, None] + np.maximum(lent, 0)) / (free + borrowed), free + borrowed
    if free < LEAST_REPEATED:
        more, further = shown.bent()
        squares, free = squares + more, free + further
    return np.repeat(squares[:, None] / max(free, 1.0), share.shape[1], axis=1), free


def account_slopes(trials: Sequence[TrialLedger], points: Points) -> Found:
    """The accounts of an arm, notes, and why there are none.

    Args:
        trials: its trials' ledgers.
        points: N → bare totals in seconds.

    Returns:
        The accounts, largest slope first and "unexplained" last; their slopes add up to the arm's slope (`slope.slope`).
    """
    cells = read_cells(points)
    if not trials:
        return (), (), "no timeline trial can be read: nothing tells where the time went"
    if cells.n.size < 2:
        return (), (), "a slope needs bare trials at two values of N or more"
    names = sorted({account for trial in trials for account in trial.charges} | {UNEXPLAINED})
    shown = Proportions.of(names, trials)
    share, weight, total = shown.at(cells.n), cell_weights(cells), np.array([each.mean() for each in cells.trials])
    slopes = share @ (weight * total) * 1e3
    half, why = _half_widths(shown, share, cells, weight * 1e3)
    sides = [Proportions.of(names, trials, side).at(cells.n) @ (weight * total) * 1e3 for side in ("least", "most")]
    found = [
        Account(
            account=name,
            slope_ms=Estimate(
                value=float(slopes[i]),
                low=None if half is None else float(slopes[i] - half[i]),
                high=None if half is None else float(slopes[i] + half[i]),
                unit=UNIT,
                why=why,
            ),
            **_limits(name, trials, (float(sides[0][i]), float(sides[1][i])), float(slopes[i])),
            points=tuple((int(n), float(ms)) for n, ms in zip(cells.n, share[i] * total * 1e3, strict=True)),
        )
        for i, name in enumerate(names)
    ]
    found.sort(key=lambda account: (account.account == UNEXPLAINED, -account.slope_ms.value))
    return tuple(found), _notes(shown, cells), None


def share_of(trials: Sequence[TrialLedger], points: Points, accounts: Collection[str]) -> Estimate | None:
    """What some accounts together hold of the slope, with the interval of that ratio (delta method); None: neither is known, or nothing grows.

    The slope's own scatter hardly counts: where the accounts hold the same share of each total, they hold it of the slope, however that may vary.

    Args:
        trials: the arm's trials' ledgers.
        points: N → bare totals in seconds.
        accounts: by name.
    """
    cells = read_cells(points)
    if not trials or cells.n.size < 2:
        return None
    weight, total = cell_weights(cells), np.array([each.mean() for each in cells.trials])
    slope = float(weight @ total)
    if slope <= 0:
        return None
    each = np.array([[sum(_charge(trial, name, "charges") for name in accounts) / trial.total_ns for trial in trials]])
    shown = Proportions.read(trials, each)
    share = shown.at(cells.n)
    value = float(share[0] @ (weight * total)) / slope
    variance, free = _scatter_of_shares(shown, share, cells)
    if not free:
        return Estimate(value=value, why=NO_SCATTER)
    counted = np.interp(cells.n, shown.n, shown.count)
    of_shares = float(variance[0] @ ((weight * cells.centre) ** 2 / counted))
    pure = scatter(cells)
    of_totals = float(((share[0] - value) * cells.scale) ** 2 @ (weight**2 * pure.variance / cells.count)) if pure.known else 0.0
    half = student_quantile(free) * float(np.sqrt(of_shares + of_totals)) / slope
    return Estimate(value=value, low=value - half, high=value + half)


def _charge(trial: TrialLedger, name: str, field: str) -> int:
    charge = trial.charges.get(name, 0)
    return charge if field == "charges" else getattr(trial, field).get(name, charge)


def _limits(name: str, trials: Sequence[TrialLedger], sides: tuple[float, float], slope: float) -> dict[str, float]:
    """The slope with every bound at its least and at its most; nothing for accounts without bounds."""
    if not any(name in trial.least for trial in trials):
        return {}
    return {"low_ms": min(*sides, slope), "high_ms": max(*sides, slope)}


def _half_widths(shown: Proportions, share: Floats, cells: Cells, weight_ms: Floats) -> tuple[Floats | None, str | None]:
    """Half the 95 % interval of each slope in ms per request, shape (accounts,); or None, and why.

    The variance is that of Σ w·share·total: of the shares between trials, and of the totals between repetitions.
    """
    variance, free = _scatter_of_shares(shown, share, cells)
    if not free:
        return None, NO_SCATTER
    trials = np.interp(cells.n, shown.n, shown.count)
    of_shares = variance @ ((weight_ms * cells.centre) ** 2 / trials)
    pure = scatter(cells)
    of_totals = (share * cells.scale) ** 2 @ (weight_ms**2 * pure.variance / cells.count) if pure.known else 0.0
    return student_quantile(free) * np.sqrt(of_shares + of_totals), None


def _notes(shown: Proportions, cells: Cells) -> tuple[str, ...]:
    missing = [f"{n:.0f}" for n in cells.n if n not in shown.n]
    if not missing:
        return ()
    return (f"no timeline trial at N = {', '.join(missing)}: proportions of the neighbouring N stand in",)
