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
from loopdiag.causes.connecting import seen, stepped
from loopdiag.causes.figures import figure
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
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
        found = seen(evidence)
        if found is None or not _fall_back(found[1]):
            return None
        timeline, made = found
        fewest = views.connects(evidence.timelines[0])
        if fewest is not None and not _fall_back(fewest):
            return None  # an address that never answers does not, however few connect; one that fails under load is another's
        step = made.median_ns / 1e6
        figures = [
            figure(f"connections at N = {timeline.n}", made.count, "connections"),
            figure("that took as long as a fallback", made.fallback, "connections"),
            figure("for which several addresses were tried", made.several_addresses, "connections"),
            figure("TCP connect, median", step, "ms"),
        ]
        remedy = "take the address family that works (IPv4), or have the resolver put it first"
        return stepped(self, evidence, timeline, step_ms=step, doubt=DOUBT, figures=figures, remedy=remedy)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """IPv4 alone."""
        del evidence
        return None if scenario.program is None else change(scenario, {"knobs.ipv4_only": True})


def _fall_back(made: Connects) -> bool:
    return made.count > 0 and made.fallback >= LEAST * made.count


CAUSE = Ipv6Fallback()
