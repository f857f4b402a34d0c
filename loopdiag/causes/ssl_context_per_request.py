"""A TLS context is made again and again, and each parses the bundle of certificates.

Symptom: tens of milliseconds of CPU for each request, before anything is sent: `httpx.get`, `requests.get` or a client for each request.

Evidence: as many TLS contexts are made as requests, or nearly; what making them computes grows with N.  Of a scenario's arm, whose program is known, the profile
tells: making contexts takes as much CPU for each of many requests as for each of few.

Remedy: make one context (`ssl.create_default_context()`) or one client, and share it.

Sources: encode/httpx#2298, #838
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, of_accounts
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, of_growth, programmed
from loopdiag.causes.sightings import code_s, code_share
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.timeline import Timeline

#: contexts for each request
LEAST = 0.3
#: of the total, that making them computes
LEAST_SHARE = 0.08
DOUBT = 0.15
CONTEXT = "tls-context"  # what a program makes, and the class of the code that does
#: of what a context costs a request at the smallest N profiled, at the largest: one context for all would cost each of them less and less
STEADY = 0.5
#: client that makes a context in each call → the same library with one for all
SHARING = {"httpx.get": "httpx-sync"}

REMEDY = "make one TLS context, or one client, and share it between the requests"


class SslContextPerRequest:
    """The same certificates, parsed once more."""

    name = "ssl_context_per_request"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share by which the CPU of making contexts grows."""
        if not programmed(evidence):
            return self._by_code(evidence)
        timeline = observed(evidence)
        made = views.made(timeline, CONTEXT) if timeline is not None else ()
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
        return claim(self, evidence, effect, figures=figures, remedy=REMEDY, place=made[0].place)

    def _by_code(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share of the code that makes contexts, where each request runs it."""
        seconds = code_s(evidence, CONTEXT)
        each = {n: spent / n for n, spent in seconds.items()}
        share = code_share(evidence, CONTEXT)
        if share is None or share < LEAST_SHARE or not STEADY * each[min(each)] < each[max(each)]:
            return None
        effect = of_accounts(evidence, f"loop/{CONTEXT}")
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure("CPU to make TLS contexts", 1e3 * each[max(each)], "ms a request"),
            figure("share of the client's CPU in that", share, "1"),
        ]
        shared = of_accounts(evidence, *(f"loop/{code}" for code in (CONTEXT, "tls-handshake")), "connect", "ssl", "dns")
        left = None if isinstance(shared, NotEnough) else shared.predicted
        return claim(self, evidence, effect, figures=figures, remedy=REMEDY, predicted=left)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """One context for all; of a scenario's arm one client, which keeps its connections, too."""
        if scenario.program is not None:
            return change(scenario, {"knobs.shared_tls": True})
        arm = evidence.arm
        return change(scenario, {"arms": (Arm(client=SHARING[arm.client], loop=arm.loop),)}) if arm.client in SHARING else None


def _cpu_ms(timeline: Timeline) -> float | None:
    known = [many.cpu_ns for many in views.made(timeline, CONTEXT) if many.cpu_ns is not None]
    return sum(known) / 1e6 if known else None


CAUSE = SslContextPerRequest()
