"""A comparison of two runs as plain text, readable at 80 columns, in a pipe, and in a terminal with colours."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from loopdiag.model.comparison import Comparison
from loopdiag.model.diagnosis import Diagnosis
from loopdiag.report import comparing
from loopdiag.report.findings import capital
from loopdiag.report.naming import relabelled
from loopdiag.report.text_answer import indented

if TYPE_CHECKING:
    from rich.console import RenderableType

SIGNS = {"": "", "account": "account ", "came": "came ", "went": "went "}


def compared(comparison: Comparison) -> Iterable["RenderableType"]:
    """The comparison from top to bottom."""
    from rich.text import Text

    yield Text(capital(comparing.title(comparison)), style="bold")
    for arm in comparison.arms:
        yield ""
        yield Text.assemble((f"{comparing.name(arm)}: ", "bold"), comparing.slopes(arm))
        yield indented(Text(comparing.verdict(arm), style=comparing.STYLES[arm.change]))
        for what, text in comparing.details(arm):
            yield indented(Text.assemble((SIGNS[what], "dim"), text))
    yield ""
    yield from (Text(note, style="dim") for note in comparing.notes(comparison))


def render_comparison(diagnosis: Diagnosis, *, width: int = 80, colour: bool = False) -> str:
    """The comparison that a diagnosis holds, for a terminal of `width` columns; nothing where it holds none."""
    from loopdiag.report.text import printed

    comparison = relabelled(diagnosis).comparison
    return "" if comparison is None else printed(compared(comparison), width=width, colour=colour)
