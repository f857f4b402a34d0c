"""What one row's diagnosis is worth, held to the row's truth; pure."""

from typing import Literal

from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Diagnosis, Verdict
from loopdiag.model.law import Estimate
from loopdiag.model.value import Value
from loopdiag.selftest.program_run import marked, names_line
from loopdiag.selftest.row import Row

NAMED_SHARE = 0.10  # of the slope: with less, and not confirmed, a cause is a side remark
HEALTHY = "none"
HEALTHY_KINDS = ("control", "healthy program")

Outcome = Literal["right", "wrong", "abstained", "not run"]


class Prediction(Value, frozen=True, kw_only=True):
    """What a cause said that its intervention would leave of the slope, beside what it left; ms per request."""

    cause: str
    predicted_ms: float
    effect_ms: float
    base_ms: float
    verdict: Verdict
    covered: bool | None = None  # the two agree within their 95 % intervals; None: one has none

    @property
    def error(self) -> float:
        """How far the prediction misses the effect, as a share of the slope before."""
        return abs(self.predicted_ms - self.effect_ms) / self.base_ms


class Score(Value, frozen=True, kw_only=True):
    """One row's."""

    row: Row
    outcome: Outcome
    first: str | None = None  # the first cause that was not struck; None: none was named
    named: tuple[str, ...] = ()  # all that were, with weight
    missing: tuple[str, ...] = ()  # pair: planted, and not named
    alarms: tuple[str, ...] = ()  # named, with weight, though neither planted nor accepted
    predictions: tuple[Prediction, ...] = ()
    planted_covered: bool | None = None  # the planted size lies in the interval of the cause's; None: not known, or not named
    leaks: bool | None = None  # the causes would be others if the scenario did not tell what was planted
    unexplained: float | None = None  # of the slope, in absolute value
    line: bool | None = None  # program: the line that has to be changed is named; None: it has none
    verdict: Verdict | None = None  # same: of the pair of arms that are the same
    why: str = ""  # not run, or broken: why
    folder: str = ""


def not_run(row: Row, why: str, folder: str = "") -> Score:
    """The score of a row that could not be run."""
    return Score(row=row, outcome="not run", why=why, folder=folder)


def broken(row: Row, why: str, folder: str = "") -> Score:
    """The score of a row whose diagnosis raised an exception: a miss, whatever was planted."""
    return Score(row=row, outcome="wrong", line=_line(row, []), why=why, folder=folder)


def same(row: Row, verdict: Verdict, folder: str = "") -> Score:
    """The score of a pair of arms that are the same: right unless a difference is CONFIRMED."""
    return Score(row=row, outcome="wrong" if verdict == "CONFIRMED" else "right", verdict=verdict, folder=folder)


def score(row: Row, diagnosis: Diagnosis, folder: str = "") -> Score:
    """Hold a diagnosis to the row's truth.

    A single is right where its cause comes first; a pair where both are named with weight; a control where nothing is named with weight that
    is not its truth; programs are held to the same.  A single, a program or a pair of which nothing is named is an abstention, not a wrong answer.
    """
    if not diagnosis.arms or diagnosis.arms[0].slope_ms is None:
        return not_run(row, _why(diagnosis), folder)
    arm = diagnosis.arms[0]
    standing = [found for found in arm.causes if found.verdict != "REFUTED"]
    first = standing[0].cause if standing else None
    named = tuple(dict.fromkeys(found.cause for found in standing if _weighty(found)))
    missing = tuple(cause for cause in row.truth if cause not in named and cause != HEALTHY)
    alarms = tuple(cause for cause in named if cause not in row.right and cause != HEALTHY)
    return Score(
        row=row,
        outcome=_outcome(row, first, missing, alarms),
        first=first,
        named=named,
        missing=missing if row.kind == "pair" else (),
        alarms=alarms,
        predictions=_predictions(arm),
        planted_covered=_planted(row, standing),
        line=_line(row, standing),
        unexplained=_unexplained(arm),
        folder=folder,
    )


def _outcome(row: Row, first: str | None, missing: tuple[str, ...], alarms: tuple[str, ...]) -> Outcome:
    if row.kind in HEALTHY_KINDS:
        return "wrong" if alarms else "right"
    if first is None:
        return "abstained"
    right = not missing if row.kind == "pair" else first in row.right
    return "right" if right else "wrong"


def _line(row: Row, standing: list[CauseFound]) -> bool | None:
    """Whether the first answer names a line that has to be changed, and is right otherwise, too; None for a script without such a line."""
    if row.kind != "program" or not marked(row.script):
        return None
    return bool(standing) and standing[0].cause in row.right and names_line(row.script, standing[0].place)


def _weighty(found: CauseFound) -> bool:
    return found.verdict == "CONFIRMED" or (found.share is not None and found.share >= NAMED_SHARE)


def _predictions(arm: ArmDiagnosis) -> tuple[Prediction, ...]:
    """Of every cause whose intervention was run, struck ones included: a wrong prediction is a wrong prediction."""
    made = []
    for found in arm.causes:
        base = found.base or arm.slope_ms
        if found.predicted is not None and found.effect is not None and base is not None and base.value > 0:
            made.append(
                Prediction(
                    cause=found.cause,
                    predicted_ms=found.predicted.value,
                    effect_ms=found.effect.value,
                    base_ms=base.value,
                    verdict=found.verdict,
                    covered=_agree(found.predicted, found.effect),
                )
            )
    return tuple(made)


def _agree(one: Estimate, other: Estimate) -> bool | None:
    """Whether the difference of two independent estimates lies within its 95 % interval; None where one has no interval."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return None
    if one.value >= other.value:
        one, other = other, one
    assert one.high is not None
    assert other.low is not None
    reach = (one.high - one.value) ** 2 + (other.value - other.low) ** 2
    return (other.value - one.value) ** 2 <= reach


def _planted(row: Row, standing: list[CauseFound]) -> bool | None:
    """Whether the planted ms per request lie between the bounds of what the cause claims."""
    found = next((cause for cause in standing if cause.cause == row.truth[0]), None) if row.truth else None
    if row.planted_ms is None or found is None or not found.share or found.slope_ms is None or found.low is None or found.high is None:
        return None
    slope_ms = found.slope_ms / found.share
    return found.low * slope_ms <= row.planted_ms <= found.high * slope_ms


def _unexplained(arm: ArmDiagnosis) -> float | None:
    entry = next((entry for entry in arm.ledger if entry.account == "unexplained"), None)
    return None if entry is None or entry.share is None else abs(entry.share)


def _why(diagnosis: Diagnosis) -> str:
    if not diagnosis.arms:
        return "; ".join(diagnosis.warnings) or "nothing was measured"
    arm = diagnosis.arms[0]
    failed = ", ".join(f"{count} × {status}" for status, count in arm.failed.items())
    return arm.law.note or failed or "there is no slope"
