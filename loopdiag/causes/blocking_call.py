"""A callback blocks the event loop's thread: it sleeps, or waits in a system call, while all other requests stand still.

Symptom: the total grows by the length of the call for each request; the loop is not in its poll, and yet does not compute.

Evidence: the loop's thread is off the CPU inside of callbacks, and not for want of a core (the run queue's wait is taken off); more so with each request.

Remedy: make the call asynchronous, or move it to a thread (`asyncio.to_thread`).

Sources: aio-libs/aiohttp#2744
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.off_cpu import off_cpu_ms
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.gil_contention import contention
from loopdiag.causes.lines import blocking_line
from loopdiag.causes.programs import of_growth, programmed
from loopdiag.causes.sightings import over_n
from loopdiag.causes.system_calls import SLEEP
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

ACCOUNT = "loop/off-cpu"
#: of the trial; less is what the clocks of loop and thread disagree by
LEAST_SHARE = 0.08
DOUBT = 0.1


class BlockingCall:
    """The loop's thread waits where only its poll may."""

    name = "blocking_call"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share of the slope in which callbacks hold the loop without computing."""
        blocked, totals = over_n(evidence.timelines, off_cpu_ms), over_n(evidence.timelines, lambda timeline: timeline.total_ns / 1e6)
        if not blocked:
            return None
        top = max(blocked)
        if blocked[top] < LEAST_SHARE * totals[top] or contention(evidence) is not None:
            return None
        effect = _effect(evidence)
        if isinstance(effect, NotEnough):
            return effect
        lags = [timeline.lag for timeline in evidence.timelines if timeline.n == top and timeline.lag is not None]
        figures = [
            figure(f"the loop held off the CPU at N = {top}", blocked[top], "ms"),
            figure("the same", blocked[top] / top, "ms a request"),
            figure("share of the total", blocked[top] / totals[top], "1"),
            figure("longest iteration", max(lag.longest_ns for lag in lags) / 1e6, "ms"),
        ]
        place, call = blocking_line(evidence)
        remedy = f"move {call or 'the blocking call'} to a thread, or make it asynchronous"
        return claim(self, evidence, effect, figures=figures, remedy=remedy, detail=call, place=place)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Without the call; in a program, only sleeps can be taken out, which is an experiment."""
        if programmed(evidence):
            sleeps = blocking_line(evidence)[1] == SLEEP
            return change(scenario, {"knobs.blocking_sleep": 0.0}, remedy=False) if sleeps else None
        return change(scenario, {"workload.plant.block_ms": 0.0})


def _effect(evidence: Evidence) -> Effect | NotEnough:
    """By the replay or the ledger, which know what of it was on the critical path; else by the growth of the time itself, which holds everyone up."""
    known = removed(evidence, lambda machine: replace(machine, block=0.0), ACCOUNT)
    if isinstance(known, Effect) and known.share.value > 0:
        return known
    return of_growth(evidence, off_cpu_ms, DOUBT)


CAUSE = BlockingCall()
