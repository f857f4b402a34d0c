"""The client library's own code computes on the event loop: for each request, or for each pair of requests.

Symptom: the total grows with the loop busy; faster than N where the pool looks at every connection for every request that waits, at each start and end.

Evidence: the profile's CPU in the pool grows with a power of N well above 1, or the library's code takes two thirds of the loop's CPU; replaying the run without
that CPU makes the slope smaller.

Remedy: for a pool that scans, a semaphore as large as the pool in front of it, so that nobody queues inside; else another client or transport.

Sources: encode/httpcore#1035; encode/httpcore#929; encode/httpx#3215; pydantic/httpx2#974
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, claim, like, partly, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.pool_scan import bound, scan_claim, scans
from loopdiag.causes.replays import left
from loopdiag.causes.sightings import busy_figures, code_s, code_share, exponent
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import Estimate, NotEnough
from loopdiag.model.scenario import Arm, Scenario

LIBRARY = ("client-library", "import")  # a library that imports within a request does so each time
#: of the loop's CPU at the largest N: it dominates; half of it is a client's ordinary way
LARGE_SHARE = 0.65
#: so much is named where it grows with such a power of N, and the total faster than N beyond doubt
STEEP_SHARE, STEEP, CURVED = 0.25, 1.4, 1.1
OTHER_CLIENT = "aiohttp"


class LibraryOverhead:
    """CPU in the client's library or its pool."""

    name = "library_overhead"
    side: Side = "client"
    needs = frozenset({"class_cpu"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes without the pool's scan; without a scan, without the library's own code."""
        if scans(evidence):
            return scan_claim(self, evidence)
        part = code_share(evidence, *LIBRARY) or 0.0
        power = exponent(code_s(evidence, *LIBRARY)) or 1.0
        growth = evidence.law.exponent
        steep = part >= STEEP_SHARE and power >= STEEP and growth is not None and (growth.low or 0.0) > CURVED
        if part < LARGE_SHARE and not steep:
            return None
        effect = removed(evidence, lambda machine: _cheaper(machine, part), *(f"loop/{code}" for code in LIBRARY))
        if isinstance(effect, NotEnough):
            return effect
        figures = [figure("share of the loop's CPU in the client library", part, "1"), figure("power of N of that CPU", power, "1")]
        half = left(evidence, None if evidence.machine is None else _cheaper(evidence.machine, part / 2))  # another library computes, too
        remedy = f"take a client with less code a request than {evidence.client}, or make fewer and larger requests"
        return claim(
            self,
            evidence,
            effect,
            figures=[*figures, *busy_figures(evidence)],
            remedy=remedy,
            detail="client library",
            predicted=_wide(half, effect) or partly(evidence, effect, 0.5),
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """As many requests at a time as the pool has connections; for the library's own code, another client."""
        if scans(evidence):
            most = bound(evidence)
            return change(scenario, {"workload.concurrency": most}) if most is not None and scenario.workload.kind == "closed" else None
        loop = evidence.loop
        if evidence.client == OTHER_CLIENT or scenario.target.http == "2" or loop == "virtual":
            return None
        keepalive = {"pool.keepalive": None} if scenario.pool.keepalive else {}
        return change(scenario, {"arms": (Arm(client=OTHER_CLIENT, loop=loop),), **keepalive})


def _cheaper(machine: Machine, part: float) -> Machine:
    """Without a part of what each request computes."""
    return replace(machine, start=machine.start * (1 - part), finish=machine.finish * (1 - part))


def _wide(half: Estimate | None, effect: Effect) -> Estimate | None:
    """From a library that costs nothing to one that costs the same."""
    if half is None:
        return None
    reach = abs(half.value - effect.predicted.value)
    return like(Estimate(value=0.0, low=-reach, high=reach, unit=half.unit), half.value)


CAUSE = LibraryOverhead()
