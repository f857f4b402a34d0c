"""The ledgers for print: each arm's slope as a stacked bar, the client's accounts solid, waits hatched, with the interval of the whole."""

from typing import TYPE_CHECKING

from loopdiag.model.diagnosis import ArmDiagnosis
from loopdiag.model.document import Document
from loopdiag.model.value import Value
from loopdiag.report import accounts, findings
from loopdiag.report import format as fmt
from loopdiag.report.account_style import account_colours
from loopdiag.report.accounts import Part
from loopdiag.report.palette import lighten, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT = 0.62  # how much white a wait's colour gets
LEGIBLE = 0.03  # of the bar, from which an account is told by its share
LETTER = 0.0125  # of the bar


class Bars(Value, frozen=True, kw_only=True):
    """What is drawn: the arms that have a ledger, the worst first."""

    rows: tuple[tuple[ArmDiagnosis, tuple[Part, ...]], ...]


def ledger_bars(document: Document) -> Bars:
    """The arms with their accounts that grow."""
    made = ((arm, tuple(p for p in accounts.parts(document, arm) if p.slope_ms > 0)) for arm in findings.worst_first(document))
    return Bars(rows=tuple((arm, shown) for arm, shown in made if shown))


def draw_ledger(figure: "Figure", bars: Bars) -> None:
    """A panel an arm, each with its own scale: slopes of arms may differ a hundredfold."""
    figure.set_size_inches(9, 1.3 + 0.95 * len(bars.rows))
    panels = figure.subplots(len(bars.rows), 1, squeeze=False)[:, 0]
    for panel, (arm, shown) in zip(panels, bars.rows, strict=True):
        draw_row(panel, arm, shown)
    panels[-1].set_xlabel("slope, ms per request")
    used = [p for _, shown in bars.rows for p in shown if (p.share or 0) >= 0.005]
    legend(figure, list(dict.fromkeys(p.account for p in sorted(used, key=lambda p: (p.group == "unexplained", p.group == "outside")))))


def draw_row(panel: "Axes", arm: ArmDiagnosis, shown: tuple[Part, ...]) -> None:
    """One arm."""
    whole, at = sum(p.slope_ms for p in shown), 0.0
    for one in shown:
        colour, waits = account_colours(one.account)[0], accounts.waits(one.account)
        face = lighten(colour, LIGHT) if waits else colour
        panel.barh(
            0,
            one.slope_ms,
            left=at,
            height=0.8,
            color=face,
            edgecolor=colour if waits else "white",
            linewidth=0.4,
            hatch="////" if waits else None,
        )
        text = fitting(one, one.slope_ms / whole)
        if text:
            plate = {"facecolor": face, "edgecolor": "none", "pad": 1.0} if waits else None
            panel.text(at + whole * 0.005, 0, text, fontsize=7.2, va="center", color=text_on(face), bbox=plate, clip_on=True)
        at += one.slope_ms
    slope = arm.slope_ms
    if slope is not None and slope.low is not None and slope.high is not None:
        panel.errorbar(
            slope.value,
            -0.62,
            xerr=[[max(0.0, slope.value - slope.low)], [max(0.0, slope.high - slope.value)]],
            color="#222222",
            capsize=2,
            linewidth=1.1,
            markersize=0,
        )
    panel.set_title(f"{fmt.clean(arm.arm)}: {fmt.estimate(slope)} ms per request", pad=3)
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    panel.set_ylim(-0.85, 0.5)
    panel.set_xlim(left=0)


def fitting(one: Part, share: float) -> str:
    """Name and share, the share, or nothing."""
    texts = (f"{one.name} {fmt.percent(one.share)}", fmt.percent(one.share))
    return next((text for text in texts if share >= LEGIBLE and len(text) * LETTER <= share), "")


def legend(figure: "Figure", used: list[str]) -> None:
    """Accounts by colour."""
    from matplotlib.patches import Patch

    patches = []
    for account in used:
        colour = account_colours(account)[0]
        if accounts.waits(account):
            patches.append(
                Patch(facecolor=lighten(colour, LIGHT), edgecolor=colour, hatch="////", linewidth=0, label=accounts.name_of(account))
            )
        else:
            patches.append(Patch(facecolor=colour, label=accounts.name_of(account)))
    figure.legend(
        handles=patches,
        loc="outside lower left",
        ncols=min(6, max(1, len(patches))),
        title="the client's code solid, waits hatched",
        alignment="left",
        fontsize=8,
    )
