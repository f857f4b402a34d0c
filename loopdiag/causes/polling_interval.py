"""What is done is noticed only when a poller's timer ends.

Symptom: the total is a multiple of an interval, and grows by a part of it for each thing that is polled for; nobody computes.

Evidence: a task sleeps again and again at one line without making a request between, and what it waits for was done before its last sleep ended; that lateness
grows with N.

Remedy: await the future, the task or an `asyncio.Event` instead of looking every so often.

Sources: cgarciae/pypeln#9
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.program_polls import polls
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, partly
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, of_growth
from loopdiag.causes.sightings import over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

#: of the total at the largest N, that pollers come too late
LEAST_SHARE = 0.08
#: lateness overlaps with other waits as soon as there are several pollers
DOUBT = 0.3
#: part of their time that the experiment leaves to sleeps
SHORTER = 0.1


class PollingInterval:
    """Looked at every so often."""

    name = "polling_interval"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share by which pollers' lateness grows."""
        timeline, late = observed(evidence), over_n(evidence.timelines, late_ms)
        found = polls(timeline) if timeline is not None else ()
        if timeline is None or not found or late[timeline.n] < LEAST_SHARE * timeline.total_ns / 1e6:
            return None
        effect = of_growth(evidence, late_ms, DOUBT)
        if isinstance(effect, NotEnough):
            return effect
        poller = found[0]
        figures = [
            figure("interval", poller.interval_ns / 1e6, "ms"),
            figure(f"sleeps of the poller at N = {timeline.n}", poller.sleeps, "sleeps"),
            figure("it noticed too late by, together", late[timeline.n], "ms"),
        ]
        remedy = "await the future (or an asyncio.Event) instead of sleeping until it is done"
        detail, shorter = f"every {poller.interval_ns / 1e6:.3g} ms", partly(evidence, effect, 1 - SHORTER)
        return claim(self, evidence, effect, figures=figures, remedy=remedy, detail=detail, predicted=shorter, place=poller.place)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Shorter sleeps."""
        del evidence
        return None if scenario.program is None else change(scenario, {"knobs.sleep": SHORTER}, remedy=False)


def late_ms(timeline: Timeline) -> float | None:
    """How late pollers noticed, in ms: not more than they slept on the critical path, where that is known."""
    if timeline.activity is None:
        return None
    slept = {sleep.place: sleep.on_path_ns for sleep in views.sleeps(timeline)}
    late = 0
    for poller in polls(timeline):
        on_path = slept.get(poller.place, 0)
        late += min(poller.late_ns, on_path) if on_path else poller.late_ns
    return late / 1e6


CAUSE = PollingInterval()
