"""Connections are held by answers that nobody reads or releases.

Symptom: the total jumps or hangs once as many requests were made as the pool has connections: the others wait for a time-out, or for the garbage collector.

Evidence: requests that were answered, but whose connection was not given back until long after, or never, while others wait in the pool's queue.

Remedy: read or release each answer (`async with session.get(…) as response`, `await response.aread()`, `response.close()`).

Sources: aio-libs/aiohttp#5833; encode/httpcore#1093
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.loop_time import LoopTime
from loopdiag.analysis.occupancy import union
from loopdiag.causes.claims import claim
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, of_growth
from loopdiag.causes.replays import crowd_at_top
from loopdiag.causes.sightings import over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Attempt, Timeline

#: of the answered requests, that hold their connection
LEAST = 0.1
#: held for so many times what the answer took, it is not being read
LONG = 3.0
LEAST_HELD_NS = 50_000_000
DOUBT = 0.2


class ConnectionLeak:
    """Held, and forgotten."""

    name = "connection_leak"
    side: Side = "client"
    needs = frozenset({"timelines", "occupancy"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share by which waiting for the pool grows while answered requests hold its connections."""
        timeline, crowded = observed(evidence), crowd_at_top(evidence)
        if timeline is None or crowded is None or crowded.queued < 1:
            return None
        held = over_n(evidence.timelines, held_share)
        leaked = views.made(timeline, "leaked-response")
        if not held or max(held.get(timeline.n, 0.0), sum(many.per_request for many in leaked)) < LEAST:
            return None
        effect = of_growth(evidence, _queueing_ms, DOUBT)
        if isinstance(effect, NotEnough):
            return effect
        what = f"of the answered requests at N = {timeline.n}, that hold their connection"
        figures = [figure(what, held[timeline.n], "1")] if timeline.n in held else []
        figures.append(figure("waiting for the pool at most", crowded.queued, "requests"))
        if (queueing := _queueing_ms(timeline)) is not None:
            figures.append(figure("time in which somebody waits for the pool and the loop is idle", queueing, "ms"))
        remedy = "read each answer, or release it: async with session.get(…) as response"
        place = next((many.place for many in leaked if many.place is not None), None) or views.made_at(timeline)
        return claim(self, evidence, effect, figures=figures, remedy=remedy, place=place)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Nothing that a change from outside could give back."""
        del scenario, evidence
        return None


def held_share(timeline: Timeline) -> float | None:
    """Of the requests that were answered, those whose connection came back long after it, or never."""
    answered = [attempt for attempt in timeline.attempts if "first_byte" in attempt.stamps or "headers" in attempt.stamps]
    return sum(_holds(attempt, timeline.total_ns) for attempt in answered) / len(answered) if answered else None


def _holds(attempt: Attempt, total_ns: int) -> bool:
    stamps = attempt.stamps
    if "body" in stamps or "last_byte" in stamps:  # it was read: who keeps it then is slow, but reads
        return False
    came = stamps.get("headers", stamps.get("first_byte", 0))
    began = stamps.get("assigned", stamps.get("send_start", came))
    held = stamps.get("released", total_ns) - came
    return held >= max(LONG * (came - began), LEAST_HELD_NS)


def _queueing_ms(timeline: Timeline) -> float | None:
    """How long somebody waited for the pool while the loop was idle; None: the loop was not observed."""
    loop = LoopTime.of(timeline)
    queued = [(phase.start_ns, phase.end_ns) for attempt in timeline.attempts for phase in attempt.phases if phase.name == "pool"]
    return sum(loop.slept_in(*span) for span in union(queued)) / 1e6 if loop.seen else None


CAUSE = ConnectionLeak()
