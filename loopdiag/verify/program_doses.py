"""Where a delay is injected into a user's program for a cause without an intervention, and how much of it the critical path says will reach the total."""

from dataclasses import dataclass

from msgspec.structs import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.model.attribution import Attribution
from loopdiag.model.scenario import Delay, Scenario

#: causes by which requests wait for one another: time added to each shows how many of them go at a time
OF_ORDER = frozenset({"serialized_awaits", "batch_barrier", "client_semaphore", "lock_serialization"})
#: causes that hold the loop's thread at a line of the program
OF_LINE = frozenset({"cpu_in_loop", "blocking_call", "quadratic_scan"})
#: causes of new connections
OF_CONNECTIONS = frozenset({"no_connection_reuse", "tls_handshake_cpu", "dns_resolution", "ipv6_fallback", "listen_backlog_overflow"})


@dataclass(frozen=True)
class Seam:
    """A seam to add time at.

    Attributes:
        base: without time added; a line is traced there, too, because that itself takes time.
        own_ms: what the mechanism takes for each request, as far as is known.
        predicted: ms of slope that each ms added to a request makes, by the critical path; None: it does not say.
    """

    base: Scenario
    delay: Delay
    own_ms: float
    predicted: float | None

    @property
    def name(self) -> str:
        """For readers."""
        return f"knobs.delay at each {self.delay.place or self.delay.seam}"

    def dose(self, ms: float) -> Scenario:
        """With so much added."""
        return replace(self.base, knobs=replace(self.base.knobs, delay=replace(self.delay, ms=ms)))


def seam(claim: Attribution, seen: Evidence) -> Seam | None:
    """The seam of a cause's mechanism; None: it has none inside the program."""
    scenario, slope = seen.scenario, seen.slope.value
    if claim.cause in OF_LINE and claim.place is not None:
        delay = Delay(seam="blocking_call", place=claim.place.name)
        base = replace(scenario, knobs=replace(scenario.knobs, delay=delay))
        return Seam(base, delay, slope, None if claim.cause == "quadratic_scan" else 1.0)
    if claim.cause in OF_ORDER and (at_a_time := scenario.workload.concurrency) is not None:
        return Seam(scenario, Delay(seam="request"), slope * at_a_time, 1 / at_a_time)
    if claim.cause in OF_CONNECTIONS:
        return Seam(scenario, Delay(seam="connect"), slope * (scenario.workload.concurrency or 1), None)
    return None
