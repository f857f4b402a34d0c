"""Ladders as plain text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from loopdiag.model.document import Document
from loopdiag.report import rungs

if TYPE_CHECKING:
    from rich.console import RenderableType


def climbed(document: Document) -> Iterable["RenderableType"]:
    """Each ladder: its rungs in columns, and what they add up to; nothing where the scenario asks for none."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for ladder in document.diagnosis.ladders:
        yield ""
        yield Text(f"What each layer adds on {rungs.title(ladder)}", style="bold")
        if ladder.rungs:
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
            table.add_column("rung", overflow="fold")
            for head in ("slope, ms/request", "adds", "share"):
                table.add_column(head, justify="right")
            for row in rungs.rows(ladder):
                table.add_row(*map(Text, row))
            yield Padding(table, (0, 0, 0, 2))
        yield from (Padding(Text(note, style="dim"), (0, 0, 0, 2)) for note in rungs.notes(ladder))
