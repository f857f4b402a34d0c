"""The server serves only so many requests at a time, and lets the others wait.

Symptom: T = ⌈N/c⌉ · latency, whatever the client, its loop and its limits are; answers come at a flat rate.

Evidence: requests are sent at once and wait for their first byte, the longer the more there are, while the client is idle and the server's cores are, too;
replaying the run with a server without that limit makes the slope smaller.

Remedy: none from this side; more workers at the server, or fewer requests.

Sources: benoitc/gunicorn#1488
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.sightings import QUEUES, busy, crowd, growth, server_busy, server_cpu_part, service_ms
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: a server that computes for more of the time is `server_cpu`
COMPUTES = 0.75
#: likewise, where its CPU is so much of the slope
CPU_PART = 0.4


class ServerConcurrencyLimit:
    """Places at the server, all taken, with its cores idle."""

    name = "server_concurrency_limit"
    side: Side = "server"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where the server serves any number at a time."""
        waits, machine, at_work = service_ms(evidence), evidence.machine, server_busy(evidence)
        limit = machine.server_limit if machine is not None else None
        if (at_work or 0.0) >= COMPUTES or (server_cpu_part(evidence) or 0.0) >= CPU_PART:
            return None
        if limit is None and (machine is not None or (growth(waits) or 0.0) < QUEUES):
            return None
        effect = removed(evidence, _unlimited, "server")
        if isinstance(effect, NotEnough):
            return effect
        figures = [figure(f"in the server at N = {n}, median", waits[n], "ms") for n in sorted({min(waits), max(waits)})] if waits else []
        if limit is not None:
            figures.append(figure("in service at most, as its answers tell", limit, "requests"))
        if (crowded := crowd(evidence)) is not None:
            figures.append(figure("in flight, mean", crowded.in_flight_mean, "requests"))
        for what, share in (("client", busy(evidence)), ("server", at_work)):
            if share is not None:
                figures.append(figure(f"share of the time in which the {what} computes", share, "1"))
        detail = f"about {limit} at a time" if limit is not None else ""
        return claim(self, evidence, effect, figures=figures, remedy="nothing on this side: the server needs more workers", detail=detail)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """The embedded target without its limit, or a null server in front of a program: experiments."""
        del evidence
        if scenario.program is not None:
            return change(scenario, {"knobs.null_server": True}, remedy=False)
        return None if scenario.target.live else change(scenario, {"target.service.concurrency": None}, remedy=False)


def _unlimited(machine: Machine) -> Machine:
    return replace(machine, server_limit=None)


CAUSE = ServerConcurrencyLimit()
