"""The report's section that puts the run beside an earlier one."""

from loopdiag.model.document import Document
from loopdiag.report import comparing
from loopdiag.report import format as fmt
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.page_parts import bullets, section, table

HEADS = ("Arm", "Verdict", "Before, ms/request", "Now, ms/request", "Ratio")
COLOURS = {"slower": "alert"}


def comparison(document: Document) -> Markup | None:
    """The comparison, or None where there is none."""
    made = document.diagnosis.comparison
    if made is None:
        return None
    rows = [
        (
            comparing.name(arm),
            tag("span", comparing.verdict(arm), class_=COLOURS.get(arm.change)),
            fmt.estimate(arm.before_ms),
            fmt.estimate(arm.after_ms),
            comparing.ratio(arm),
        )
        for arm in made.arms
    ]
    shown = (
        table(HEADS, rows, kind="stack", numbers=3, caption="Each arm's slope in both runs")
        if rows
        else tag("p", "No arm is in both runs.")
    )
    more = [
        join((tag("h3", comparing.name(arm)), bullets(f"{what}: {text}" if what else text for what, text in comparing.details(arm))))
        for arm in made.arms
    ]
    lead = f"This run {comparing.title(made)}. Intervals are 95 %."
    return section("comparison", "Compared with an earlier run", shown, *more, bullets(comparing.notes(made), "notes"), lead=lead)
