"""An arm in a plot of T(N) for print: its trials, its law with the band, and its prescription."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loopdiag.model.diagnosis import ArmDiagnosis, Point
from loopdiag.model.law import Estimate, Law
from loopdiag.report.format import clean, estimate, law_form
from loopdiag.report.palette import CLIENT_HUES, LOOP_STYLES, client_index, loop_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PRESCRIBED_DASH = (0, (9, 3.5))

Says = Callable[[Law, Estimate | None], str]


def form(law: Law, _: Estimate | None) -> str:
    """The law, as the plot's key says it."""
    return clean(law_form(law))


def rate(_: Law, slope: Estimate | None) -> str:
    """The slope instead."""
    return f"{estimate(slope)} ms/request" if slope else ""


def draw_arm(panel: "Axes", arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis, says: Says = form) -> None:
    """One arm, and its prescription where it was measured: hue by client, dash and marker by loop, long dashes and diamonds for the prescription."""
    colour = CLIENT_HUES[client_index(arms, arm)][0]
    _, filled, dash, marker = LOOP_STYLES[loop_index(arms, arm)]
    draw_law(panel, f"{clean(arm.arm)}   {says(arm.law, arm.slope_ms)}", arm.law, arm.points, (colour, filled, dash, marker))
    found = arm.prescription
    if found is not None and found.points:
        law = found.law or Law(form="")
        label = f"{clean(arm.arm)}, prescribed   {says(law, found.slope_ms)}"
        draw_law(panel, label, law, found.points, (colour, filled, PRESCRIBED_DASH, "D"))


def draw_law(panel: "Axes", label: str, law: Law, points: tuple[Point, ...], look: tuple[str, bool, Any, str]) -> None:
    """Trials, fitted curve and band."""
    colour, filled, dash, marker = look
    trials = [(point.n, seconds) for point in points for seconds in point.total_s]
    if law.curve:
        n, fitted, low, high = zip(*law.curve, strict=True)
        panel.fill_between(n, low, high, color=colour, alpha=0.14, linewidth=0)
        panel.plot(n, fitted, color=colour, linestyle=dash, linewidth=1.3)
    marks: dict[str, Any] = {"marker": marker, "color": colour, "markerfacecolor": colour if filled else "white"}
    if trials:
        panel.plot(*zip(*trials, strict=True), linestyle="", markersize=3.6, markeredgewidth=0.8, **marks)
    # One legend entry for the line and its marks.
    panel.plot([], [], linestyle=dash if law.curve else "", markersize=4, linewidth=1.3, label=label, **marks)
