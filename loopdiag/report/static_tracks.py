"""What lies under the printed waterfall on its time axis: requests in flight, the pool's queue, the loop's busy share, long iterations, pauses."""

from typing import TYPE_CHECKING

from loopdiag.model.timeline import Iterations, Timeline
from loopdiag.report.palette import PHASE_COLOURS, lighten
from loopdiag.report.steps import Interval, busy, in_flight, in_queue, open_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOOP, LONG, PAUSE = "#0b5cad", "#b3261e", "#22262b"
LONG_NS = 10_000_000  # a printed block of its own
BINS = 500  # of the loop's lane


def draw_curves(axes: "Axes", line: Timeline) -> None:
    """Requests in flight and in the pool's queue as step areas, each with its maximum in the legend."""
    for spans, phase, name in ((in_queue(line), "pool", "waiting in the pool"), (in_flight(line), "wait", "in flight")):
        draw_steps(axes, spans, phase, name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("requests")
    axes.legend(loc="upper right", fontsize=8, handlelength=1.5)


def draw_steps(axes: "Axes", spans: list[Interval], phase: str, name: str) -> None:
    """One curve."""
    steps = open_count(spans)
    times, counts = [at / 1e6 for at, _ in steps], [count for _, count in steps]
    colour = PHASE_COLOURS[phase]
    label = f"{name}: at most {max(counts, default=0)}"
    axes.fill_between(times, counts, step="post", facecolor=lighten(colour, 0.35), edgecolor=colour, linewidth=0.6, alpha=0.8, label=label)


def draw_loop(axes: "Axes", line: Timeline, loop: Iterations) -> None:
    """The share of time in which the loop ran, iterations of 10 ms or longer as blocks, the collector's pauses as ticks under them."""
    shares = busy(loop, line.total_ns, BINS)
    edges = [line.total_ns / 1e6 * k / BINS for k in range(BINS + 1)]
    if shares:
        axes.stairs([share / 100 for share in shares], edges, fill=True, color=LOOP)
    rows = zip(loop.start_ns, loop.poll_ns, loop.run_ns, strict=True)
    long = [((at + poll) / 1e6, run / 1e6) for at, poll, run in rows if run >= LONG_NS]
    axes.broken_barh(long, (0, 1), facecolor=LONG)
    axes.broken_barh([(pause.start_ns / 1e6, pause.length_ns / 1e6) for pause in line.pauses], (-0.35, 0.2), color=PAUSE)
    axes.set_ylim(-0.4 if line.pauses else 0, 1)
    axes.set_yticks([0, 1], ["0", "100 %"])
    axes.set_ylabel("loop ran")
