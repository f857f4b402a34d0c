"""What the two causes share that hold requests back before the client is asked: a bound of c requests at a time, and its special case, one."""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes import Cause
from loopdiag.causes.changes import change
from loopdiag.causes.claims import OUTSIDE, Effect, claim, removed
from loopdiag.causes.figures import Figure, figure
from loopdiag.causes.programs import Bound, idle_in_requests_ms, of_growth
from loopdiag.causes.replays import best, left
from loopdiag.causes.sightings import busy_figures, crowd, workers
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: limits that differ by a smaller factor take each other's place
ALIKE = 1.5
#: of a share by how the loop's idle time grows
DOUBT = 0.25
#: a smaller share of the slope is none
LITTLE = 0.05


def held_back(
    cause: Cause, evidence: Evidence, *, remedy: str, detail: str = "", seen: Bound | None = None
) -> Attribution | NotEnough | None:
    """The attribution of a bound that fewer requests than N pass at a time; `seen`: what in a program bounds it."""
    bound, top = workers(evidence) or (seen.at_once if seen is not None else None), max(evidence.points, default=0)
    if bound is None or top <= bound:
        return None
    effect = removed(evidence, lambda machine: _with(machine, None, evidence), *OUTSIDE)
    if seen is not None and evidence.machine is None and _vague(effect):
        idle = of_growth(evidence, idle_in_requests_ms, DOUBT)
        effect = idle if _sure(idle) else effect
    if isinstance(effect, NotEnough):
        return effect
    machine = evidence.machine
    predicted = left(evidence, _with(machine, raised(evidence), evidence)) if machine is not None else None
    return claim(
        cause,
        evidence,
        effect,
        figures=_figures(evidence, bound),
        remedy=remedy + (", and raise the pool's limit, which is as low" if _same_behind(evidence) else ""),
        detail=detail,
        predicted=predicted,
        place=seen.place if seen is not None else None,
    )


def _sure(effect: Effect | NotEnough) -> bool:
    return isinstance(effect, Effect) and effect.share.low is not None and effect.share.low > 0


def _vague(effect: Effect | NotEnough) -> bool:
    """Whether accounts hold something of the slope, and their interval says nothing."""
    return isinstance(effect, NotEnough) or (effect.share.value >= LITTLE and not _sure(effect))


def _figures(evidence: Evidence, bound: int) -> list[Figure]:
    figures = [figure("under way at most, by the program", bound, "requests")]
    if (crowded := crowd(evidence)) is not None:
        figures += [
            figure("in flight at most", crowded.in_flight, "requests"),
            figure("in flight, mean", crowded.in_flight_mean, "requests"),
            figure("waiting for the pool at most", crowded.queued, "requests"),
        ]
    figures += busy_figures(evidence)
    return figures


def _same_behind(evidence: Evidence) -> bool:
    """Whether the scenario gives the pool about the same limit as the program: then neither shows alone, and both are lifted."""
    limit, bound = evidence.scenario.pool.limit, workers(evidence)
    return bool(limit) and bound is not None and bound <= (limit or 0) < ALIKE * bound


def _with(machine: Machine, bound: int | None, evidence: Evidence) -> Machine:
    return replace(machine, workers=bound, limit=None if _same_behind(evidence) else machine.limit)


def raised(evidence: Evidence) -> int | None:
    """How many requests at a time grow least in the replay: all, or as many as the pool has connections, where a queue in the pool costs CPU."""
    machine = evidence.machine
    if machine is None or machine.limit is None or machine.limit <= (machine.workers or 0) or _same_behind(evidence):
        return None
    return best(evidence, [(None, replace(machine, workers=None)), (machine.limit, replace(machine, workers=machine.limit))])[0]


def lifted(scenario: Scenario, evidence: Evidence) -> Intervention | None:
    """The scenario with the bound of `raised`; None where it has no bound."""
    if scenario.workload.kind != "closed" or scenario.workload.concurrency is None:
        return None
    pool: dict[str, object] = {"pool.limit": 0} if _same_behind(evidence) else {}
    return change(scenario, {"workload.concurrency": raised(evidence), **pool})
