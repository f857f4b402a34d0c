"""Figures for print and the web by matplotlib: T(N) with its laws, the ledgers, a waterfall and a flame graph of each arm; SVG and PNG, the same bytes each time."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from loopdiag.model.diagnosis import ArmDiagnosis, Point
from loopdiag.model.document import Document
from loopdiag.model.flame import Flame
from loopdiag.model.law import Law
from loopdiag.model.timeline import Timeline
from loopdiag.report.content import largest
from loopdiag.report.format import clean, law_form
from loopdiag.report.growth import main_flames
from loopdiag.report.palette import CLIENT_HUES, LOOP_STYLES, client_index, loop_index
from loopdiag.report.static_flame import draw_flame
from loopdiag.report.static_ledger import Bars, draw_ledger, ledger_bars
from loopdiag.report.static_waterfall import draw_waterfall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Subject = tuple[ArmDiagnosis, ...] | Bars | Timeline | Flame

PRESCRIBED_DASH = (0, (9, 3.5))
WIDE = 2000  # ratio of the ends of a logarithmic axis from which only powers of ten are labelled

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.7,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelcolor": "#333333",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "text.parse_math": False,  # names are shown, not typeset
    "hatch.linewidth": 0.5,
    "svg.hashsalt": "loopdiag",
    "svg.fonttype": "path",
}


def render(document: Document) -> str:
    """The scaling plot as SVG."""
    return picture(document.diagnosis.arms, "svg").decode()


def write_figures(document: Document, folder: Path) -> list[Path]:
    """Write the scaling plot, the ledgers, the waterfall of each arm's largest timeline and its slope flame graph into `folder`, each as SVG and PNG.

    Returns:
        The files, in the order in which they were written; what the document does not hold is not drawn.

    Raises:
        OSError: `folder` cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[tuple[str, Subject]] = [("scaling", document.diagnosis.arms)]
    bars = ledger_bars(document)
    drawn += [("ledger", bars)] if bars.rows else []
    drawn += [(f"waterfall-{file_name(line.arm)}", line) for line in largest(document)]
    drawn += [(f"flame-{file_name(arm)}", flame) for arm, flame in main_flames(document).items()]
    written = []
    for name, subject in drawn:
        for kind in ("svg", "png"):
            path = folder / f"{name}.{kind}"
            path.write_bytes(picture(subject, kind))
            written.append(path)
    return written


def file_name(arm: str) -> str:
    """`aiohttp/uvloop` → `aiohttp-uvloop`; nothing but letters, digits, dot, dash and underscore is left."""
    return "".join(c if c.isalnum() or c in "._" else "-" for c in clean(arm))


def picture(subject: Subject, kind: str) -> bytes:
    """One figure as a file: a waterfall, a flame graph, or the arms' scaling plot; no date, no version, so that it is reproducible."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    out = BytesIO()
    with mpl.rc_context(cast("Any", STYLE)):
        figure = Figure(layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        if isinstance(subject, Timeline):
            draw_waterfall(figure, subject)
        elif isinstance(subject, Flame):
            draw_flame(figure, subject)
        elif isinstance(subject, Bars):
            draw_ledger(figure, subject)
        else:
            draw_scaling(figure, subject)
        figure.savefig(out, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return out.getvalue()


def draw_scaling(figure: "Figure", arms: tuple[ArmDiagnosis, ...]) -> None:
    """Linear and log-log panels side by side: bare trials, fitted curve, band."""
    figure.set_size_inches(9, 4)
    panels = figure.subplots(1, 2)
    for panel, scale in zip(panels, ("linear", "log"), strict=True):
        panel.set_title("Total time of N requests" if scale == "linear" else "The same, both axes logarithmic", pad=10)
        panel.set_xlabel("N, requests")
        panel.set_ylabel("T, seconds")
        panel.grid(visible=True, linewidth=0.4, color="#e2e2e2")
        panel.set_axisbelow(True)
        for arm in arms:
            draw_arm(panel, arms, arm)
    if any(arm.points for arm in arms):
        log_axes(panels[1], arms)
        panels[0].set_xlim(left=0)
        panels[0].set_ylim(bottom=0)
        draw_key(figure, panels[0], arms)
    else:
        for panel in panels:
            panel.text(0.5, 0.5, "nothing measured", ha="center", va="center", transform=panel.transAxes, color="#777777")


def draw_key(figure: "Figure", panel: "Axes", arms: tuple[ArmDiagnosis, ...]) -> None:
    """Arms and laws: in the panel's empty corner, or below it where prescriptions make them too many for it."""
    if any(arm.prescription is not None and arm.prescription.points for arm in arms):
        figure.legend(*panel.get_legend_handles_labels(), loc="outside lower left", ncols=2, handlelength=4.5)
    else:
        panel.legend(loc="upper left", handlelength=3)


def draw_arm(panel: "Axes", arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> None:
    """One arm, and its prescription where it was measured: hue by client, dash and marker by loop, long dashes and diamonds for the prescription."""
    colour = CLIENT_HUES[client_index(arms, arm)][0]
    _, filled, dash, marker = LOOP_STYLES[loop_index(arms, arm)]
    draw_law(panel, clean(arm.arm), arm.law, arm.points, (colour, filled, dash, marker))
    found = arm.prescription
    if found is not None and found.points:
        law = found.law or Law(form="")
        draw_law(panel, f"{clean(arm.arm)}, prescribed", law, found.points, (colour, filled, PRESCRIBED_DASH, "D"))


def draw_law(panel: "Axes", name: str, law: Law, points: tuple[Point, ...], look: tuple[str, bool, Any, str]) -> None:
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
    label = f"{name}   {clean(law_form(law))}"
    panel.plot([], [], linestyle=dash if law.curve else "", markersize=4, linewidth=1.3, label=label, **marks)


def log_axes(panel: "Axes", arms: tuple[ArmDiagnosis, ...]) -> None:
    """Logarithmic axes with the measured N as ticks, thinned where they would touch."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    panel.set_xscale("log")
    panel.set_yscale("log")
    ticks: list[int] = []
    for n in sorted({point.n for arm in arms for point in arm.points}):
        if not ticks or n >= ticks[-1] * 1.3:
            ticks.append(n)
    panel.set_xticks(ticks, [str(n) for n in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
    low, high = panel.get_ylim()
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < WIDE else (1.0,)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
