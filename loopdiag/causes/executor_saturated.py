"""Requests wait for a thread of an executor.

Symptom: the total grows in steps while the loop is idle: T = ⌈N/threads⌉ · the time of one call (asyncio.to_thread has min(32, cores + 4) threads,
AnyIO has 40).

Evidence: calls wait in an executor's queue longer, the more requests there are, though each takes as long as ever once it has a thread.

Remedy: a larger executor (`loop.set_default_executor`), fewer or shorter calls, or an asynchronous library instead of the thread.

Sources: python/cpython#112169
"""

from dataclasses import replace
from functools import partial
from statistics import median

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.known_limits import WORKERS, blocking
from loopdiag.analysis.observed_waits import of_lookups
from loopdiag.causes.changes import change
from loopdiag.causes.claims import OUTSIDE, Effect, claim, of_share, removed, replayed
from loopdiag.causes.concurrency import held_back
from loopdiag.causes.figures import figure
from loopdiag.causes.lines import made_line
from loopdiag.causes.programs import bound, observed, programmed
from loopdiag.causes.replays import left
from loopdiag.causes.sightings import over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.program import Place
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

#: relative doubt of calls per thread as the slope: the last wave is seldom full
DOUBT = 0.15
#: threads for every request of any trial
ENOUGH = 100_000
#: threads of a pool that wait side by side, and no more than the connections that every client keeps (httpx: 20)
MANY = 20
LOOKUPS = ("dns", "lookup")


class ExecutorSaturated:
    """Every thread is taken, and calls wait."""

    name = "executor_saturated"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """What calls take, shared by the threads that there are, over the slope."""
        waits, calls = (over_n(evidence.timelines, partial(_median_ms, at=at)) for at in (0, 1))
        top = max(waits, default=0)
        seen = bound(evidence)
        if not waits and seen is not None and seen.kind == "executor":
            return held_back(self, evidence, remedy=f"let more than {seen.at_once} threads make requests", seen=seen)
        if not waits or evidence.slope.value <= 0 or waits[top] < max(1.0, 0.5 * calls[top]):
            return None
        threads, each = (over_n(evidence.timelines, of)[top] for of in (_threads, lambda timeline: len(_rows(timeline)) / timeline.n))
        machine = evidence.machine
        effect: Effect | NotEnough
        if blocking(evidence.loop):  # what threads compute side by side, more of them would not make less
            effect = removed(evidence, lambda fitted: replace(fitted, workers=MANY), *OUTSIDE)
        elif machine is not None and machine.workers is not None and seen is not None and seen.kind == "executor":
            effect = replayed(evidence, machine, lambda fitted: replace(fitted, workers=None))
        elif machine is not None and machine.thread > 0:
            effect = replayed(evidence, machine, lambda fitted: replace(fitted, threads=ENOUGH))
        else:
            share = min(1.0, calls[top] * each / threads / evidence.slope.value)
            effect = of_share(evidence, share, DOUBT * share)
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure(f"wait for a thread at N = {top}, median", waits[top], "ms"),
            figure("a call, once it has one, median", calls[top], "ms"),
            figure("threads", threads, "threads"),
            figure("calls", each, "a request"),
        ]
        remedy = f"give the executor more than {threads:g} threads, or make the calls without it"
        unhooked = machine is not None and machine.thread > 0 and not programmed(evidence)
        predicted = left(evidence, replace(machine, thread=0.0)) if machine is not None and unhooked else None
        return claim(self, evidence, effect, figures=figures, remedy=remedy, predicted=predicted, place=_place(evidence))

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Without the calls; in a program as many threads as requests, in a scenario's pool of threads many."""
        if blocking(evidence.loop):
            return change(scenario, {"workload.concurrency": MANY}) if evidence.loop in WORKERS else None
        if programmed(evidence):
            return change(scenario, {"knobs.executor": max(evidence.points)})
        return change(scenario, {"workload.plant.thread_ms": 0.0})


def _place(evidence: Evidence) -> Place | None:
    """The program's line that waits for the calls."""
    timeline = observed(evidence)
    if timeline is None:
        return None
    return next((each.place for each in views.executors(timeline) if each.place is not None), None) or made_line(evidence, "executor")


def _rows(timeline: Timeline) -> list[tuple[int, int, int, int]]:
    """Calls that look no name up: (queued, started, ended, threads); none where look-ups take most of the calls' time."""
    jobs = timeline.jobs
    if jobs is None:
        return []
    lookups = {name: sum(p.end_ns - p.start_ns for a in timeline.attempts for p in a.phases if p.name == name) for name in LOOKUPS}
    rows = list(zip(jobs.queued_ns, jobs.started_ns, jobs.ended_ns, jobs.threads, strict=True))
    whole = sum(ended - queued for queued, _, ended, _ in rows)
    if sum(lookups.values()) > whole / 2:
        return []
    return [row for row, looks in zip(rows, of_lookups(timeline), strict=True) if not looks]


def _median_ms(timeline: Timeline, *, at: int) -> float | None:
    rows = _rows(timeline)
    return median(row[at + 1] - row[at] for row in rows) / 1e6 if rows else None


def _threads(timeline: Timeline) -> float | None:
    """At most at work at a time, as the calls' own times show."""
    edges = sorted([(started, 1) for _, started, _, _ in _rows(timeline)] + [(ended, -1) for _, _, ended, _ in _rows(timeline)])
    at_work = most = 0
    for _, step in edges:
        at_work += step
        most = max(most, at_work)
    return most or None


CAUSE = ExecutorSaturated()
