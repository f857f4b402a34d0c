"""Numbers that an intervention chooses by replaying: which of several settings grows least, and what a machine's totals would be."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.occupancy import Occupancy
from loopdiag.causes.sightings import crowd
from loopdiag.model.law import Estimate

T = TypeVar("T")

#: another setting than the first is worth its oddity only where it grows so much less
WORTH = 0.9


def best(evidence: Evidence, choices: Sequence[tuple[T, Machine]]) -> tuple[T, Machine]:
    """The choice whose slope is least; the first, unless another grows by a tenth less.  Few values of N say enough to choose."""
    from loopdiag.analysis import what_if

    ns = sorted(evidence.points)
    few = {n: evidence.points[n] for n in {ns[0], ns[len(ns) // 2], ns[-1]}}
    slopes = [what_if.slope_ms(machine, few) for _, machine in choices]
    least = min(range(len(choices)), key=slopes.__getitem__)
    return choices[least] if slopes[least] < WORTH * slopes[0] else choices[0]


def left(evidence: Evidence, changed: Machine | None) -> Estimate | None:
    """What the slope would be on a changed machine, in ms per request; None without a machine."""
    from loopdiag.analysis import what_if

    if evidence.machine is None or changed is None:
        return None
    return what_if.without(evidence.machine, changed, evidence.points, evidence.slope)[0]


def crowd_at_top(evidence: Evidence) -> Occupancy | None:
    """Who was where at the largest N of the sweep: as its timeline shows, or, where none went so far, as the replay has it."""
    from loopdiag.analysis.replay import run

    seen, machine, top = crowd(evidence), evidence.machine, max(evidence.points, default=0)
    if seen is None or machine is None or seen.n >= top:
        return seen
    replayed = run(machine, top)
    return replace(
        seen,
        n=top,
        in_flight=replayed.in_flight,
        in_flight_mean=replayed.in_flight / 2,  # it fills and empties, at least
        queued=max(0, replayed.queued - 1),  # each one passes the queue
        queued_mean=max(0, replayed.queued - 1) / 2,
        connections=min(replayed.opened, replayed.in_flight),
        opened=replayed.opened,
        reused=1 - replayed.opened / top,
    )


def scanning_share(evidence: Evidence) -> float:
    """Share of the loop's time that the pool's scan takes at the largest N, by the replay; 0 without a machine."""
    from loopdiag.analysis.replay import run

    machine = evidence.machine
    if machine is None or machine.scan <= 0:
        return 0.0
    replayed = run(machine, max(evidence.points))
    return machine.scan * replayed.scanned / replayed.busy_s


def offset_ms(evidence: Evidence, changed: Machine) -> Estimate | None:
    """How much shorter the total at the largest N would be, in ms, with the model's own miss as its interval; None without a machine."""
    from loopdiag.analysis import what_if

    machine = evidence.machine
    if machine is None:
        return None
    n = max(evidence.points)
    before, after = (what_if.totals(each, [n])[n] for each in (machine, changed))
    gain = 1e3 * (before - after)
    half = machine.miss * abs(gain)
    return Estimate(value=gain, low=gain - half, high=gain + half, unit="ms")
