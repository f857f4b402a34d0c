"""The process has no descriptors left, or the machine no ports.

Symptom: from a number of requests on, some fail ("Too many open files", "Cannot assign requested address"), or are made again after a pause.

Evidence: errors EMFILE, ENFILE or EADDRNOTAVAIL of connections, with as many descriptors open as the process may have.

Remedy: reuse connections and bound their number; raise the limit (`ulimit -n`), or the range of ports.

Sources: aio-libs/aiohttp#1142, #2094
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, within
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

RAN_OUT = ("descriptors", "ports")
#: of the requests
LEAST = 0.02
#: what failed attempts and the pauses after them take is not told from the rest
PART, DOUBT = 0.5, 0.8
FEW = 100


class PortOrFdExhaustion:
    """Nothing left to connect with."""

    name = "port_or_fd_exhaustion"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """A part of the slope where attempts fail for want of a port or a descriptor."""
        timeline = observed(evidence)
        ran_out = views.exhausted(evidence.failed)
        found = {what: count for what in RAN_OUT if (count := ran_out.get(what, 0) + evidence.counters.get(f"exhausted.{what}", 0))}
        if timeline is None or sum(found.values()) < max(1.0, LEAST * timeline.n):
            return None
        worst = max(found, key=found.__getitem__)
        figures = [figure(f"connections that found no {what[:-1]}, in the worst trial", count, "attempts") for what, count in found.items()]
        figures.append(figure("the same", sum(found.values()) / timeline.n, "a request"))
        if timeline.process is not None and timeline.process.descriptors is not None:
            figures.append(figure("descriptors open at most, as far as sampled", timeline.process.descriptors, "descriptors"))
        remedy = "reuse connections and bound how many are open, or raise the limit"
        effect = within(evidence, PART, DOUBT)
        return claim(self, evidence, effect, figures=figures, remedy=remedy, detail=worst, place=views.made_at(timeline))

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Fewer connections."""
        del evidence
        return None if scenario.program is None else change(scenario, {"knobs.pool_limit": FEW, "knobs.shared_session": True})


CAUSE = PortOrFdExhaustion()
