"""Ladders for print: a panel a loop, a row a rung; grey is what the rung below costs already, the colour is what the layer adds."""

from typing import TYPE_CHECKING

from loopdiag.model.diagnosis import LadderFound, Rung
from loopdiag.model.value import Value
from loopdiag.report import format as fmt
from loopdiag.report import rungs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BELOW, ADDS, SAVES = "#d6d9dd", "#c4500a", "#00805f"


class Steps(Value, frozen=True, kw_only=True):
    """What is drawn: the ladders that have rungs."""

    ladders: tuple[LadderFound, ...]


def draw_ladders(figure: "Figure", steps: Steps) -> None:
    """All ladders on one scale, so that loops can be compared."""
    figure.set_size_inches(9, 0.9 + sum(0.45 + 0.34 * len(ladder.rungs) for ladder in steps.ladders))
    heights = [len(ladder.rungs) + 1 for ladder in steps.ladders]
    panels = figure.subplots(len(steps.ladders), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    widest = max(rung.slope_ms.high or rung.slope_ms.value for ladder in steps.ladders for rung in ladder.rungs)
    for panel, ladder in zip(panels, steps.ladders, strict=True):
        draw_ladder(panel, ladder)
    panels[-1].set_xlim(0, widest * 1.42 if widest > 0 else 1)
    panels[-1].set_xlabel("slope, ms per request: grey what the rung below costs already, coloured what this layer adds (green: saves)")


def draw_ladder(panel: "Axes", ladder: LadderFound) -> None:
    """One loop; the ground is at the bottom."""
    below = 0.0
    for place, rung in enumerate(ladder.rungs):
        draw_rung(panel, place, rung, below)
        _, slope, step, share = rungs.row(ladder, rung)
        end = max(rung.slope_ms.high or 0.0, rung.slope_ms.value, below, 0.0)
        panel.annotate(f"{slope}   {step}  ({share})", (end, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
        below = rung.slope_ms.value
    panel.set_yticks(range(len(ladder.rungs)), [fmt.clean(rung.arm) for rung in ladder.rungs])
    panel.set_ylim(-0.6, len(ladder.rungs) - 0.4)
    panel.set_title(f"{fmt.clean(ladder.loop)}: slope, and what the layer adds (share of the highest rung)", pad=4)
    panel.tick_params(left=False)


def draw_rung(panel: "Axes", place: int, rung: Rung, below: float) -> None:
    """One row, with the interval of its slope."""
    slope = rung.slope_ms
    low, high = min(below, slope.value), max(below, slope.value)
    panel.barh(place, low, height=0.62, color=BELOW)
    panel.barh(place, high - low, left=low, height=0.62, color=ADDS if slope.value >= below else SAVES)
    if slope.low is not None and slope.high is not None:
        reach = [[max(0.0, slope.value - slope.low)], [max(0.0, slope.high - slope.value)]]
        panel.errorbar(slope.value, place, xerr=reach, color="#222222", capsize=2, linewidth=1.0, markersize=0)
