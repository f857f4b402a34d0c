"""Figures for print and the web by matplotlib: T(N) with its laws, the ledgers, a waterfall and a flame graph of each arm; SVG and PNG, the same bytes each time."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from loopdiag.model.diagnosis import ArmDiagnosis
from loopdiag.model.document import Document
from loopdiag.model.flame import Flame
from loopdiag.model.timeline import Timeline
from loopdiag.report.content import largest
from loopdiag.report.format import clean
from loopdiag.report.growth import main_flames
from loopdiag.report.naming import named
from loopdiag.report.reference import Beside, beside
from loopdiag.report.static_flame import draw_flame
from loopdiag.report.static_ladder import Steps, draw_ladders
from loopdiag.report.static_laws import draw_arm
from loopdiag.report.static_ledger import Bars, draw_ledger, ledger_bars
from loopdiag.report.static_reference import draw_reference
from loopdiag.report.static_waterfall import draw_waterfall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Subject = tuple[ArmDiagnosis, ...] | Beside | Steps | Bars | Timeline | Flame

LONGEST = 50  # letters of an arm in a file's name
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
    return picture(named(document).diagnosis.arms, "svg").decode()


def write_figures(document: Document, folder: Path) -> list[Path]:
    """Write the scaling plot, what was published beside it, the ledgers, each arm's largest waterfall and its flame graph into `folder`, as SVG and PNG.

    Returns:
        The files, in the order in which they were written; what the document does not hold is not drawn.

    Raises:
        OSError: `folder` cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = named(document)
    drawn: list[tuple[str, Subject]] = [("scaling", document.diagnosis.arms)]
    published, bars = beside(document), ledger_bars(document)
    drawn += [("reference", published)] if published else []
    climbed = tuple(ladder for ladder in document.diagnosis.ladders if ladder.rungs)
    drawn += [("ladder", Steps(ladders=climbed))] if climbed else []
    drawn += [("ledger", bars)] if bars.rows else []
    drawn += [(f"waterfall-{file_name(line.arm)}", line) for line in largest(document)]
    drawn += [(f"flame-{file_name(arm)}", flame) for arm, flame in main_flames(document).items()]
    written = []
    for name, (_, subject) in zip(apart([name for name, _ in drawn]), drawn, strict=True):
        for kind in ("svg", "png"):
            path = folder / f"{name}.{kind}"
            path.write_bytes(picture(subject, kind))
            written.append(path)
    return written


def file_name(arm: str) -> str:
    """`aiohttp/uvloop` → `aiohttp-uvloop`; nothing but letters, digits, dot, dash and underscore is left, and no more of it than a file's name may hold."""
    return "".join(c if c.isalnum() or c in "._" else "-" for c in clean(arm))[:LONGEST]


def apart(names: Iterable[str]) -> list[str]:
    """The names, with a number behind one that occurred before: `a/b` and `a-b` may be two arms."""
    made: list[str] = []
    for name in names:
        free, count = name, 1
        while free in made:
            count += 1
            free = f"{name}-{count}"
        made.append(free)
    return made


def picture(subject: Subject, kind: str) -> bytes:
    """One figure as a file: a waterfall, a flame graph, ledgers, published panels, or the arms' scaling plot; no date, no version, so that it is reproducible."""
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
        elif isinstance(subject, Beside):
            draw_reference(figure, subject)
        elif isinstance(subject, Steps):
            draw_ladders(figure, subject)
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
