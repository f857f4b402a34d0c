"""The program itself begins its requests at a rate.

Symptom: the total grows by the time between two starts; there are gaps in which nothing is in flight and only a timer is pending.

Evidence: an open workload (each request has its due time), or a timer of the program's on the critical path; replaying the run with all requests begun
at once makes the slope smaller.

Remedy: remove the sleep, or raise the rate, if the server allows it.

Sources: sigopt/sigopt-python#246
"""

from dataclasses import replace

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.program_polls import polls
from loopdiag.analysis.program_seen import Sleep
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, of_growth, programmed
from loopdiag.causes.rate_limited import LEAST_SHARE as REFUSED
from loopdiag.causes.rate_limited import REFUSALS
from loopdiag.causes.sightings import busy_figures, crowd, over_n
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

#: of the total at the largest N, that a program sleeps on the critical path
LEAST_SHARE = 0.1
DOUBT = 0.2


class ClientPacing:
    """Arrivals at a rate that nothing but the program sets."""

    name = "client_pacing"
    side: Side = "client"
    needs = frozenset({"points"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where all requests are begun at once."""
        workload = evidence.scenario.workload
        if programmed(evidence):
            return self._by_sleeps(evidence)
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

    def _by_sleeps(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that a program's own sleeps have, which are no poller's and follow no refusal."""
        timeline, slept = observed(evidence), over_n(evidence.timelines, slept_ms)
        paced = pacing(timeline) if timeline is not None else []
        if timeline is None or not paced or slept[timeline.n] < LEAST_SHARE * timeline.total_ns / 1e6:
            return None
        effect = removed(evidence, _at_once, "pacing", "sleep")
        polled = evidence.machine is None and bool(polls(timeline))  # the account holds pollers' sleeps, too
        if isinstance(effect, NotEnough) or effect.share.value <= 0 or polled:
            effect = of_growth(evidence, slept_ms, DOUBT)
        if isinstance(effect, NotEnough):
            return effect
        sleep = paced[0]
        figures = [
            figure("one sleep, median", sleep.median_ns / 1e6, "ms"),
            figure(f"sleeps at N = {timeline.n}", sleep.count, "sleeps"),
            figure("the program sleeps on the critical path", slept[timeline.n], "ms"),
        ]
        figures += busy_figures(evidence)
        remedy = "remove the sleep, or make it shorter, if the server allows it"
        return claim(
            self, evidence, effect, figures=figures, remedy=remedy, detail=f"sleeps of {sleep.median_ns / 1e6:.3g} ms", place=sleep.place
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """A closed workload; in a program, sleeps that take no time."""
        if programmed(evidence):
            return change(scenario, {"knobs.sleep": 0.0})
        return change(scenario, {"workload.kind": "closed", "workload.rate_per_s": None, "workload.arrivals": "constant"})


def pacing(timeline: Timeline) -> list[Sleep]:
    """The lines whose sleeps are on the critical path, longest first: without pollers', and none where sleeps follow refusals."""
    polled = {poller.place for poller in polls(timeline)}
    refused = sum(attempt.status in REFUSALS for attempt in timeline.attempts)
    if refused >= REFUSED * timeline.n:
        return []
    found = [sleep for sleep in views.sleeps(timeline) if sleep.on_path_ns > 0 and sleep.place not in polled]
    return sorted(found, key=lambda sleep: -sleep.on_path_ns)


def slept_ms(timeline: Timeline) -> float | None:
    """How much of the critical path they take, in ms."""
    return sum(sleep.on_path_ns for sleep in pacing(timeline)) / 1e6 if timeline.activity is not None else None


def _at_once(machine: Machine) -> Machine:
    return replace(machine, interval=None)


CAUSE = ClientPacing()
