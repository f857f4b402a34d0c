"""Rates with Wilson intervals, quantiles, and what is asked of them; pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import TypeVar, get_args

from loopdiag.model.value import Value
from loopdiag.selftest.row import Kind
from loopdiag.selftest.scoring import HEALTHY, HEALTHY_KINDS, Score

T = TypeVar("T")

SCHEMA = "loopdiag/selftest/1"
Z = 1.959964  # of a two-sided 95 % interval
NOMINAL = 0.025  # of A/A pairs that chance alone confirms

FIRST, BOTH, FALSE_ALARMS = 0.95, 0.80, 0.02
PROGRAM_FIRST, PROGRAM_ALARMS, PROGRAM_LINE = 0.90, 0.05, 0.90
ERROR_MEDIAN, ERROR_P90 = 0.10, 0.25
UNEXPLAINED_MEDIAN, UNEXPLAINED_P95 = 0.05, 0.10


class Rate(Value, frozen=True, kw_only=True):
    """How often something came out, or a quantile of something; `holds` is None where nothing was measured or nothing is asked."""

    what: str
    of: int
    hits: int | None = None  # None: `value` is a quantile
    value: float | None = None
    low: float | None = None  # Wilson, 95 %
    high: float | None = None
    asked: str = ""
    holds: bool | None = None


class Summary(Value, frozen=True, kw_only=True):
    """What a self-test found: ``selftest.json``."""

    schema: str = SCHEMA
    loopdiag: str = ""
    started: str = ""
    command: str = ""
    machine: str = ""
    partial: bool = False
    holds: bool
    rates: tuple[Rate, ...]
    matrix: dict[str, dict[str, int]]  # true cause → first answer → rows
    scores: tuple[Score, ...]


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate of `hits` in `of` independent tries; (0, 1) without any."""
    if not of:
        return 0.0, 1.0
    share, square = hits / of, Z * Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    reach = Z / (1 + square / of) * sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, min(middle - reach, share)), min(1.0, max(middle + reach, share))


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile of at least one value, interpolated between its neighbours."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def rates(scores: Iterable[Score]) -> tuple[Rate, ...]:
    """Everything that is asked of a self-test, and what else it tells."""
    ran = [score for score in scores if score.outcome != "not run"]
    kinds = {kind: [score for score in ran if score.row.kind == kind] for kind in get_args(Kind)}
    singles, pairs, controls, same, programs, healthy = kinds.values()
    checked = [made for score in ran for made in score.predictions]
    unexplained = [score.unexplained for score in ran if score.unexplained is not None]
    errors = [made.error for made in checked]
    return (
        _rate("single: first answer right", singles, _is("right"), at_least=FIRST),
        _rate("pair: both named", pairs, _is("right"), at_least=BOTH),
        _rate("control: false alarm", controls, _is("wrong"), at_most=FALSE_ALARMS),
        _rate("program: first answer right", programs, _is("right"), at_least=PROGRAM_FIRST),
        _rate("program: right line named", [s for s in programs if s.line is not None], lambda score: bool(score.line), at_least=PROGRAM_LINE),
        _rate("healthy program: false alarm", healthy, _is("wrong"), at_most=PROGRAM_ALARMS),
        _rate("single or pair: abstained", [*singles, *pairs], _is("abstained")),
        _rate("single or pair: also named another", [*singles, *pairs], lambda score: bool(score.alarms)),
        _rate("program: abstained", programs, _is("abstained")),
        _rate("causes read what was planted", [score for score in ran if score.leaks is not None], lambda score: bool(score.leaks), at_most=0.0),
        _by_chance(same),
        _quantile("prediction against effect, median error", errors, 0.5, ERROR_MEDIAN),
        _quantile("prediction against effect, 90th percentile", errors, 0.9, ERROR_P90),
        _rate("prediction and effect agree within 95 %", [made for made in checked if made.covered is not None], lambda made: bool(made.covered)),
        _rate(
            "planted size within the cause's 95 %",
            [score for score in singles if score.planted_covered is not None],
            lambda score: bool(score.planted_covered),
        ),
        _quantile("unexplained share of the slope, median", unexplained, 0.5, UNEXPLAINED_MEDIAN),
        _quantile("unexplained share of the slope, 95th percentile", unexplained, 0.95, UNEXPLAINED_P95),
    )  # fmt: skip


def summary(scores: Sequence[Score], *, partial: bool = False, started: str = "", command: str = "", machine: str = "") -> Summary:
    """All scores together."""
    from importlib.metadata import version

    found = rates(scores)
    return Summary(
        loopdiag=version("loopdiag"),
        started=started,
        command=command,
        machine=machine,
        partial=partial,
        holds=all(rate.holds is not False for rate in found),
        rates=found,
        matrix=confusion(scores),
        scores=tuple(scores),
    )


def confusion(scores: Iterable[Score]) -> dict[str, dict[str, int]]:
    """How often each first answer was given to each single cause, planted or in a program, and to what is healthy; no answer counts as `none`."""
    counts: dict[str, Counter[str]] = {}
    for score in scores:
        if score.row.kind not in {"pair", "same"} and score.outcome != "not run":
            truth = f"({score.row.kind})" if score.row.kind in HEALTHY_KINDS else score.row.truth[0]
            counts.setdefault(truth, Counter())[score.first or HEALTHY] += 1
    return {truth: dict(answers) for truth, answers in counts.items()}


def _is(outcome: str) -> Callable[[Score], bool]:
    return lambda score: score.outcome == outcome


def _rate(what: str, rows: Sequence[T], hit: Callable[[T], bool], *, at_least: float | None = None, at_most: float | None = None) -> Rate:
    hits = sum(map(hit, rows))
    asked = f"≥ {at_least:.0%}" if at_least is not None else f"≤ {at_most:.0%}" if at_most is not None else ""
    if not rows:
        return Rate(what=what, of=0, hits=0, asked=asked)
    value, (low, high) = hits / len(rows), wilson(hits, len(rows))
    holds = value >= at_least if at_least is not None else value <= at_most if at_most is not None else None
    return Rate(what=what, of=len(rows), hits=hits, value=value, low=low, high=high, asked=asked, holds=holds)


def _by_chance(same: Sequence[Score]) -> Rate:
    """A/A pairs that were CONFIRMED: more than chance explains only where the whole interval lies above the nominal rate."""
    made = _rate("A/A pair: CONFIRMED", same, lambda score: score.verdict == "CONFIRMED")
    holds = made.low <= NOMINAL if made.low is not None else None
    return Rate(
        what=made.what,
        of=made.of,
        hits=made.hits,
        value=made.value,
        low=made.low,
        high=made.high,
        asked=f"by chance {NOMINAL:.1%}",
        holds=holds,
    )


def _quantile(what: str, values: Sequence[float], share: float, at_most: float) -> Rate:
    asked = f"≤ {at_most:.0%}"
    if not values:
        return Rate(what=what, of=0, asked=asked)
    value = quantile(values, share)
    return Rate(what=what, of=len(values), value=value, asked=asked, holds=value <= at_most)
