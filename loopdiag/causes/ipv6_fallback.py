"""The first address that is tried does not answer, and the second is tried later.

Symptom: connecting takes 250 ms (or a time-out) longer than it should: a step in the total, or, where each request connects, in each request.

Evidence: TCP connections that took about as long as the time after which clients try the other address family, with more than one address tried.

Remedy: take the family that works (`family=AF_INET`), mend the name's records or the route, or have the resolver put the working family first.

Sources: aiohttp `connector.py`; MagicStack/uvloop#406
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.program_seen import Connects
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, claim, of_accounts
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, within
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import Estimate, NotEnough
from loopdiag.model.scenario import Scenario

#: of the connections
LEAST = 0.3
DOUBT = 0.25


class Ipv6Fallback:
    """First the way that is closed."""

    name = "ipv6_fallback"
    side: Side = "network"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """What connecting holds of the slope; and the step that the first connection makes."""
        timeline = observed(evidence)
        seen = views.connects(timeline) if timeline is not None else None
        if timeline is None or seen is None or not _fall_back(seen):
            return None
        fewest = views.connects(evidence.timelines[0])
        if fewest is not None and not _fall_back(fewest):
            return None  # an address that never answers does not, however few connect; one that fails under load is another's
        found = of_accounts(evidence, "connect")
        effect = found if isinstance(found, Effect) else within(evidence, 0.0, 0.0)
        step = seen.median_ns / 1e6
        figures = [
            figure(f"connections at N = {timeline.n}", seen.count, "connections"),
            figure("that took as long as a fallback", seen.fallback, "connections"),
            figure("for which several addresses were tried", seen.several_addresses, "connections"),
            figure("TCP connect, median", step, "ms"),
        ]
        remedy = "take the address family that works (IPv4), or have the resolver put it first"
        offset = Estimate(value=step, low=step * (1 - DOUBT), high=step * (1 + DOUBT), unit="ms")
        return claim(self, evidence, effect, figures=figures, remedy=remedy, offset_ms=offset, place=views.made_at(timeline))

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """IPv4 alone."""
        del evidence
        return None if scenario.program is None else change(scenario, {"knobs.ipv4_only": True})


def _fall_back(seen: Connects) -> bool:
    return seen.count > 0 and seen.fallback >= LEAST * seen.count


CAUSE = Ipv6Fallback()
