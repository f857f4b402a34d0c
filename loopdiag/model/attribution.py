"""What a cause says: its share of the slope, the figures it rests on, what it predicts, and what may be changed to find out."""

from loopdiag.model.diagnosis import Evidence, Side
from loopdiag.model.law import Estimate
from loopdiag.model.program import Place
from loopdiag.model.scenario import Scenario
from loopdiag.model.value import Value


class Attribution(Value, frozen=True, kw_only=True):
    """A cause's claim about one arm."""

    cause: str
    detail: str = ""
    side: Side = "client"
    share: Estimate  # of the arm's slope that goes with the cause, 0 … 1
    slope_ms: Estimate  # what it holds of it in ms per request; waits for a core, which it only prolongs, are not in it
    offset_ms: Estimate | None = None  # of the total at the largest N, that goes with the cause: a step or a cliff, which no slope shows
    predicted: Estimate | None = None  # slope in ms per request after the cause's own intervention; None: there is none
    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    place: Place | None = None  # the line of the program that is to be changed


class Intervention(Value, frozen=True, kw_only=True):
    """A changed scenario that removes (or weakens) one cause and leaves the rest."""

    scenario: Scenario
    changes: tuple[str, ...]  # for readers: "pool.limit: 100 (default) → 0 (none)"
    remedy: bool = True  # False: an experiment only, which nobody would ship, and which no prescription holds
