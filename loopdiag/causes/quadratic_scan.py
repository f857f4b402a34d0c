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
from loopdiag.causes.lines import scanning_line
from loopdiag.causes.programs import observed, programmed, waiting, within
from loopdiag.causes.sightings import ByN, code_s, code_share, exponent, line
from loopdiag.causes.special import STEEP, steep_user
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.flame import TopRow
from loopdiag.model.law import NotEnough
from loopdiag.model.program import WAITS
from loopdiag.model.scenario import Scenario

CODES = frozenset({"user", "other", "task-and-callback"})
#: asyncio's own looks at many tasks, as kinds of waits, and the class of code that makes them
LOOKS, LOOP = ("wait",), "task-and-callback"
#: tasks that these look at together, over the square of N: half of it where each look is for one task
LEAST_LOOKS = 0.1
DOUBT = 0.5
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
        if row is None and not steep_user(evidence) and looks_each_time(evidence):
            return self._of_looks(evidence)
        power = exponent(code_s(evidence, "user"))
        share = code_share(evidence, *({row.code} if row is not None else {"user"}))
        if share is None or share < LEAST_SHARE or (row is None and not steep_user(evidence)):
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
        remedy = f"make {where} do one pass instead of one for each request"
        return claim(self, evidence, effect, figures=figures, remedy=remedy, detail=where, place=scanning_line(evidence, row))

    def _of_looks(self, evidence: Evidence) -> Attribution | None:
        """The share by which the loop's own machinery takes longer than in proportion to N, where the program has it look at all of its tasks each time."""
        more, whole = beyond_linear(code_s(evidence, LOOP)), code_s(evidence, *evidence.class_cpu)
        timeline = observed(evidence)
        if timeline is None or len(more) < 2 or not whole[max(whole)] or more[max(more)] < LEAST_SHARE * whole[max(whole)]:
            return None
        share = 1e3 * line(list(more), list(more.values())) / evidence.slope.value if evidence.slope.value > 0 else 0.0
        count, place = waiting(timeline, *LOOKS)
        figures = [
            figure(f"waits for all of its tasks at N = {timeline.n}", count, "waits"),
            figure("CPU of the loop's machinery there, beyond what is in proportion to N", 1e3 * more[max(more)], "ms"),
            figure("power of N of the loop's machinery", exponent(code_s(evidence, LOOP)) or 0.0, "1"),
        ]
        remedy = "let each task hand over its own result (asyncio.gather, a queue) instead of looking at all of them each time"
        return claim(
            self, evidence, within(evidence, share, DOUBT), figures=figures, remedy=remedy, detail="asyncio.wait in a loop", place=place
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Without the planted scan; a program's own cannot be taken out from outside."""
        if programmed(evidence):
            return None
        return change(scenario, {"workload.plant.scan_us": 0.0})


def looks_each_time(evidence: Evidence) -> bool:
    """Whether a program waits for all of its tasks again for each of them."""
    timeline = observed(evidence)
    if timeline is None or timeline.activity is None:
        return False
    waits = timeline.activity.waits
    looked_at = sum(size for size, kind in zip(waits.value, waits.kind, strict=True) if WAITS[kind] in LOOKS)
    return waiting(timeline, *LOOKS)[0] >= timeline.n / 2 and looked_at >= LEAST_LOOKS * timeline.n**2


def beyond_linear(seconds: ByN) -> dict[int, float]:
    """N → what it takes more than N times the least that one request takes at any N."""
    least = min((value / n for n, value in seconds.items()), default=0.0)
    return {n: value - n * least for n, value in sorted(seconds.items())}


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
