"""The server refuses requests above a rate, and they are made again.

Symptom: the total grows by 1/rate for each request; answers with status 429 or 503, `Retry-After`, sleeps between attempts.

Evidence: attempts that were refused and repeated; replaying the run with a server that admits any rate makes the slope smaller.

Remedy: spread the requests over time as the server asks, or agree on a higher rate: retries cost more than waiting.

Sources: RFC 6585, section 4; RFC 9110, section 10.2.3
"""

from dataclasses import replace
from functools import partial

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import of_growth, programmed, put_off_ms
from loopdiag.causes.sightings import busy_figures, over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Attempt, Timeline

REFUSALS = frozenset({429, 503})
#: of the requests at the largest N
LEAST_SHARE = 0.02
DOUBT = 0.25


class RateLimited:
    """Refused, and made again."""

    name = "rate_limited"
    side: Side = "server"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where every request is admitted."""
        refused = over_n(evidence.timelines, _refused)
        top = max(refused, default=0)
        if not refused or refused[top] < LEAST_SHARE * top:
            return None
        effect = removed(evidence, _admitting, "sleep")
        if programmed(evidence) and evidence.machine is None:
            effect = of_growth(evidence, partial(put_off_ms, failed=_is_refused), DOUBT)
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure(f"refused attempts at N = {top}", refused[top], "attempts"),
            figure("the same", refused[top] / top, "a request"),
        ]
        if evidence.machine is not None and evidence.machine.server_rate is not None:
            figures.append(figure("admitted", evidence.machine.server_rate, "a second"))
        figures += busy_figures(evidence)
        return claim(self, evidence, effect, figures=figures, remedy="spread the requests as the server asks, or agree on a higher rate")

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """The embedded target without its rate: an experiment."""
        if scenario.target.live or programmed(evidence):
            return None
        return change(
            scenario, {"target.service.rate_per_s": None, "target.service.retry_after_s": 1.0, "workload.retries": 0}, remedy=False
        )


def _is_refused(attempt: Attempt) -> bool:
    return attempt.status in REFUSALS


def _refused(timeline: Timeline) -> float:
    return float(sum(map(_is_refused, timeline.attempts)))


def _admitting(machine: Machine) -> Machine:
    return replace(machine, server_rate=None)


CAUSE = RateLimited()
