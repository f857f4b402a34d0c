"""Hypotheses with a handle, one file each: what would make T grow, how it shows, what to change to find out.

A cause's module docstring is its page (title, symptom, evidence, remedy, sources), which the report and the docs render.
`judging.py` asks them all; `claims.py`, `replays.py`, `sightings.py`, `lines.py`, `system_calls.py`, `figures.py` and `changes.py` hold what all share,
`concurrency.py`, `programs.py`, `reuse.py`, `pool_scan.py` and `special.py` what some do; `pages.py` reads their pages.
"""

from typing import Protocol

from loopdiag.analysis.evidence import Evidence
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.registry import Registry


class Cause(Protocol):
    """One hypothesis."""

    name: str
    side: Side  # where its remedy is
    #: parts of `Evidence` that it reads; where one is absent the cause is not asked, and the report says what was missing
    needs: frozenset[str]

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """Its share of the arm's slope; None: it shows no sign; NotEnough: a sign, but the evidence does not carry."""

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """The same scenario without the cause; pure; None: nothing can be changed from this side.

        Args:
            scenario: of one arm, as it was run.
            evidence: of that arm.
        """


CAUSES: Registry[Cause] = Registry(
    "cause",
    {
        name: f"loopdiag.causes.{name}:CAUSE"
        for name in (
            "client_pool_limit",
            "client_semaphore",
            "serialized_awaits",
            "lock_serialization",
            "batch_barrier",
            "client_pacing",
            "polling_interval",
            "connection_leak",
            "h2_stream_limit",
            "executor_saturated",
            "thread_hop_overhead",
            "gil_contention",
            "blocking_call",
            "cpu_in_loop",
            "quadratic_scan",
            "gc_pauses",
            "library_overhead",
            "asyncio_debug",
            "event_loop_saturated",
            "no_connection_reuse",
            "ssl_context_per_request",
            "tls_handshake_cpu",
            "dns_resolution",
            "ipv6_fallback",
            "listen_backlog_overflow",
            "port_or_fd_exhaustion",
            "nagle_delayed_ack",
            "bandwidth",
            "server_concurrency_limit",
            "server_cpu",
            "rate_limited",
            "redirects",
            "none",
        )
    },
)
