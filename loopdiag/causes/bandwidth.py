"""The link is full: all answers together come no faster.

Symptom: the total grows in proportion to the bytes of all answers, while the client is idle and the server has answered.

Evidence: receiving a body takes the longer, the more are on their way, and bytes a second are the same at every N; replaying the run with a link without
bound makes the slope smaller.

Remedy: compress the answers, ask for less, or a faster link.

Sources: RFC 9110, section 8.4 (content codings)
"""

from dataclasses import replace
from statistics import median

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import programmed
from loopdiag.causes.sightings import busy, busy_figures, growth, phase_ms
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: a loop that computes for more of the time is what bodies wait for
IDLE = 0.75
LEAST_MS = 2.0
#: growth over N of receiving that more bodies at a time show
GROWS = 1.6


class Bandwidth:
    """Bodies share the link."""

    name = "bandwidth"
    side: Side = "network"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where the link has no bound."""
        machine, receiving = evidence.machine, phase_ms(evidence, "receive")
        top = max(receiving, default=0)
        shared = receiving.get(top, 0.0) >= LEAST_MS and (growth(receiving) or 0.0) >= GROWS
        fitted = machine is not None and machine.link > 0
        if not (shared or fitted) or (busy(evidence) or 0.0) > IDLE:
            return None
        effect = removed(evidence, _unbounded, "receive")
        if isinstance(effect, NotEnough):
            return effect
        figures = [figure(f"from the first byte to the last at N = {n}, median", receiving[n], "ms") for n in sorted({min(receiving), top})]
        rates = _rates(evidence)
        figures += [figure(f"bytes of all answers at N = {n}", rates[n] / 1e6, "MB/s") for n in sorted(rates)[-2:]]
        figures += busy_figures(evidence)
        return claim(self, evidence, effect, figures=figures, remedy="compress the answers, or ask for less of them: the link is full")

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """A link without bound before the embedded target: an experiment."""
        return (
            None if scenario.target.live or programmed(evidence) else change(scenario, {"target.service.bytes_per_s": None}, remedy=False)
        )


def _rates(evidence: Evidence) -> dict[int, float]:
    """N → bytes a second over the whole trial, median."""
    found: dict[int, list[float]] = {}
    for trial in evidence.bare:
        if trial.total_s and trial.body_bytes:
            found.setdefault(trial.spec.n, []).append(trial.body_bytes / trial.total_s)
    return {n: median(rates) for n, rates in found.items()}


def _unbounded(machine: Machine) -> Machine:
    return replace(machine, link=0.0)


CAUSE = Bandwidth()
