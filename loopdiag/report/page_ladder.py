"""The report's section on ladders: what each layer adds."""

from loopdiag.model.diagnosis import LadderFound
from loopdiag.model.document import Document
from loopdiag.report import rungs
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.page_parts import bullets, section, table

LEAD = (
    "Each rung does the same requests with one layer more than the rung below it. A step is the difference of two slopes over the same N; "
    "intervals are 95 %."
)


def ladder(document: Document) -> Markup | None:
    """The ladders, or None where the scenario asks for none."""
    found = document.diagnosis.ladders
    return section("ladder", "What each layer adds", *map(one, found), lead=LEAD) if found else None


def one(found: LadderFound) -> Markup:
    """One ladder as a table."""
    made = table(rungs.HEADS, rungs.rows(found), kind="stack", numbers=3, caption=f"Slope and step of each rung on {found.loop}")
    return join((tag("h3", rungs.title(found)), made if found.rungs else None, bullets(rungs.notes(found), "notes")))
