"""The waterfall of one trial for print: a row an attempt, by start; waits light and hatched, work solid."""

from typing import TYPE_CHECKING

from loopdiag.model.events import PHASES
from loopdiag.model.timeline import Attempt, Timeline
from loopdiag.report.format import clean, seconds
from loopdiag.report.palette import PHASE_COLOURS, lighten
from loopdiag.report.static_tracks import draw_curves, draw_loop

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT = 0.35  # how much white a wait's colour gets
HATCHED_ROWS = 120  # with more rows a hatch would be a smear
FINEST = 1 / 2500  # of the time axis: narrower phases are below the printer's dot

Bar = tuple[float, float, int]  # left in ms, width in ms, row


def start_ns(attempt: Attempt) -> int:
    """Where the attempt's row begins."""
    return attempt.phases[0].start_ns if attempt.phases else min(attempt.stamps.values(), default=0)


def bars(line: Timeline) -> dict[str, list[Bar]]:
    """Phase → its bars, rows by start; phases too narrow to print are left out."""
    finest = line.total_ns * FINEST
    made: dict[str, list[Bar]] = {name: [] for name in PHASES}
    for row, attempt in enumerate(sorted(line.attempts, key=start_ns)):
        for phase in attempt.phases:
            if phase.end_ns - phase.start_ns >= finest:
                made[phase.name].append((phase.start_ns / 1e6, (phase.end_ns - phase.start_ns) / 1e6, row))
    return {name: drawn for name, drawn in made.items() if drawn}


def draw_waterfall(figure: "Figure", line: Timeline) -> None:
    """Draw `line` with a legend of the phases that occur."""
    rows = len(line.attempts)
    tall = min(6.4, 1.6 + rows * 0.03)
    # The rows, the curves, and the loop's lane where it was observed, on one time axis.
    parts = [tall, 1.0, 0.55] if line.iterations else [tall, 1.0]
    figure.set_size_inches(9, sum(parts) + 1.2)
    panes = figure.subplots(len(parts), sharex=True, height_ratios=parts)
    axes = panes[0]
    draw_curves(panes[1], line)
    if line.iterations:
        draw_loop(panes[2], line, line.iterations)
    panes[-1].set_xlabel("time since the trial's first stamp, milliseconds")
    draw_rows(axes, line)
    legend(figure, bars(line), hatched=rows <= HATCHED_ROWS)


def draw_rows(axes: "Axes", line: Timeline) -> None:
    """A row an attempt, by start."""
    rows = len(line.attempts)
    axes.set_title(f"{clean(line.arm)}, N = {line.n}, {seconds(line.total_ns / 1e9)}", pad=8)
    axes.set_ylabel("requests, by start" if all(a.number == 0 for a in line.attempts) else "attempts, by start")
    axes.set_xlim(0, max(1e-6, line.total_ns / 1e6))
    axes.set_ylim(rows, 0)
    axes.set_xmargin(0)
    for name, boxes in bars(line).items():
        draw_phase(axes, name, boxes, hatched=rows <= HATCHED_ROWS)


def draw_phase(axes: "Axes", name: str, boxes: list[Bar], *, hatched: bool) -> None:
    """All bars of one phase as one collection."""
    from matplotlib.collections import PolyCollection

    gap = 0.1 if hatched else 0.0
    corners = [[(x, y + gap), (x + width, y + gap), (x + width, y + 1 - gap), (x, y + 1 - gap)] for x, width, y in boxes]
    waits = PHASES[name][0] == "wait"
    face = lighten(PHASE_COLOURS[name], LIGHT) if waits else PHASE_COLOURS[name]
    hatch = "/////" if waits and hatched else None
    axes.add_collection(
        PolyCollection(corners, facecolor=face, edgecolor=PHASE_COLOURS[name] if hatch else "none", linewidth=0, hatch=hatch)
    )


def legend(figure: "Figure", drawn: dict[str, list[Bar]], *, hatched: bool) -> None:
    """Phases in the order of a request's life, under the axes."""
    from matplotlib.patches import Patch

    hatch, waits = ("/////", "waits hatched") if hatched else (None, "waits light")
    loop = "; loop: red where one iteration ran for 10 ms or longer, ticks are collector pauses"
    patches = [
        Patch(facecolor=lighten(PHASE_COLOURS[name], LIGHT), edgecolor=PHASE_COLOURS[name], hatch=hatch, linewidth=0, label=name)
        if PHASES[name][0] == "wait"
        else Patch(facecolor=PHASE_COLOURS[name], label=name)
        for name in drawn
    ]
    if patches:
        figure.legend(
            handles=patches, loc="outside lower left", ncols=min(8, len(patches)), title=f"{waits}, work solid{loop}", alignment="left"
        )
