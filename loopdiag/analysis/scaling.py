"""How the total time of an arm grows with N: law, slope, exponent, and what a larger N would take.

`Points` are the totals in seconds of the bare trials, by N.
"""

from dataclasses import dataclass

import numpy as np

from loopdiag.analysis.cells import Cells, Floats, Points, read_cells, scatter, with_misfit
from loopdiag.analysis.exponent import exponent
from loopdiag.analysis.fitting import Fit, fit_form, left_out_error, replicate
from loopdiag.analysis.laws import FORMS, Form
from loopdiag.analysis.prediction import predict_total
from loopdiag.analysis.slope import repeatability, slope, slope_weights
from loopdiag.model.law import Alternative, Coefficient, Estimate, Law

__all__ = ["Points", "exponent", "fit_law", "predict_total", "repeatability", "slope", "slope_weights"]

UNDECIDED, NOT_ENOUGH, CONSTANT = "undecided", "not enough", "constant"
LINE, WAVES = "a + b*N", "a + b*ceil(N/c)"
LEAST_N, LEAST_SPAN = 5, 8.0
#: a law must be so much better than a simpler one to be preferred; laws within it are near-ties
CLEARLY = 1.3
#: growth above this exponent is super-linear (N log N has 1.15 at N = 800)
SUPER_LINEAR, SUB_LINEAR = 1.1, 0.9
REPLICATES = 1000
CURVE_POINTS = 60
#: even the true law misses a left-out median by so many standard deviations of a cell's mean (median and fit scatter too): less is luck
LUCK = 1.5
SAME = 1e-6
#: a straight line that misses the totals by no more than this share (root mean square) is not given up for a law that bends; the note tells the bend
GOOD_LINE = 0.1
#: of several that predict equally well, one that misses the totals by so many times the least miss, and by more than `GOOD_LINE`, is not shown
FARTHER = 1.5
STEPS = 3.0  # waves are in evidence where they predict left-out totals so many times better than the line
ROUNDING = 1e-7  # relative errors below this are arithmetic, not evidence


@dataclass(frozen=True)
class Candidate:
    """A form that fits, with its leave-one-out error (never below what the scatter alone makes) and its growth at the sweep's upper end."""

    form: Form
    fit: Fit
    error: float
    growth: float
    miss: float  # relative, root mean square over N, of the totals that it was fitted to

    @property
    def steep(self) -> bool:
        """Whether it grows more than linearly."""
        return _class(self.growth) > 0


@dataclass(frozen=True)
class Choice:
    """The chosen candidate among its near-ties; `split` where these disagree about growth."""

    chosen: Candidate
    near: list[Candidate]
    growth: Estimate | None
    split: bool


def fit_law(points: Points, *, seed: int = 0) -> Law:
    """Find the law of T(N).

    Minimised are squared relative errors, Σ repetitions * ((mean T - law) / scale)²: totals span decades and their noise grows with them, so that
    plain least squares would let the largest N alone decide.  `scale` is a smooth curve through the totals, and
    wild repetitions give way to their cell's median (`Cells.clipped`).  All linear coefficients are ≥ 0.

    The law is chosen by leave-one-out error: each N in turn is left out and its median predicted; the simplest law within 1.3 times the
    least error is taken that does not miss the totals much more than others of these.  A law needs two more values of N than it has numbers.  Near-ties that disagree about growth (linear
    against super-linear) and that the exponent's interval does not settle make the form "undecided".

    A straight line that misses the totals by at most 10 % (root mean square over N) is kept where the better laws only bend (a knee, a power
    below 1): the note names the better one and both misses.

    Intervals are bootstrapped (`replicate`): 1000 refits of the chosen form, its limit, knee or powers searched again each time; the choice
    between forms is not repeated, so the intervals are those of the form, given that it is the right one.

    Args:
        points: N → totals in seconds.
        seed: of the bootstrap; the same seed gives the same law.

    Returns:
        The law; "not enough" below 5 values of N or a span of 8×, with a note that says what is missing.
    """
    cells = read_cells(points)
    growth = exponent(points)
    missing = _missing(cells.n)
    if missing:
        return Law(form=NOT_ENOUGH, note=missing, exponent=growth)
    cells = cells.clipped()
    candidates = _candidates(cells)
    least = min(candidate.error for candidate in candidates)
    near = _distinct([candidate for candidate in candidates if candidate.error <= CLEARLY * least], cells)
    settled = _good_line(candidates, near, growth) or _close(_settled(near, growth))
    split = len({candidate.steep for candidate in settled}) > 1
    return _law(cells, Choice(settled[0], near, growth, split), seed)


def _missing(ns: Floats) -> str | None:
    """What a law would need that is not there, as one line."""
    missing = []
    if ns.size < LEAST_N:
        missing.append(f"at least {LEAST_N} values of N (have {ns.size})")
    if ns.size and ns[-1] / ns[0] < LEAST_SPAN:
        missing.append(f"a largest N at least {LEAST_SPAN:.0f} times the smallest (have {ns[-1] / ns[0]:.3g} times)")
    return f"a law needs {' and '.join(missing)}" if missing else None


def _candidates(cells: Cells) -> list[Candidate]:
    """All forms that the sweep can carry, simplest first."""
    pure = scatter(cells)
    floor = max(ROUNDING, LUCK * float(np.sqrt(np.mean(pure.variance / cells.count))))
    found = []
    for form in FORMS:
        if form.size <= cells.n.size - 2 and len(form.shapes(cells.n)):
            fit = fit_form(form, cells, cells.centre[None, :])
            error, miss = max(floor, left_out_error(form, cells)), _miss(fit, cells)
            found.append(Candidate(form, fit, error, fit.growth(float(cells.n[-1])), miss))
    return found


def _distinct(near: list[Candidate], cells: Cells) -> list[Candidate]:
    """Without those that are the same curve as a simpler one: a square term of 0 is no alternative to a line."""
    kept: list[Candidate] = []
    for candidate in near:
        curve = candidate.fit.at(cells.n)[0]
        if all(np.abs(curve - other.fit.at(cells.n)[0]).max() > SAME * cells.scale.max() for other in kept):
            kept.append(candidate)
    return kept


def _miss(fit: Fit, cells: Cells) -> float:
    return float(np.sqrt(np.mean(((fit.at(cells.n)[0] - cells.centre) / cells.scale) ** 2)))


def _settled(near: list[Candidate], growth: Estimate | None) -> list[Candidate]:
    """The near-ties that are still in question: those in the exponent's class, where its interval lies within one; else all of them.

    A constant among the near-ties ends the question: all the others contain it, and their growth is not in evidence.
    """
    if near[0].form.name == CONSTANT:
        return near[:1]
    return [candidate for candidate in near if _allowed(candidate, growth)] or near


def _close(settled: list[Candidate]) -> list[Candidate]:
    """Those that a reader would call a fit: none that misses the totals much more than another one that predicts left-out ones no worse."""
    most = max(GOOD_LINE, FARTHER * min(candidate.miss for candidate in settled))
    return [candidate for candidate in settled if candidate.miss <= most]


def _good_line(candidates: list[Candidate], near: list[Candidate], growth: Estimate | None) -> list[Candidate]:
    """The straight line, where a better law is left but the line is good enough for a reader, and the growth is not shown to be super-linear."""
    steep = growth is not None and growth.low is not None and growth.low > SUPER_LINEAR
    bends = near[0].form.name != CONSTANT and not any(c.steep for c in near)
    found = [c for c in candidates if c.form.name == LINE and c.miss <= GOOD_LINE and bends and not steep]
    stepped = near[0].form.name == WAVES and any(c.error > STEPS * near[0].error for c in found)  # steps that a line cannot follow
    return [] if stepped else found


def _allowed(candidate: Candidate, growth: Estimate | None) -> bool:
    """Whether a candidate's growth is of a class that the exponent's interval reaches into."""
    if growth is None or growth.low is None or growth.high is None:
        return True
    return _class(growth.low) <= _class(candidate.growth) <= _class(growth.high)


def _class(power: float) -> int:
    """Whether growth with this exponent is sub-linear (-1), linear (0) or super-linear (1)."""
    return int(power > SUPER_LINEAR) - int(power < SUB_LINEAR)


def _law(cells: Cells, choice: Choice, seed: int) -> Law:
    """The choice with its intervals and notes."""
    chosen, split = choice.chosen, choice.split
    residual = cells.centre - chosen.fit.at(cells.n)[0]
    pure = scatter(cells)
    used = with_misfit(cells, pure, residual, cells.n.size - float(chosen.form.size))
    drawn = replicate(chosen.fit, cells, used, np.random.default_rng(seed), REPLICATES)
    others = sorted((c for c in choice.near if split or c is not chosen), key=lambda c: c.error)
    return Law(
        form=UNDECIDED if split else chosen.form.name,
        coefficients=() if split else _coefficients(chosen.fit, drawn),
        exponent=choice.growth,
        alternatives=tuple(Alternative(form=c.form.name, error=c.error / chosen.error) for c in others),
        note=_note(choice, misfit=used is not pure and pure.known),
        curve=_curve(cells.n, chosen.fit, drawn),
    )


def _note(choice: Choice, *, misfit: bool) -> str | None:
    """What a reader must know about the choice."""
    near, growth = choice.near, choice.growth
    notes = []
    if choice.split:
        steep, even = ([c.form.name for c in near if c.steep is side] for side in (True, False))
        notes.append(
            f"linear or super-linear: {', '.join(even)} and {', '.join(steep)} predict left-out N about equally well, and the exponent's interval "
            "does not tell; larger N or more repetitions would"
        )
    elif choice.chosen not in near:
        best = min(near, key=lambda candidate: candidate.error)
        notes.append(f"the line misses the totals by {choice.chosen.miss:.0%}, {best.form.name} by {best.miss:.0%}: T bends a little")
    elif len(near) > 1:
        notes.append(f"{len(near)} laws predict left-out N about equally well; the simplest that the exponent allows is shown")
    if near[0].form.name != CONSTANT and not any(_allowed(candidate, growth) for candidate in near):
        notes.append("no law that predicts well grows as the exponent says: take its form with care")
    if misfit:
        notes.append("the law misses the totals by more than repetitions scatter; the intervals allow for that")
    return "; ".join(notes) or None


def _coefficients(fit: Fit, drawn: Fit) -> tuple[Coefficient, ...]:
    """Coefficients as the form names them, with the replicates' 2.5th and 97.5th percentiles."""
    named = (*fit.form.linear, *fit.form.shape)
    values = np.concatenate([fit.form.reported(fit.linear), fit.shape], axis=1)[0]
    low, high = np.percentile(np.concatenate([fit.form.reported(drawn.linear), drawn.shape], axis=1), [2.5, 97.5], axis=0)
    return tuple(
        Coefficient(name=name, value=float(v), low=float(lo), high=float(hi), unit=unit)
        for (name, unit), v, lo, hi in zip(named, values, low, high, strict=True)
    )


def _curve(ns: Floats, fit: Fit, drawn: Fit) -> tuple[tuple[float, float, float, float], ...]:
    """The law and its 95 % band at N evenly spaced in log N over the sweep."""
    at = np.geomspace(ns[0], ns[-1], CURVE_POINTS)
    low, high = np.percentile(drawn.at(at), [2.5, 97.5], axis=0)
    rows = zip(at, fit.at(at)[0], low, high, strict=True)
    return tuple((float(n), float(seconds), float(lo), float(hi)) for n, seconds, lo, hi in rows)
