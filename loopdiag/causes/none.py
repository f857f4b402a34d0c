"""Nothing grows: the healthy control.

Symptom: the total hardly depends on N: the requests overlap, and each waits for the same answer time.

Evidence: the slope's interval is about 0, or all of the sweep adds less than a tenth to the total.

Remedy: none is needed.

Sources: none
"""

from statistics import median

from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.claims import claim, of_share
from loopdiag.causes.figures import figure
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: of the total at the largest N, that the sweep adds: less is no growth
LITTLE = 0.10
#: likewise, where the interval includes 0: it may reach so far at most to show that nothing grows
AT_MOST = 0.25


class Nothing:
    """No growth to explain."""

    name = "none"
    side: Side = "none"
    needs = frozenset({"points"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """A claim of no share, where the total does not grow."""
        ns, slope = sorted(evidence.points), evidence.slope
        if len(ns) < 2:
            return NotEnough(why="growth needs two values of N or more")
        top_ms = 1e3 * median(evidence.points[ns[-1]])
        span = ns[-1] - ns[0]
        added = slope.value * span / top_ms
        low, high = (None if side is None else side * span / top_ms for side in (slope.low, slope.high))
        if low is not None and high is not None and low <= 0:
            if high >= AT_MOST:
                return NotEnough(why="the slope's interval includes 0, and is too wide to say that nothing grows")
        elif added >= LITTLE:
            return None
        figures = [
            figure("total at the largest N", top_ms, "ms"),
            figure("of which the sweep adds", max(0.0, added), "1"),
            figure("slope", slope.value, "ms/request"),
        ]
        return claim(self, evidence, of_share(evidence, 0.0, 0.0), figures=figures, remedy="nothing grows: nothing to do")

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Nothing to change."""
        del scenario, evidence
        return None


CAUSE = Nothing()
