"""The program lets only so many requests through at a time.

Symptom: the total grows in steps, T = ⌈N/c⌉ · latency, while nobody computes; c is the value of a semaphore, or the number of workers of a queue.

Evidence: requests wait before they reach the client (its pool has no queue), as many are in flight as the program allows, and replaying the run
without that bound makes the slope smaller.

Remedy: raise the semaphore's value or the number of workers; not beyond the pool's limit where a queue in the pool costs CPU.

Sources: ossf/cve-bin-tool#1085
"""

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.known_limits import blocking
from loopdiag.causes.changes import change
from loopdiag.causes.concurrency import held_back, lifted, raised
from loopdiag.causes.programs import bound, programmed
from loopdiag.causes.sightings import workers
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

KINDS = frozenset({"semaphore", "workers"})


class ClientSemaphore:
    """The program's own bound of two or more."""

    name = "client_semaphore"
    side: Side = "client"
    needs = frozenset({"points"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where the program lets all requests through at once."""
        seen, at_once = bound(evidence), workers(evidence)
        if seen is not None and seen.kind not in KINDS:
            return None
        at_once = seen.at_once if seen is not None else at_once
        if at_once is None or at_once == 1 or _threads(evidence):
            return None
        remedy = f"let more than {at_once} requests be under way at a time"
        return held_back(self, evidence, remedy=remedy, detail=f"{at_once} at a time", seen=seen)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """More requests at a time; the workers of a program cannot be made more."""
        if programmed(evidence):
            seen = bound(evidence)
            return change(scenario, {"knobs.semaphore": raised(evidence) or 0}) if seen is not None and seen.kind == "semaphore" else None
        return lifted(scenario, evidence)


def _threads(evidence: Evidence) -> bool:
    """Whether it is a pool of threads that lets so many through, which `executor_saturated` tells of."""
    return blocking(evidence.loop) and any(timeline.jobs is not None and timeline.jobs.queued_ns for timeline in evidence.timelines)


CAUSE = ClientSemaphore()
