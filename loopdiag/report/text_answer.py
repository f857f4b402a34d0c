"""What the terminal leads with: per arm, the worst first, its sentence, the slope as a bar of characters, its causes, its prescription."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Prescription, Verdict
from loopdiag.model.document import Document
from loopdiag.report import accounts, findings
from loopdiag.report import format as fmt
from loopdiag.report.accounts import Part

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

LEAST = 3  # characters of a part of the bar
#: class or account → colour of a terminal; others have none
COLOURS = {
    "loop/tls-handshake": "magenta", "loop/tls-context": "purple", "loop/tls-record": "bright_magenta", "loop/http-parse": "blue", "loop/client-library": "yellow",
    "loop/pool": "red", "loop/task-and-callback": "bright_blue", "loop/decode-json": "green", "loop/user": "bright_yellow",
    "server": "green", "connect": "yellow", "ssl": "magenta", "receive": "blue", "unexplained": "bright_red",
}  # fmt: skip
STYLES: dict[Verdict, str] = {
    "CONFIRMED": "bold green",
    "REFUTED": "red",
    "INCONCLUSIVE": "yellow",
    "NOT_APPLICABLE": "",
    "NOT_TRIED": "dim",
}
DIFF = {"added": "green", "removed": "red", "hunk": "dim", "file": "dim", "same": ""}


def answers(document: Document, width: int) -> Iterable["RenderableType"]:
    """Every arm's answer."""
    from rich.text import Text

    if document.diagnosis.arms and not findings.examined(document):
        yield ""
        yield Text(findings.NOT_EXAMINED, style="dim")
        return
    for arm in findings.worst_first(document):
        yield ""
        yield Text.assemble((fmt.clean(arm.arm), "bold"), ": ", findings.sentence(arm))
        yield from ledger(document, arm, width)
        yield from causes(arm)
        if arm.prescription is not None:
            yield from prescription(arm, arm.prescription)


def ledger(document: Document, arm: ArmDiagnosis, width: int) -> Iterable["RenderableType"]:
    """The slope as a bar and as a sentence, or why there is none."""
    shown = accounts.parts(document, arm)
    if not shown:
        yield indented(f"No ledger: {accounts.why_none(document, arm)}.", style="dim")
        return
    made = bar(shown, width - 4)
    if made is not None:
        yield indented(made)
    yield indented(accounts.equation(document, arm))


def bar(shown: Sequence[Part], width: int) -> "Text | None":
    """One line: `=` where the loop ran, `.` where it waited, `?` unexplained; named where there is room."""
    from rich.text import Text

    grows = [p for p in shown if p.slope_ms > 0]
    whole = sum(p.slope_ms for p in grows)
    wide = [p for p in grows if p.slope_ms / whole * width >= LEAST] if whole > 0 else []
    if not wide:
        return None
    # What is too narrow for a part of its own is left to the widest ones.
    lengths = accounts.rounded([p.slope_ms / sum(one.slope_ms for one in wide) * (width - 1) for p in wide], 0)
    line = Text("|")
    for one, length in zip(wide, lengths, strict=True):
        line.append(cell(one, int(length) - 1), style=COLOURS.get(one.account, ""))
        line.append("|")
    return line


def cell(one: Part, room: int) -> str:
    """One part of the bar."""
    fill = "?" if one.group == "unexplained" else "." if accounts.waits(one.account) else "="
    name = next((text for text in (f" {one.name} {fmt.percent(one.share)} ", f" {one.name} ") if len(text) <= room - 1), "")
    return f"{fill}{name}".ljust(room, fill)[: max(0, room)]


def causes(arm: ArmDiagnosis) -> Iterable["RenderableType"]:
    """A block for each cause; those that were refuted at the end, struck."""
    found = findings.standing(arm)
    if not found:
        yield indented("No cause was named.", style="dim")
    for number, cause in enumerate(found, 1):
        if cause.cause == findings.HEALTHY:
            yield indented(f"none: {fmt.clean(cause.detail) or 'nothing that grows was found'}")
            continue
        if number == 1:
            yield ""
        yield from block(arm, cause, number)


def block(arm: ArmDiagnosis, cause: CauseFound, number: int) -> Iterable["RenderableType"]:
    """One cause: its name, share and verdict, the slopes, what was changed, the evidence, the remedy."""
    from rich.text import Text

    struck = cause.verdict == "REFUTED"
    share = findings.share(cause)
    head = Text.assemble(
        f"{number}. ",
        (findings.verdict(cause), STYLES[cause.verdict]),
        "  ",
        (findings.titled(cause), "strike" if struck else "bold"),
        (f"  {findings.placed(cause)}" if cause.place is not None else "", "cyan"),
        f"  {share} {findings.whole(cause)}" if share else "",
    )
    yield indented(head)
    said = [("", findings.slopes_line(arm, cause)), ("", findings.because(cause)), ("changed ", "; ".join(cause.changes))]
    said.append(("evidence ", "; ".join(f"{what} {figure}" for what, figure in findings.evidence(cause))))
    said.append(("remedy ", cause.remedy))
    for what, text in said:
        if text:
            yield indented(Text.assemble((what, "dim"), fmt.clean(text)), by=5)


def prescription(arm: ArmDiagnosis, found: Prescription) -> Iterable["RenderableType"]:
    """The confirmed changes together, as a diff of the scenario."""
    from rich.text import Text

    yield ""
    yield indented(Text.assemble(("Prescription: ", "bold"), findings.gain(arm, found)))
    diff = findings.diff_lines(found.toml_diff)
    if not diff:
        yield from (indented(f"- {fmt.clean(change)}", by=4) for change in found.changes)
    for kind, line in diff:
        yield indented(Text(line, style=DIFF[kind]), by=4)


def indented(said: "Text | str", *, by: int = 2, style: str = "") -> "RenderableType":
    """A paragraph under its arm."""
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(said, style=style) if isinstance(said, str) else said, (0, 0, 0, by))
