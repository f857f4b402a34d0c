"""What the causes share that make connecting take steps: the share of connecting, a step of the total, the line that makes the client."""

from collections.abc import Sequence

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.program_seen import Connects
from loopdiag.causes import Cause
from loopdiag.causes.claims import UNIT, Effect, claim, of_accounts
from loopdiag.causes.figures import Figure
from loopdiag.causes.programs import observed
from loopdiag.model.attribution import Attribution
from loopdiag.model.law import Estimate
from loopdiag.model.timeline import Timeline


def seen(evidence: Evidence) -> tuple[Timeline, Connects] | None:
    """The largest timeline and how its connections were made; None where none was."""
    timeline = observed(evidence)
    made = views.connects(timeline) if timeline is not None else None
    return None if timeline is None or made is None else (timeline, made)


def stepped(  # noqa: PLR0913 - a claim has as many parts
    cause: Cause, evidence: Evidence, timeline: Timeline, *, step_ms: float, doubt: float, figures: Sequence[Figure], remedy: str
) -> Attribution:
    """The claim of a cause that makes a step of `step_ms` (± `doubt`, relative), beside what connecting holds of the slope; that stays unknown without a ledger."""
    found = of_accounts(evidence, "connect")
    if not isinstance(found, Effect):
        found = Effect(predicted=Estimate(value=evidence.slope.value, unit=UNIT, why=found.why), share=Estimate(value=0.0, why=found.why))
    offset = Estimate(value=step_ms, low=step_ms * (1 - doubt), high=step_ms * (1 + doubt), unit="ms")
    return claim(cause, evidence, found, figures=figures, remedy=remedy, offset_ms=offset, place=views.made_at(timeline))
