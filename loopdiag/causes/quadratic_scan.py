"""One function of the program's computes longer for each request, the more requests there are.

Symptom: the total grows faster than N, with the loop busy: a list searched for each answer, `asyncio.wait` called again for each task that ends.

Evidence: a function outside the network's libraries whose own CPU grows with a power of N of 1.5 or more; replaying the run without that
CPU makes the slope smaller.

Remedy: one pass over the results (`asyncio.gather`, a dictionary instead of a list) instead of one for each.

Sources: python/cpython#74741
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.sightings import code_s, code_share, exponent
from loopdiag.causes.special import STEEP, steep_user
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.flame import TopRow
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

CODES = frozenset({"user", "other", "task-and-callback"})
#: of the loop's CPU at the largest N
LEAST_SHARE = 0.08


class QuadraticScan:
    """Work per request that grows with N, outside of the libraries."""

    name = "quadratic_scan"
    side: Side = "client"
    needs = frozenset({"class_cpu"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes with the steep functions."""
        row = _steepest(evidence)
        power = exponent(code_s(evidence, "user"))
        share = code_share(evidence, *({row.code} if row is not None else {"user"}))
        if share is None or share < LEAST_SHARE or (row is None and (power or 0.0) < STEEP):
            return None
        effect = removed(evidence, lambda machine: _linear(machine, evidence), "loop/user", "loop/other")
        if isinstance(effect, NotEnough):
            return effect
        figures = [figure("share of the loop's CPU in such code at the largest N", share, "1")]
        if power is not None:
            figures.append(figure("power of N of the program's own CPU", power, "1"))
        if row is not None:
            figures.append(figure(f"own CPU of {row.function}", row.self_us / 1e3, "ms a request"))
            figures.append(figure(f"power of N of {row.function}", row.exponent or 0.0, "1"))
        where = row.function if row is not None else "the program's own code"
        return claim(
            self, evidence, effect, figures=figures, remedy=f"make {where} do one pass instead of one for each request", detail=where
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Without the planted scan."""
        del evidence
        return change(scenario, {"workload.plant.scan_us": 0.0})


def _steepest(evidence: Evidence) -> TopRow | None:
    """The function with the largest slope of its own among the steep ones."""
    steep = [row for row in evidence.top if row.code in CODES and (row.exponent or 0.0) >= STEEP and row.self_us > 0]
    return max(steep, key=lambda row: row.self_us, default=None)


def _linear(machine: Machine, evidence: Evidence) -> Machine:
    """Without what grows with N; where that was fitted as a cost a request, without the program's own cost."""
    if machine.grow > 0:
        return replace(machine, grow=0.0)
    return replace(machine, plant=0.0, finish=max(0.0, machine.finish - machine.plant)) if steep_user(evidence) else machine


CAUSE = QuadraticScan()
