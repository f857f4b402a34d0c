"""The garbage collector stops the event loop.

Symptom: the total grows with N, or faster: each full collection looks at every object that is alive, and there are more of both.

Evidence: the collector's own callbacks tell when it began and ended, inside of the loop's iterations; replaying the run without these pauses makes the
slope smaller.

Remedy: make fewer container objects, `gc.freeze()` after start-up, or raise the thresholds (`gc.set_threshold`).

Sources: python/cpython#129210
"""

from dataclasses import replace

from loopdiag.analysis.core_waits import on_core, paused_ns, waited_ns
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, reduced, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.lines import computing_line
from loopdiag.causes.programs import programmed
from loopdiag.causes.sightings import code_share, over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: of the trial at the largest N: every library makes some garbage, and a loaded machine stretches what collecting it takes
LEAST_SHARE = 0.15


class GcPauses:
    """Collections of the garbage collector, seen one by one."""

    name = "gc_pauses"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes without collections."""
        paused = over_n(evidence.timelines, lambda timeline: paused_ns(timeline) / max(1, timeline.total_ns - waited_ns(timeline)))
        top = max(paused, default=0)
        if not paused or paused[top] < LEAST_SHARE:
            return None
        effect = removed(evidence, lambda machine: replace(machine, pause=0.0, pause_grow=0.0), "loop/gc")
        if isinstance(effect, NotEnough):
            return effect
        if evidence.machine is None or not evidence.machine.pause + evidence.machine.pause_grow:
            effect = reduced(evidence, effect, over_n(evidence.timelines, on_core)[top])  # the account holds the pauses' whole length
        last = [timeline for timeline in evidence.timelines if timeline.n == top]
        figures = [
            figure(f"share of the total, without waits for a core, in collections at N = {top}", paused[top], "1"),
            figure("collections a trial", sum(len(timeline.pauses) for timeline in last) / len(last), "collections"),
            figure("longest", max(pause.length_ns for timeline in last for pause in timeline.pauses) / 1e6, "ms"),
        ]
        if (sampled := code_share(evidence, "gc")) is not None:
            figures.append(figure("share of the loop's CPU in the collector, by the profile", sampled, "1"))
        remedy = "make fewer container objects, or freeze and raise the collector's thresholds"
        return claim(self, evidence, effect, figures=figures, remedy=remedy, place=computing_line(evidence))

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Without the planted garbage; in a program, without collections of what survives."""
        if programmed(evidence):
            return change(scenario, {"knobs.gc_frozen": True})
        return change(scenario, {"workload.plant.garbage": 0})


CAUSE = GcPauses()
