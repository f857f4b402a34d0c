"""Published measurements for print, as they were drawn: a panel a figure, and this run's arms in it."""

from typing import TYPE_CHECKING, Any

from loopdiag.model.diagnosis import ArmDiagnosis
from loopdiag.report.reference import Beside, Drawn, called
from loopdiag.report.static_laws import draw_arm, rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED = "#8b9199"
KEY_LINE, KEY_EDGE = 0.056, 0.05  # of the panel: one line of the key, which stands over the highest trial


def draw_reference(figure: "Figure", subject: Beside) -> None:
    """Two panels a row, each with axes of its own: the totals differ a hundredfold."""
    rows = -(-len(subject.panels) // 2)
    figure.set_size_inches(9, 3.4 * rows)
    places = list(figure.subplots(rows, 2, squeeze=False).flat)
    for panel, one in zip(places, subject.panels, strict=False):
        draw_panel(panel, one, subject.arms)
    for unused in places[len(subject.panels) :]:
        unused.set_axis_off()


def draw_panel(panel: "Axes", one: Drawn, arms: tuple[ArmDiagnosis, ...]) -> None:
    """What was published in grey, this run in the arms' colours."""
    panel.set_title(f"{one.panel.title}: {one.panel.says}", pad=8)
    panel.set_xlabel("N, requests")
    panel.set_ylabel("T, seconds")
    panel.grid(visible=True, linewidth=0.4, color="#e2e2e2")
    panel.set_axisbelow(True)
    for k, series in enumerate(one.panel.series):
        n, seconds = zip(*series.points, strict=True)
        marks: dict[str, Any] = {"marker": "o", "color": PUBLISHED, "markerfacecolor": "white" if k else PUBLISHED}
        panel.plot(n, seconds, linestyle="", markersize=2.6, markeredgewidth=0.7, **marks)
        panel.plot((n[0], n[-1]), (series.at(n[0]), series.at(n[-1])), color=PUBLISHED, linewidth=1.0)
        panel.plot([], [], linewidth=1.0, markersize=3.2, label=called(series), **marks)
    for arm in one.arms:
        draw_arm(panel, arms, arm, rate)
    panel.set_xlim(left=0)
    lines = len(panel.get_legend_handles_labels()[0])
    panel.set_ylim(0, panel.dataLim.y1 / (1 - KEY_EDGE - KEY_LINE * lines))
    panel.legend(loc="upper left", handlelength=3, fontsize=7.5)
