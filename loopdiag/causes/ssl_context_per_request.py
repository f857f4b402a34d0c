"""A TLS context is made again and again, and each parses the bundle of certificates.

Symptom: tens of milliseconds of CPU for each request, before anything is sent: `httpx.get`, `requests.get` or a client for each request.

Evidence: as many TLS contexts are made as requests, or nearly; what making them computes grows with N.

Remedy: make one context (`ssl.create_default_context()`) or one client, and share it.

Sources: encode/httpx#2298, #838
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, of_growth
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

#: contexts for each request
LEAST = 0.3
#: of the total, that making them computes
LEAST_SHARE = 0.08
DOUBT = 0.15
MADE = "tls-context"


class SslContextPerRequest:
    """The same certificates, parsed once more."""

    name = "ssl_context_per_request"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share by which the CPU of making contexts grows."""
        timeline = observed(evidence)
        made = views.made(timeline, MADE) if timeline is not None else ()
        each = sum(many.per_request for many in made)
        if timeline is None or each < LEAST:
            return None
        cpu = _cpu_ms(timeline)
        if cpu is None:
            return NotEnough(why=f"{each:.2g} TLS contexts are made for each request, but nothing tells what they cost")
        if cpu < LEAST_SHARE * timeline.total_ns / 1e6:
            return None
        effect = of_growth(evidence, _cpu_ms, DOUBT)
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure("TLS contexts made", each, "a request"),
            figure("CPU to make one", cpu / max(1, sum(many.count for many in made)), "ms"),
            figure(f"CPU to make them at N = {timeline.n}", cpu, "ms"),
        ]
        remedy = "make one TLS context, or one client, and share it between the requests"
        return claim(self, evidence, effect, figures=figures, remedy=remedy, place=made[0].place)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """One context for all."""
        del evidence
        return None if scenario.program is None else change(scenario, {"knobs.shared_tls": True})


def _cpu_ms(timeline: Timeline) -> float | None:
    known = [many.cpu_ns for many in views.made(timeline, MADE) if many.cpu_ns is not None]
    return sum(known) / 1e6 if known else None


CAUSE = SslContextPerRequest()
