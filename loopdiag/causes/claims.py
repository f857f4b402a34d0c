"""How a cause makes its claim: share and prediction by the replay or, where there is none, by the ledger; figures; the attribution itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from msgspec.structs import replace as replace_value

from loopdiag.analysis.account_slopes import share_of
from loopdiag.analysis.core_waits import own_part
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes import Cause
from loopdiag.causes.figures import Figure
from loopdiag.model.attribution import Attribution
from loopdiag.model.law import Estimate, NotEnough
from loopdiag.model.program import Place

UNIT = "ms/request"
#: a share read off the ledger says what was on the critical path, not what would take its place: so far it may be off
LEDGER_DOUBT = 0.3
#: the model's own error as a share of a difference between two replays, beside what it missed of the run
DIFFERENCE = 0.1
#: accounts of the outside, which overlap with each other as soon as nothing makes requests wait for one another
OUTSIDE = ("dns", "connect", "ssl", "send", "server", "receive")

Change = Callable[[Machine], Machine]


@dataclass(frozen=True)
class Effect:
    """What removing something does: the slope that is left, in ms per request, and the share of the slope that goes."""

    predicted: Estimate
    share: Estimate
    own: float = 1.0  # of the slope, without what waits for a core added: what the share is of, in ms


def removed(evidence: Evidence, change: Change, *accounts: str) -> Effect | NotEnough:
    """The effect of a change on the arm's slope.

    Args:
        evidence: of the arm.
        change: the fitted machine without the cause.
        accounts: of the ledger, which the cause would empty; they stand in where no machine was fitted, or it knows nothing of the cause.
    """
    if evidence.machine is not None and change(evidence.machine) != evidence.machine:
        return replayed(evidence, evidence.machine, change)
    return of_accounts(evidence, *accounts)


def replayed(evidence: Evidence, machine: Machine, change: Change) -> Effect:
    """The effect of a change by the replay.

    The machine knows nothing of waits for a core, which stretch the run on a loaded machine: share and prediction suppose that they go and stay with what
    the loop computes, and what a cause holds by itself is a part of the slope without them.
    """
    from loopdiag.analysis import what_if

    predicted, share = what_if.without(machine, change(machine), evidence.points, evidence.slope)
    return Effect(predicted=predicted, share=share, own=own_part(evidence.bare, evidence.points))


def times(estimate: Estimate, part: float) -> Estimate:
    """A part of an estimate, with its interval."""
    return replace_value(
        estimate,
        value=estimate.value * part,
        low=None if estimate.low is None else estimate.low * part,
        high=None if estimate.high is None else estimate.high * part,
    )


def reduced(evidence: Evidence, effect: Effect, part: float) -> Effect:
    """The effect of removing a part of what another effect removes."""
    return replace(effect, predicted=partly(evidence, effect, part), share=times(effect.share, part))


def beside_scan(evidence: Evidence, machine: Machine, change: Change) -> tuple[Effect, Effect, Effect]:
    """A change and the pool's scan as they act on each other: the change's effect alone, the effect of no scan, and that of both."""

    def unscanned(fitted: Machine) -> Machine:
        return replace(fitted, scan=0.0)

    def both(fitted: Machine) -> Machine:
        return change(unscanned(fitted))

    alone, scan, together = (replayed(evidence, machine, each) for each in (change, unscanned, both))
    return alone, scan, together


def once_unscanned(machine: Machine, alone: Effect, scan: Effect, together: Effect) -> Effect:
    """What a change adds once the scan is gone, as an effect; the prediction is that of the change alone.

    Both replays miss the run alike: what they miss together does not blur their difference.
    """
    value = together.share.value - scan.share.value
    half = (DIFFERENCE + machine.miss) * abs(value)
    return replace(alone, share=Estimate(value=value, low=value - half, high=min(1.0, value + half)))


def of_accounts(evidence: Evidence, *accounts: str) -> Effect | NotEnough:
    """What accounts of the ledger hold of the slope, with `LEDGER_DOUBT`."""
    slope, ledger = evidence.slope, evidence.ledger
    if ledger is None or not ledger.accounts:
        why = evidence.missing.get("machine") or evidence.missing.get("ledger") or "neither a replay nor a ledger of this arm"
        return NotEnough(why=f"nothing to take its share from: {why}")
    if slope.value <= 0:
        return NotEnough(why="the total does not grow")
    return with_doubt(evidence, share_of(ledger.trials, evidence.points, accounts) or _of_slopes(evidence, accounts), LEDGER_DOUBT)


def with_doubt(evidence: Evidence, share: Estimate, doubt: float) -> Effect:
    """The effect of removing a share that was measured: with its own interval, but none that is narrower than the relative doubt; without one where it has none."""
    if share.low is None or share.high is None:
        left = evidence.slope.value * (1 - share.value)
        return Effect(predicted=Estimate(value=left, unit=UNIT, why=share.why), share=share)
    return of_share(evidence, share.value, max((share.high - share.low) / 2, doubt * abs(share.value)))


def _of_slopes(evidence: Evidence, accounts: Sequence[str]) -> Estimate:
    """The same from the accounts' slopes, where no trial's ledger is kept: as if account and slope scattered apart."""
    found = [] if evidence.ledger is None else [each.slope_ms for each in evidence.ledger.accounts if each.account in accounts]
    slope = evidence.slope.value
    value = sum(each.value for each in found) / slope
    half = sum((each.high - each.low) / 2 for each in found if each.low is not None and each.high is not None) / slope
    return Estimate(value=value, low=value - half, high=value + half)


def like(pattern: Estimate, value: float) -> Estimate:
    """A value with the interval of another, moved to it."""
    low = None if pattern.low is None else value - (pattern.value - pattern.low)
    high = None if pattern.high is None else value + (pattern.high - pattern.value)
    return Estimate(value=value, low=low, high=high, unit=pattern.unit, why=pattern.why)


def partly(evidence: Evidence, effect: Effect, part: float) -> Estimate:
    """The slope after a change that takes a part of what an effect would: without a machine that could be replayed."""
    share = effect.share
    half = abs(share.high - share.low) / 2 * part if share.low is not None and share.high is not None else abs(share.value) * part
    return of_share(evidence, share.value * part, half).predicted


def of_share(evidence: Evidence, value: float, half: float) -> Effect:
    """The effect of removing a share of the slope that is known with an interval of `half` to either side."""
    share = Estimate(value=min(1.0, value), low=value - half, high=min(1.0, value + half))
    slope = evidence.slope.value
    left = slope * (1 - share.value)
    return Effect(
        predicted=Estimate(value=left, low=slope * max(0.0, 1 - value - half), high=slope * (1 - value + half), unit=UNIT), share=share
    )


def claim(  # noqa: PLR0913 - a claim has as many parts
    cause: Cause,
    evidence: Evidence,
    effect: Effect,
    *,
    figures: Sequence[Figure],
    remedy: str,
    detail: str = "",
    predicted: Estimate | None = None,
    offset_ms: Estimate | None = None,
    place: Place | None = None,
) -> Attribution:
    """The cause's attribution.

    Args:
        cause: who claims.
        evidence: of the arm.
        effect: of removing it altogether.
        figures: what it rests on; those without a value were not observed, and are left out.
        remedy: one sentence.
        detail: which kind of it.
        predicted: the slope after its own intervention, where that does something else than to remove it altogether; nothing is predicted where there is none.
        offset_ms: of the total at the largest N, where it makes a step.
        place: the line of a program that is to be changed.
    """
    slope = evidence.slope.value * effect.own
    share = effect.share
    return Attribution(
        cause=cause.name,
        detail=detail,
        side=cause.side,
        share=share,
        slope_ms=Estimate(
            value=share.value * slope,
            low=None if share.low is None else share.low * slope,
            high=None if share.high is None else share.high * slope,
            unit=UNIT,
            why=share.why,
        ),
        offset_ms=offset_ms,
        predicted=(predicted or effect.predicted) if cause.intervene(evidence.scenario, evidence) is not None else None,
        evidence=tuple(figures),
        remedy=remedy,
        place=place,
    )
