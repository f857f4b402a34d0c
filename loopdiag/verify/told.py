"""What was found and tried → the diagnosis' causes with their verdicts, and the prescription; from the run's folder alone."""

from collections.abc import Iterable, Sequence
from difflib import unified_diff
from math import exp, hypot
from pathlib import Path

import msgspec
from msgspec.structs import replace

from loopdiag.analysis.cells import Points
from loopdiag.analysis.scaling import fit_law
from loopdiag.analysis.slope import slope
from loopdiag.causes import Cause
from loopdiag.errors import LoopdiagError
from loopdiag.lab import store
from loopdiag.lab.pairs import paired
from loopdiag.lab.scenario_file import to_toml
from loopdiag.model.attribution import Attribution
from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Point, Prescription
from loopdiag.model.law import Estimate
from loopdiag.model.scenario import Scenario
from loopdiag.verify.code_changes import code_changes
from loopdiag.verify.doses import passes, response, with_response
from loopdiag.verify.outcomes import Outcome, outcome
from loopdiag.verify.record import TREATED, Verified
from loopdiag.verify.search import WORTH

NOT_RUN = "its intervention was not run"
OFF = "verification is off: verify.enabled = false, or --no-verify"


def with_verdicts(
    arm: ArmDiagnosis, claims: Sequence[Attribution], scenario: Scenario, verified: Verified | None, folder: Path
) -> ArmDiagnosis:
    """The arm with its causes, what became of each, and its prescription.

    Args:
        arm: as it was measured.
        claims: what causes claim of it, largest share first.
        scenario: of the run, with this arm alone.
        verified: what was tried; None: nothing.
        folder: of the run.
    """
    tried = [outcome(folder, attempt) for attempt in verified.attempts if attempt.arm == arm.arm] if verified is not None else []
    why = NOT_RUN if scenario.verify.enabled else OFF
    named = {claim.cause for claim in claims}
    causes = [_dosed(_cause(claim, tried, verified, arm.arm, why), arm.arm, verified, folder) for claim in claims]
    woken = dict.fromkeys(made.attempt.cause for made in tried if made.attempt.cause not in named and made.verdict == "CONFIRMED")
    causes += [_woken(name, tried) for name in woken]
    made = _prescription(arm, tried, scenario, verified, folder)
    if made is not None and scenario.program is not None:
        adopted = [each for each in tried if each.adopted]
        places = {claim.cause: claim.place for claim in claims if claim.place is not None}
        made = replace(made, changes=code_changes(scenario, adopted, places) or made.changes, toml_diff="")
    return replace(arm, causes=tuple(causes), prescription=made)


def title(cause: Cause) -> str:
    """The title of a cause's page: the first line of its module's docstring."""
    from sys import modules

    page = getattr(modules.get(cause.__module__), "__doc__", None) or ""
    return page.strip().split("\n", 1)[0].rstrip(".")


def _titled(name: str) -> str:
    from loopdiag.causes import CAUSES

    return title(CAUSES[name]) if name in CAUSES else ""


def _cause(claim: Attribution, tried: Sequence[Outcome], verified: Verified | None, arm: str, why: str) -> CauseFound:
    found = CauseFound(
        cause=claim.cause,
        detail=claim.detail,
        share=claim.share.value,
        low=claim.share.low,
        high=claim.share.high,
        slope_ms=claim.slope_ms.value,
        offset_ms=claim.offset_ms if claim.share.value < WORTH else None,
        side=claim.side,
        evidence=claim.evidence,
        predicted=claim.predicted,
        remedy=claim.remedy,
        title=_titled(claim.cause),
        why=why,
        place=claim.place,
    )
    if claim.side == "none":
        return replace(found, verdict="NOT_APPLICABLE", why="")
    mine = [made for made in tried if claim.cause in {made.attempt.cause, *made.attempt.also}]
    if mine:
        return _judged(found, mine)
    for entry in verified.untried if verified is not None else ():
        if (entry.arm, entry.cause) == (arm, claim.cause):
            return replace(found, verdict=entry.verdict, why=entry.why)
    return found


def _dosed(found: CauseFound, arm: str, verified: Verified | None, folder: Path) -> CauseFound:
    """With what its dose-response says, where delays were injected."""
    for dose in verified.doses if verified is not None else ():
        if (dose.arm, dose.cause) == (arm, found.cause) and (seen := response(folder, dose)) is not None:
            return with_response(found, dose, seen, passes(folder, dose))
    return found


def _judged(found: CauseFound, mine: Sequence[Outcome]) -> CauseFound:
    """With the verdict of its deciding attempt: the one that confirmed it, else the last of it alone, else the last."""
    confirmed = [each for each in mine if each.verdict == "CONFIRMED"]
    made = [*confirmed[:1], *reversed([each for each in mine if not each.attempt.also]), *reversed(mine)][0]
    said = [] if made.effect is None else [*_upon(made, found.cause)]
    if made.reason:
        said.append(made.reason)
    said += [
        f"{', '.join(_upon(other, found.cause)) or 'alone'} it was {other.verdict}: {other.reason}" for other in mine if other is not made
    ]
    of_slope = made.effect if made.attempt.offset is None else None  # a step's figures are of the total; `why` tells them
    return replace(
        found,
        predicted=made.predicted or found.predicted,
        base=of_slope.base if of_slope is not None else None,
        effect=of_slope.treated if of_slope is not None else None,
        verdict=made.verdict,
        changes=made.attempt.changes,
        why="; ".join(said),
    )


def _upon(made: Outcome, cause: str) -> Iterable[str]:
    """What else was changed when this cause's intervention ran."""
    if made.attempt.upon:
        yield f"with the change for {_listed(made.attempt.upon)} in place"
    if made.attempt.also:
        others = [name for name in (made.attempt.cause, *made.attempt.also) if name != cause]
        yield f"together with the change for {_listed(others)}"


def _woken(name: str, tried: Sequence[Outcome]) -> CauseFound:
    """A cause that showed only when others were gone; it has no share of the slope as it was."""
    return _judged(CauseFound(cause=name, title=_titled(name)), [made for made in tried if made.attempt.cause == name])


def _prescription(
    arm: ArmDiagnosis, tried: Sequence[Outcome], scenario: Scenario, verified: Verified | None, folder: Path
) -> Prescription | None:
    """All adopted changes together, with what they measured at every N; None where nothing was adopted."""
    adopted = [made for made in tried if made.adopted]
    if not adopted or verified is None:
        return None
    last = adopted[-1]
    points = {n: list(totals) for n, totals in last.treated.items()}
    for sweep in verified.sweeps:
        if sweep.arm == arm.arm:
            points = _pooled(points, _swept(folder / sweep.folder / TREATED))
    before = _pooled({point.n: point.total_s for point in arm.points}, adopted[0].base)
    common = [n for n in points if n in before]
    composed, was, now = slope(points), slope({n: before[n] for n in common}), slope({n: points[n] for n in common})
    if composed is None or was is None or now is None:
        return None
    speedup, low, high = times_less(was, now)
    return Prescription(
        changes=tuple(dict.fromkeys(change for made in adopted for change in made.attempt.changes)),
        slope_ms=composed,
        speedup=speedup,
        speedup_low=low,
        speedup_high=high,
        law=fit_law(points),
        points=tuple(Point(n=n, total_s=tuple(totals)) for n, totals in sorted(points.items())),
        toml_diff="" if last.scenario is None else toml_diff(scenario, last.scenario),
    )


def times_less(before: Estimate, after: Estimate) -> tuple[float, float | None, float | None]:
    """How many times less one more request costs, with its interval; without an upper end where the second slope may be 0, and then the least that is sure.

    The interval is that of the difference of logarithms, each slope's relative half-width taken as its own.
    """
    if after.value <= 0 or (after.low is not None and after.low <= 0):
        sure = before.value if before.low is None else before.low
        # what is adopted surely takes something away
        least = max(1.0, sure / after.high) if after.high is not None and after.high > 0 else 1.0
        value = before.value / after.value if after.value > 0 else least
        return value, min(value, least), None
    value = before.value / after.value
    if before.half_width is None or after.half_width is None:
        return value, None, None
    spread = exp(hypot(before.half_width, after.half_width))
    return value, value / spread, value * spread


def toml_diff(before: Scenario, after: Scenario) -> str:
    """What changes in the scenario's file: its lines with - and +, each under its table's header; how it is swept and verified is no part of it."""
    after = replace(after, sweep=before.sweep, verify=before.verify)
    lines: list[str] = []
    header = shown = ""
    for line in unified_diff(to_toml(before).splitlines(), to_toml(after).splitlines(), n=10_000, lineterm=""):
        text = line[1:]
        if line.startswith(("---", "+++", "@@")):
            continue
        if text.startswith("["):
            header = line
        if line[0] == " " or not text:
            continue
        if header.startswith(" ") and header != shown:  # a header that is itself new or gone stands for itself
            lines.append(header)
        shown = header
        lines.append(line)
    return "\n".join(lines)


def _swept(place: Path) -> Points:
    try:
        return paired(store.load(place))[0]
    except (LoopdiagError, msgspec.DecodeError):
        return {}


def _pooled(one: Points, two: Points) -> dict[int, list[float]]:
    return {n: [*one.get(n, ()), *two.get(n, ())] for n in sorted({*one, *two})}


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
