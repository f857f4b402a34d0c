"""The answer as plain text: readable at 80 columns, in a pipe, and in a terminal with colours."""

from collections.abc import Iterable
from io import StringIO
from typing import TYPE_CHECKING

from loopdiag.model.document import Document
from loopdiag.report import content, programs
from loopdiag.report.format import clean
from loopdiag.report.growth import main_flames, sentence, top_lines
from loopdiag.report.naming import named
from loopdiag.report.text_answer import answers
from loopdiag.report.text_compare import compared
from loopdiag.report.text_ladder import climbed

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 80
NARROW = 76  # below it the table's numbers would be cut: each arm becomes a line of text
MOST_ROWS = 5  # of the code that grows
NUMBERS = ("slope\nms/request", "exponent", "errors", "conn.\n/req.", "server\nused")


def render(document: Document) -> str:
    """The report as plain text of 80 columns, without colours."""
    return render_terminal(document, width=WIDTH, colour=False)


def render_terminal(document: Document, *, width: int, colour: bool) -> str:
    """The report for a terminal of `width` columns."""
    return printed(parts(document, width), width=width, colour=colour)


def printed(shown: Iterable["RenderableType"], *, width: int, colour: bool) -> str:
    """Parts as text for a terminal of `width` columns."""
    from rich.console import Console

    out = StringIO()
    # Neither markup nor highlighting: names and messages are shown as they are, never read.
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        markup=False,
        highlight=False,
        emoji=False,
    )
    for part in shown:
        console.print(part)
    return out.getvalue() if colour else "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def parts(document: Document, width: int) -> Iterable["RenderableType"]:
    """The report from top to bottom."""
    from rich.text import Text

    document = named(document)
    yield Text(content.answer(document), style="bold")
    if run := " · ".join(filter(None, (programs.command(document), programs.seen(document)))):
        yield Text(run, style="dim")
    if said := content.partial(document):
        yield ""
        yield Text(said, style="yellow")
    yield from answers(document, width)
    if document.diagnosis.arms:
        yield ""
        yield from [arms_table(document)] if width >= NARROW else arm_lines(document)
        yield Text(f"{programs.timed(document)} Intervals: 95 %.", style="dim")
    yield from listing("", content.arm_notes(document))
    yield from listing("", (f"{what}: {found}" for what, found in content.own_environments(document)))
    if document.diagnosis.comparison is not None:
        yield ""
        yield from compared(document.diagnosis.comparison)
    yield from climbed(document)
    yield from listing(content.LOOPS, content.loop_lines(document))
    yield from grown(document, width)
    yield from listing("Not measured", (f"{what}: {why}" for what, why in content.not_measured(document)))
    yield from listing("Trials that failed", (f"{what}: {why}" for what, why in content.failed_trials(document)))
    yield from listing("Warnings", content.warnings(document), style="yellow")
    yield from listing("Rows lost", content.lost(document))
    yield ""
    yield Text(content.overhead_line(document), style="dim")
    if seen := content.witness_line(document):
        yield Text(seen, style="dim")


def grown(document: Document, width: int) -> Iterable["RenderableType"]:
    """Of each arm the code whose CPU grows most."""
    flames = main_flames(document)
    for arm, lines in top_lines(document, MOST_ROWS, width - 2).items():
        said = [sentence(flames[arm])] if arm in flames else []
        yield from listing(f"{clean(arm)}: code that grows most, µs of CPU a request (own), power of N", [*lines, *said])


def arms_table(document: Document) -> "RenderableType":
    """One line an arm, without rules: it survives every character set."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    rows = content.arm_rows(document)
    # The arm gives way last: up to a quarter of the line it is never folded.
    table.add_column(
        "program" if programs.is_program(document) else "arm", overflow="fold", min_width=min(WIDTH // 4, max(len(row.arm) for row in rows))
    )
    table.add_column("law of T(N)", overflow="fold")
    heads = NUMBERS[:-1] if programs.is_program(document) else NUMBERS  # nobody sees into a user's server
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        numbers = (row.slope, row.exponent, row.errors, row.connections, row.utilisation)[: len(heads)]
        # A lopsided interval takes a line of its own, so that 80 columns hold two of them.
        table.add_row(plain(row.arm), plain(row.law), *(plain(number.replace(" [", "\n[")) for number in numbers))
    return table


def arm_lines(document: Document) -> Iterable["RenderableType"]:
    """The table of arms as text, for a narrow terminal."""
    for row in content.arm_rows(document):
        facts = (f"{row.slope} ms/request", f"exponent {row.exponent}", f"{row.errors} errors", f"{row.connections} connections/request")
        used = "" if programs.is_program(document) else f"; server used {row.utilisation}"
        yield plain(f"{row.arm}: {row.law}; {'; '.join(facts)}{used}")


def plain(cell: str) -> "RenderableType":
    """A cell that rich shows as it is."""
    from rich.text import Text

    return Text(cell)


def listing(title: str, lines: Iterable[str], style: str = "") -> Iterable["RenderableType"]:
    """A titled list, its lines indented under their first word; nothing where there are no lines."""
    from rich.padding import Padding
    from rich.text import Text

    shown = list(lines)
    if not shown:
        return
    yield ""
    if title:
        yield Text(title, style=f"bold {style}".strip())
    for line in shown:
        yield Padding(Text(line), (0, 0, 0, 2))
