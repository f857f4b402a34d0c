"""The server computes for each request, and its cores are busy.

Symptom: the total grows in proportion to N, whatever the client is; answers come at a flat rate, and take the longer, the more requests there are.

Evidence: requests wait for their first byte while the server's cores are busy; replaying the run with a server that computes nothing makes the slope smaller.

Remedy: none from this side; cheaper answers, a cache, or more cores at the server.

Sources: benoitc/gunicorn#1488
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, of_share, replayed
from loopdiag.causes.figures import figure
from loopdiag.causes.sightings import busy_figures, server_busy, server_cpu_part, service_ms
from loopdiag.causes.special import supposed_server_cpu
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: of the slope, that the server's CPU for a request is at least
LEAST_PART = 0.25
#: relative doubt of that as its share: some of it may overlap with other waits
DOUBT = 0.3


class ServerCpu:
    """The server's cores are what requests wait for."""

    name = "server_cpu"
    side: Side = "server"
    needs = frozenset({"bare"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where answers cost the server no CPU."""
        part, waits = server_cpu_part(evidence), service_ms(evidence)
        if part is None or part < LEAST_PART:
            return None
        machine = evidence.machine
        if machine is None:
            effect = of_share(evidence, min(1.0, part), DOUBT * min(1.0, part))
        else:
            if supposed_server_cpu(machine, evidence):
                return None
            effect = replayed(evidence, machine, lambda fitted: replace(fitted, server_cpu=0.0))
        figures = [figure("growth of the server's CPU, of the slope", part, "1")]
        if (at_work := server_busy(evidence)) is not None:
            figures.append(figure("share of the time in which the server computes", at_work, "1"))
        if machine is not None:
            figures.append(figure("CPU of the server", 1e3 * machine.server_cpu, "ms a request"))
        figures += [figure(f"in the server at N = {n}, median", waits[n], "ms") for n in sorted({min(waits), max(waits)})] if waits else []
        figures += busy_figures(evidence)
        return claim(
            self, evidence, effect, figures=figures, remedy="nothing on this side: the server needs cheaper answers, or more cores"
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """The embedded target without its planted CPU, or a null server in front of a program: experiments."""
        del evidence
        if scenario.program is not None:
            return change(scenario, {"knobs.null_server": True}, remedy=False)
        return None if scenario.target.live else change(scenario, {"target.service.cpu_us": 0.0}, remedy=False)


CAUSE = ServerCpu()
