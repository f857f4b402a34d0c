"""Causes as cards: name, share, verdict, the slope before, predicted and measured, evidence, what was changed, remedy."""

from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Prescription
from loopdiag.model.law import Estimate
from loopdiag.report import findings
from loopdiag.report import format as fmt
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.page_bar import percent
from loopdiag.report.page_parts import bullets


def causes(arm: ArmDiagnosis) -> Markup:
    """All causes of one arm, those that were refuted struck, at the end."""
    found = findings.standing(arm)
    if not found:
        return tag("p", "No cause was named.", class_="lead")
    if [cause.cause for cause in found] == [findings.HEALTHY]:
        return healthy(found[0])
    return tag("ol", *(card(arm, cause) for cause in found), class_="causes")


def healthy(cause: CauseFound) -> Markup:
    """The answer that nothing grows, in one line."""
    said = [cause.detail, *(f"{what}: {value}" for what, value in findings.evidence(cause))]
    return tag(
        "p", tag("b", "none", class_="law"), "; ".join(findings.capital(text.removesuffix(".")) for text in said if text), class_="healthy"
    )


def card(arm: ArmDiagnosis, cause: CauseFound) -> Markup:
    """One cause."""
    struck = cause.verdict == "REFUTED"
    name = tag("s" if struck else "b", fmt.clean(cause.cause), class_="law name")
    share = findings.share(cause)
    head = tag(
        "div",
        name,
        badge(cause),
        tag("span", tag("b", share), f" {findings.whole(cause)}", class_="share") if share else None,
        class_="head",
    )
    told = [tag("p", tag("code", findings.placed(cause)), class_="place")] if cause.place is not None else []
    told += [
        tag("p", text, class_=kind)
        for text, kind in ((cause.detail, "detail"), (cause.title, "lead"), (findings.because(cause), "because"))
        if text
    ]
    rows = [("Changed", lines(cause.changes)), ("Remedy", tag("span", findings.capital(cause.remedy)) if cause.remedy else None)]
    facts = [tag("div", tag("dt", what), tag("dd", value)) for what, value in findings.evidence(cause)]
    facts += [tag("div", tag("dt", what), tag("dd", said), class_="wide") for what, said in rows if said is not None]
    body = tag("div", *told, tag("dl", *facts) if facts else None, class_="told")
    return tag("li", head, tag("div", body, plot(findings.slopes(arm, cause)), class_="body"), class_=f"cause {kind_of(cause)}")


def kind_of(cause: CauseFound) -> str:
    """The verdict as a class of the style sheet."""
    return cause.verdict.lower().replace("_", "-")


def badge(cause: CauseFound) -> Markup:
    """The verdict, as a mark and in words."""
    mark, said = findings.VERDICTS[cause.verdict]
    return tag("span", tag("span", mark, aria_hidden="true"), f" {findings.verdict(cause)}", class_=f"badge {kind_of(cause)}", title=said)


def lines(changes: tuple[str, ...]) -> Markup | None:
    """What the intervention changed."""
    return join(tag("code", change) for change in changes) if changes else None


def plot(rows: list[tuple[str, Estimate]]) -> Markup | None:
    """The slope before, predicted and measured as dots with their intervals, on one scale that begins at 0."""
    if not rows:
        return None
    scale = max(max(number.value, number.high or 0.0) for _, number in rows) * 1.06
    shown = [row(name, number, scale) for name, number in rows] if scale > 0 else []
    return tag("figure", tag("figcaption", "Slope, ms/request"), *shown, class_="dots") if shown else None


def row(name: str, number: Estimate, scale: float) -> Markup:
    """One dot with its interval, its name and its value."""

    def place(value: float) -> str:
        return percent(min(1.0, max(0.0, value / scale)))

    marks = [tag("line", x1="0%", x2="100%", y1="9", y2="9", class_="lane")]
    if number.low is not None and number.high is not None:
        marks.append(tag("line", x1=place(number.low), x2=place(number.high), y1="9", y2="9", class_="interval"))
    marks.append(tag("circle", cx=place(number.value), cy="9", r="5"))
    drawn = tag("svg", *marks, height="18", aria_hidden="true")
    return tag("div", tag("span", name), drawn, tag("span", fmt.estimate(number), class_="number"), class_=f"row {name}")


def prescription(arm: ArmDiagnosis, found: Prescription) -> Markup:
    """The confirmed changes together: what they gain, and as a diff of the scenario."""
    diff = findings.diff_lines(found.toml_diff)
    shown = tag("pre", *(tag("span", f"{line}\n", class_=kind) for kind, line in diff), class_="diff") if diff else None
    changes = bullets(tag("code", change) for change in found.changes) if found.changes and not diff else None
    return tag("div", tag("h4", "Prescription"), tag("p", tag("b", findings.gain(arm, found))), changes, shown, class_="prescription")
