"""Many tiny calls are made in threads, and getting there costs more than what they do.

Symptom: the total grows in proportion to N with loop and threads busy; each hop takes a queue, a switch to the thread and a wake-up of the loop.

Evidence: several calls in executors for each request, each shorter than a hop, while the process computes: in its threads and in the loop's own machinery.

Remedy: one call for many of them, or none: what takes microseconds may stay on the loop.

Sources: python/cpython docs, `asyncio.to_thread`
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.claims import claim
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, of_growth
from loopdiag.causes.sightings import busy, code_share, over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

#: calls in executors for each request
LEAST_HOPS = 3.0
#: a call that runs for longer is worth its thread
TINY_MS = 1.0
#: of the time, that the process computes
LEAST_BUSY = 0.4
DOUBT = 0.4


class ThreadHopOverhead:
    """There and back again."""

    name = "thread_hop_overhead"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes with the CPU of threads and of the loop's own machinery."""
        timeline, hops = observed(evidence), over_n(evidence.timelines, views.thread_hops)
        if timeline is None or hops[timeline.n] < LEAST_HOPS or (busy(evidence) or 0.0) < LEAST_BUSY:
            return None
        calls = [each for each in views.executors(timeline) if each.calls]
        count = sum(each.calls for each in calls)
        ran_ms = sum(each.ran_ns for each in calls) / count / 1e6 if count else 0.0
        if not count or ran_ms > TINY_MS:
            return None
        part = code_share(evidence, "task-and-callback") or 0.0
        effect = of_growth(evidence, lambda line: _hopping_ms(line, part), DOUBT)
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure("calls in threads", hops[timeline.n], "a request"),
            figure("a call, once it has its thread", ran_ms, "ms"),
            figure("the same with the way there and back", sum(each.waiting_ns for each in calls) / count / 1e6, "ms"),
            figure("share of the loop's CPU in its own machinery", part, "1"),
        ]
        remedy = "make one call in a thread instead of many, or do what takes microseconds on the loop"
        return claim(self, evidence, effect, figures=figures, remedy=remedy, place=max(calls, key=lambda each: each.calls).place)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Nothing can be changed from outside."""
        del scenario, evidence
        return None


def _hopping_ms(timeline: Timeline, part: float) -> float | None:
    """CPU of the threads, and the loop's in its own machinery."""
    seen, process = views.gil(timeline), timeline.process
    if timeline.cpu_ns is None:
        return None
    others = seen.others_cpu_ns if seen is not None else 0
    loop = process.cpu_ns if process is not None and process.cpu_ns is not None else timeline.cpu_ns - others
    return (others + part * loop) / 1e6


CAUSE = ThreadHopOverhead()
