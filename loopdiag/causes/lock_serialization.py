"""A lock lets one request through at a time.

Symptom: T = N · the time that the lock is held, while nobody computes: all tasks begin together, and wait in a queue for the lock.

Evidence: tasks wait for a lock (or a semaphore of 1) while the loop is idle, the longer the more there are; one request is in flight where the lock is held over
it. Replaying the run without the bound makes the slope smaller.

Remedy: hold the lock for what it protects, and not over an `await` of the network; several locks, one for each key.

Sources: airbytehq/PyAirbyte#1084
"""

from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, claim
from loopdiag.causes.concurrency import held_back
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import LEAST_WAITS, bound, idle_ms, observed, of_growth, waiting
from loopdiag.causes.sightings import over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

#: of the total at the largest N, in which the loop is idle and somebody waits for the lock
LEAST_SHARE = 0.2
DOUBT = 0.15
REMEDY = "hold the lock for what it protects alone, and not while a request is under way"


class LockSerialization:
    """One holder, and a queue."""

    name = "lock_serialization"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where the lock lets everyone through."""
        seen, timeline = bound(evidence), observed(evidence)
        if timeline is None:
            return None
        if seen is not None and seen.kind == "lock":
            return held_back(self, evidence, remedy=REMEDY, seen=seen)
        count, place = waiting(timeline, "lock")
        idle = over_n(evidence.timelines, _idle_ms)
        if count < LEAST_WAITS * timeline.n or idle.get(timeline.n, 0.0) < LEAST_SHARE * timeline.total_ns / 1e6:
            return None
        effect = of_growth(evidence, _idle_ms, DOUBT)
        if not isinstance(effect, Effect):
            return effect
        figures = [
            figure(f"waits for the lock at N = {timeline.n}", count / timeline.n, "a request"),
            figure("time in which somebody waits for it and the loop is idle", idle[timeline.n], "ms"),
            figure("share of the total", idle[timeline.n] * 1e6 / timeline.total_ns, "1"),
        ]
        return claim(self, evidence, effect, figures=figures, remedy=REMEDY, place=place)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Locks that let everyone through: an experiment, because nobody knows from outside what they protect."""
        del evidence
        return None if scenario.program is None else change(scenario, {"knobs.lock": False}, remedy=False)


def _idle_ms(timeline: Timeline) -> float | None:
    return idle_ms(timeline, "lock")


CAUSE = LockSerialization()
