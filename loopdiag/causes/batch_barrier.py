"""Requests are made in batches, and each batch waits for its slowest.

Symptom: the number in flight is a saw-tooth; T = ⌈N/b⌉ · the slowest of b, which is more than a window of b requests would need.

Evidence: one task waits for all requests of a batch (`asyncio.gather`, a task group) before it begins the next; as many are in flight as a batch holds;
replaying the run without that bound makes the slope smaller.

Remedy: a sliding window (a semaphore, or workers on a queue) instead of batches, or all requests at once.

Sources: fsspec/filesystem_spec#1544
"""

from statistics import median

from msgspec.structs import replace

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.concurrency import held_back
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import bound, observed
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario


class BatchBarrier:
    """Everybody waits for the last one."""

    name = "batch_barrier"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where nothing waits for a batch."""
        seen, timeline = bound(evidence), observed(evidence)
        found = views.batches(timeline) if timeline is not None else None
        if seen is None or seen.kind != "barrier" or found is None:
            return None
        size = median(found.sizes)
        remedy = f"let the next request begin when any is done (a sliding window), not when all of {size:g} are"
        answer = held_back(self, evidence, remedy=remedy, detail=f"batches of {size:g}", seen=seen)
        if not isinstance(answer, Attribution):
            return answer
        figures = (
            figure("batches", len(found.sizes), "batches"),
            figure("share of the total in which a batch waits for its slowest alone", found.slack, "1"),
        )
        return replace(answer, evidence=(*answer.evidence[:4], *figures))

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """A program's batches cannot be changed from outside."""
        del scenario, evidence
        return None


CAUSE = BatchBarrier()
