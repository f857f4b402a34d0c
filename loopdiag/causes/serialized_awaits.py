"""Each request is begun only after the one before it has ended.

Symptom: T = N · latency: N times what one request takes, with one request in flight.

Evidence: one request is in flight at most, each is created when the one before it is done, and replaying them all at once makes the slope smaller.

Remedy: start the requests together (`asyncio.gather`, `asyncio.TaskGroup`) instead of awaiting each in a loop.

Sources: aio-libs/aiohttp#1579
"""

from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.concurrency import held_back, lifted
from loopdiag.causes.programs import bound, programmed
from loopdiag.causes.sightings import workers
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario


class SerializedAwaits:
    """One at a time."""

    name = "serialized_awaits"
    side: Side = "client"
    needs = frozenset({"points"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where all requests are started at once."""
        seen = bound(evidence)
        if (seen.kind != "serial") if seen is not None else (workers(evidence) != 1):
            return None
        remedy = "start the requests together (asyncio.gather) instead of awaiting each in a loop"
        return held_back(self, evidence, remedy=remedy, seen=seen)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """All at once, or as many as the pool takes without a queue; a program's own order cannot be changed from outside."""
        return None if programmed(evidence) else lifted(scenario, evidence)


CAUSE = SerializedAwaits()
