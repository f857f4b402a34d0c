"""Requests wait for a connection of the client's own pool.

Symptom: the total grows in steps, T = ⌈N/c⌉ · latency, while nobody computes; c is the limit of the client's pool (100 in aiohttp and in httpx).

Evidence: requests wait in the pool's queue while as many are in flight as the limit allows, and replaying the run without the limit makes the slope
smaller. A limit that is reached, but where the loop or the server could do no more anyway, has no share.

Remedy: raise the pool's limit (aiohttp: `TCPConnector(limit=…)`; httpx: `Limits(max_connections=…)`), as far as the server bears it.

Sources: aiohttp `connector.py`; Azure/azure-openai-benchmark#8; BerriAI/litellm#15247
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import OUTSIDE, beside_scan, claim, once_unscanned, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.lines import client_line
from loopdiag.causes.programs import programmed
from loopdiag.causes.replays import crowd_at_top
from loopdiag.causes.sightings import busy_figures, crowd, pool_limit
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: waiting for the pool, on the mean: who finds a connection passes the queue, too
LEAST_QUEUE = 0.2


class ClientPoolLimit:
    """The pool allows fewer connections than there are requests, and somebody waits for that alone."""

    name = "client_pool_limit"
    side: Side = "client"
    needs = frozenset({"occupancy"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where the pool has no limit."""
        limit, crowded = pool_limit(evidence), crowd_at_top(evidence)
        if limit is None or crowded is None or crowded.queued_mean < LEAST_QUEUE or crowded.n <= limit:
            return None
        effect, machine = removed(evidence, _unlimited, *OUTSIDE), evidence.machine
        if isinstance(effect, NotEnough):
            return effect
        if machine is not None and machine.scan > 0:  # a queue that costs CPU because the pool scans it is the scan's
            effect = once_unscanned(machine, *beside_scan(evidence, machine, _unlimited))
        figures = [
            figure("limit of the pool", limit, "connections"),
            figure(f"in flight at most at N = {crowded.n}", crowded.in_flight, "requests"),
            figure(f"waiting for the pool at most at N = {crowded.n}", crowded.queued, "requests"),
        ]
        if crowded is crowd(evidence):
            what = "share of the time in which requests wait for the pool while the loop is idle"
            figures.append(figure(what, crowded.idle_in_queue, "1"))
        figures += busy_figures(evidence)
        remedy = f"raise the pool's limit of {limit} connections: {crowded.n} requests wait for it in turns"
        return claim(
            self, evidence, effect, figures=figures, remedy=remedy, detail=f"{evidence.client} limit={limit}", place=client_line(evidence)
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Lift the limit, and the limit per host where there is one: to the library's default, which a program's knob must say."""
        none = 0 if programmed(evidence) else None
        per_host = {"pool.limit_per_host": none} if scenario.pool.limit_per_host else {}
        return change(scenario, {"pool.limit": 0, **per_host})


def _unlimited(machine: Machine) -> Machine:
    return replace(machine, limit=None)


CAUSE = ClientPoolLimit()
