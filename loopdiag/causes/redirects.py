"""Each request is answered by a redirect first, and made again somewhere else.

Symptom: a request takes two round trips or more, and as many requests reach the server as redirects and answers together.

Evidence: attempts that a redirect led to, for each request; they hold their part of what requests take, in CPU and in waiting.

Remedy: ask for the final address (its scheme, its host, its trailing slash) at once.

Sources: psf/requests#5891
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.claims import claim
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, within
from loopdiag.causes.sightings import over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Attempt, Timeline

LEAST = 0.3
#: a redirect is an attempt like others, as far as the network counts; its answer is short
DOUBT = 0.4
#: phases in which an attempt waits for others' ends
QUEUES = frozenset({"pool", "shared", "stream"})


class Redirects:
    """Go there instead."""

    name = "redirects"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The part of requests' time that their redirects hold."""
        timeline, each = observed(evidence), over_n(evidence.timelines, views.redirects)
        if timeline is None or each[timeline.n] < LEAST:
            return None
        part = _part(timeline)
        figures = [
            figure("redirects", each[timeline.n], "a request"),
            figure(f"attempts at N = {timeline.n}", len(timeline.attempts), "attempts"),
            figure("part of all attempts' time at work that a redirect answers", part, "1"),
        ]
        remedy = "ask for the final address, as the last answer has it"
        place = views.made_at(timeline)
        return claim(self, evidence, within(evidence, part, DOUBT), figures=figures, remedy=remedy, place=place)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """The addresses are the program's own."""
        del scenario, evidence
        return None


def _part(timeline: Timeline) -> float:
    """Of all attempts' time, without what they wait for to be let go, what those take that are followed by another hop."""
    whole = redirected = 0
    hops = {(attempt.request, attempt.hop) for attempt in timeline.attempts if attempt.hop}
    for attempt in timeline.attempts:
        took = _took(attempt)
        whole += took
        if (attempt.request, (attempt.hop or 0) + 1) in hops:
            redirected += took
    return redirected / whole if whole else 0.0


def _took(attempt: Attempt) -> int:
    """How long an attempt was at work, from the call of the client: waiting for a turn, which the first attempt of a request does for all, is none of its own."""
    called = attempt.stamps.get("enqueued", 0)
    return sum(max(0, phase.end_ns - max(phase.start_ns, called)) for phase in attempt.phases if phase.name not in QUEUES)


CAUSE = Redirects()
