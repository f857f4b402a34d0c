"""The event loop's thread is ready, and waits for the interpreter's lock that another thread holds.

Symptom: the total grows with the loop neither idle nor computing: after each system call it waits up to 5 ms (`sys.getswitchinterval`) for a thread that computes.

Evidence: callbacks hold the loop while its thread is off the CPU, and other threads of the same process compute meanwhile; or threads alone keep one core busy,
however many there are.

Remedy: let other processes compute (`ProcessPoolExecutor`), or code that releases the lock; a shorter switch interval helps the loop.

Sources: dask/distributed#6325; python/cpython#29579
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, of_growth
from loopdiag.causes.sightings import over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

#: of the total at the largest N, that other threads compute
LEAST_OTHERS = 0.3
#: of it, that the loop waits for the lock
LEAST_WAIT = 0.08
#: other threads that compute for more of the total have the interpreter to themselves
ALONE = 0.7
#: a process that computes for longer than that, in totals, has threads that do without the lock
PARALLEL = 1.15
#: of what other threads compute, for which calls run that the program waits for
AWAITED = 0.5
DOUBT = 0.25
#: milliseconds; a fiftieth of the interpreter's own
SWITCH_MS = 0.1


class GilContention:
    """One interpreter, and several threads that want it."""

    name = "gil_contention"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share by which the time grows in which other threads hold the interpreter."""
        contended = contention(evidence)
        if contended is None:
            return None
        timeline, waited, others = contended
        total_ms = _own_ms(timeline)
        effect = of_growth(evidence, _others_ms if others >= ALONE * total_ms else _waited_ms, DOUBT)
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure(f"CPU of other threads at N = {timeline.n}", others, "ms"),
            figure("share of the total, without waits for a core, in which they compute", others / total_ms, "1"),
            figure("the loop's thread ready, but off the CPU meanwhile", waited, "ms"),
        ]
        busiest = next(iter(views.executors(timeline)), None)
        remedy = "compute in processes (ProcessPoolExecutor), or in code that releases the GIL"
        return claim(self, evidence, effect, figures=figures, remedy=remedy, place=busiest.place if busiest is not None else None)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Threads that hand the interpreter over sooner; None where the program waits for what they compute, which takes as long then."""
        if scenario.program is None or _awaited(evidence):
            return None
        return change(scenario, {"knobs.switch_interval_ms": SWITCH_MS})


def contention(evidence: Evidence) -> tuple[Timeline, float, float] | None:
    """The timeline of the largest N, how long the loop waited for the lock there, and what other threads computed, in ms; None: no such thing."""
    timeline = observed(evidence)
    if timeline is None:
        return None
    waited, others = (over_n(evidence.timelines, measure).get(timeline.n) for measure in (_waited_ms, _others_ms))
    total_ms = _own_ms(timeline)
    if waited is None or others is None or others < LEAST_OTHERS * total_ms:
        return None
    alone = others >= ALONE * total_ms and (timeline.cpu_ns or 0) <= PARALLEL * timeline.total_ns
    return (timeline, waited, others) if waited >= LEAST_WAIT * total_ms or alone else None


def _awaited(evidence: Evidence) -> bool:
    """Whether calls that the program waits for run for most of the time that other threads compute."""
    timeline, others = observed(evidence), over_n(evidence.timelines, _others_ms)
    if timeline is None or timeline.n not in others:
        return False
    calls = sum(each.ran_ns * (1 - each.with_requests) for each in views.executors(timeline)) / 1e6
    return calls >= AWAITED * others[timeline.n] > 0


def _own_ms(timeline: Timeline) -> float:
    """The total without the time in which the program was ready, and had no core at all."""
    return max(timeline.total_ns - (timeline.run_queue_ns or 0), timeline.cpu_ns or 0) / 1e6


def _waited_ms(timeline: Timeline) -> float | None:
    seen = views.gil(timeline)
    return None if seen is None else seen.waited_ns / 1e6


def _others_ms(timeline: Timeline) -> float | None:
    seen = views.gil(timeline)
    return None if seen is None else seen.others_cpu_ns / 1e6


CAUSE = GilContention()
