"""Requests wait for the look-up of a name.

Symptom: the total grows in steps while the loop is idle: a slow resolver, asked in a few threads (asyncio's default executor; libuv's four threads under uvloop),
once for each connection.

Evidence: look-ups take long even where the loop has nothing else to do, and wait for a thread; replaying the run with look-ups that take no time makes the
slope smaller.

Remedy: an asynchronous resolver (aiodns), a cache, a static address, or fewer connections.

Sources: python/cpython#112169; MagicStack/uvloop#1
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.observed_waits import of_lookups
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.lines import request_line
from loopdiag.causes.programs import programmed
from loopdiag.causes.sightings import busy, code_s, over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

#: shorter look-ups are a cache's, or a numeric address's
LEAST_MS = 2.0
#: with a loop that computes for more of the time, a look-up's thread waits for the interpreter, and not for the resolver
IDLE = 0.8
STAMPS = (("dns_start", "dns_end"), ("lookup_start", "lookup_end"))


class DnsResolution:
    """Look-ups on the way to each connection."""

    name = "dns_resolution"
    side: Side = "network"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where names are known."""
        each, made = over_n(evidence.timelines, _shortest_ms), over_n(evidence.timelines, _lookups)
        least, top = min(each.values(), default=0.0), max(each, default=0)
        if least < LEAST_MS or (busy(evidence) or 0.0) > IDLE:
            return None
        effect = removed(evidence, _known, *_accounts(evidence.timelines[-1]))
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure("a look-up, the shortest tenth", least, "ms"),
            figure(f"a look-up at N = {top}, the shortest tenth", each[top], "ms"),
            figure("look-ups", made[top] / top, "a request"),
        ]
        machine = evidence.machine
        if machine is not None:
            figures.append(figure("look-ups at a time", machine.lookups_at_once, "threads"))
        if names := code_s(evidence, "dns"):
            figures.append(figure("CPU of the loop in look-ups at the largest N", 1e3 * names[max(names)], "ms"))
        return claim(
            self,
            evidence,
            effect,
            figures=figures,
            remedy="cache the address, or use an asynchronous resolver",
            place=request_line(evidence),
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """A resolver that answers at once: an experiment; in a program, a cache."""
        if programmed(evidence):
            return change(scenario, {"knobs.cached_dns": True})
        return change(scenario, {"workload.plant.dns_ms": 0.0}, remedy=False)


def _accounts(timeline: Timeline) -> tuple[str, ...]:
    """The accounts that look-ups fill: waiting for a thread of the executor, too, unless other calls hold it for longer."""
    jobs, held = timeline.jobs, {True: 0, False: 0}
    if jobs is not None:
        for looks, queued, ended in zip(of_lookups(timeline), jobs.queued_ns, jobs.ended_ns, strict=True):
            held[looks] += ended - queued
    return ("dns", "executor") if held[True] >= held[False] else ("dns",)


def _times_ns(timeline: Timeline) -> list[int]:
    return sorted(
        link.stamps[last] - link.stamps[first]
        for link in timeline.connections
        for first, last in STAMPS
        if first in link.stamps and last in link.stamps
    )


def _shortest_ms(timeline: Timeline) -> float | None:
    times = _times_ns(timeline)
    return times[len(times) // 10] / 1e6 if times else None


def _lookups(timeline: Timeline) -> float | None:
    return len(_times_ns(timeline)) or None


def _known(machine: Machine) -> Machine:
    return replace(machine, lookup=0.0)


CAUSE = DnsResolution()
