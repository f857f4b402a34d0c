"""Whether connections serve one request after another, and why they do not: what `no_connection_reuse` finds, and others must know."""

from dataclasses import replace
from typing import Literal

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.programs import observed
from loopdiag.causes.replays import crowd_at_top
from loopdiag.causes.sightings import opened_per_request

#: connections opened over those open at a time, from which on some were closed that others could have used
LOST = 1.5
#: and of the requests
LEAST_SHARE = 0.3
#: sessions a request, from which on each has its own
LEAST_SESSIONS = 0.3

Why = Literal["session", "server", "eviction", "expiry", "closed"]


def lost(evidence: Evidence) -> float | None:
    """Connections opened for each request, where more were opened than were ever open at a time; None where reuse is as it should be."""
    opened, crowded = opened_per_request(evidence), crowd_at_top(evidence)
    if opened is None or crowded is None or opened < LEAST_SHARE:
        return None
    at_a_time = max(1, crowded.connections)
    return opened if opened * crowded.n >= LOST * at_a_time else None


def why(evidence: Evidence) -> Why:
    """Who closes them."""
    if sessions(evidence) >= LEAST_SESSIONS:
        return "session"
    service, pool, machine = evidence.scenario.target.service, evidence.scenario.pool, evidence.machine
    if not evidence.scenario.target.live and (not service.keep_alive or service.requests_per_connection is not None):
        return "server"
    if pool.keepalive_s is not None and 0 < pool.keepalive_s < 1:
        return "expiry"
    if machine is not None and machine.reusable is None and machine.keepalive is not None:
        return "eviction"
    return "closed"


def sessions(evidence: Evidence) -> float:
    """How many sessions (clients, pools) a program makes for each request; 0 where nothing tells."""
    timeline = observed(evidence)
    return sum(many.per_request for many in views.made(timeline, "session")) if timeline is not None else 0.0


def kept(machine: Machine) -> Machine:
    """With every connection kept, and reused."""
    return replace(machine, keepalive=None, reusable=None)
