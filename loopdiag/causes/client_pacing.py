"""The program itself begins its requests at a rate.

Symptom: the total grows by the time between two starts; there are gaps in which nothing is in flight and only a timer is pending.

Evidence: an open workload (each request has its due time), or a timer of the program's on the critical path; replaying the run with all requests begun
at once makes the slope smaller.

Remedy: remove the sleep, or raise the rate, if the server allows it.

Sources: sigopt/sigopt-python#246
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.sightings import busy_figures, crowd
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario


class ClientPacing:
    """Arrivals at a rate that nothing but the program sets."""

    name = "client_pacing"
    side: Side = "client"
    needs = frozenset({"points"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where all requests are begun at once."""
        workload = evidence.scenario.workload
        if workload.kind != "open" or workload.rate_per_s is None:
            return None
        effect = removed(evidence, _at_once, "pacing", "sleep")
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure("requests begun", workload.rate_per_s, "a second"),
            figure("between two of them", 1e3 / workload.rate_per_s, "ms"),
        ]
        figures += busy_figures(evidence)
        if (crowded := crowd(evidence)) is not None:
            figures.append(figure("in flight, mean", crowded.in_flight_mean, "requests"))
        remedy = f"begin more than {workload.rate_per_s:g} requests a second, or all at once"
        return claim(self, evidence, effect, figures=figures, remedy=remedy, detail=f"{workload.rate_per_s:g} a second")

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """A closed workload."""
        del evidence
        return change(scenario, {"workload.kind": "closed", "workload.rate_per_s": None, "workload.arrivals": "constant"})


def _at_once(machine: Machine) -> Machine:
    return replace(machine, interval=None)


CAUSE = ClientPacing()
