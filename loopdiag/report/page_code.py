"""The page's section on the code that grows: the place of the flame graphs, and for each arm shares, top rows, the profile and calls."""

from loopdiag.model.document import Document
from loopdiag.model.flame import Flame, Kind, TopRow
from loopdiag.model.profile import Calls
from loopdiag.report import format as fmt
from loopdiag.report import growth
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.page_flames import class_number
from loopdiag.report.page_parts import bullets, needs_script, section, table

MOST_ROWS = 12
MOST_CALLS = 10
NARROW = 0.001  # of the bar: a thinner part is left out
WIDE, THIN = 1000, 330  # pixels of the bar
LETTER = 7.0  # pixels of a letter in it, on the safe side
LEAD = (
    "What grows with N: each frame is as wide as the CPU time a request that it adds, callers above what they call. "
    "Frames that grow faster than N are hatched and say their power of N."
)
KEYS = (
    "Click or Enter shows a frame and what it calls, a click on a caller goes back up, Escape shows all. Arrows go from frame to frame, / searches, "
    "+ − or Ctrl-wheel (plain wheel once clicked) zoom, a drag pans."
)
KINDS: tuple[tuple[Kind, str, str], ...] = (
    ("slope", "What grows", LEAD),
    ("trial", "One trial", "One trial: each frame is as wide as the CPU time that it took, callers above what they call."),
    ("time", "Over time", "One trial as it ran, from left to right, callers above what they call."),
    (
        "difference",
        "Difference",
        "What a request costs more (+) or less (−) on the other side; each frame is as wide as all that changed in it and below.",
    ),
)
CALLS = (
    "Counted by yappi in trials of their own. It slows every call, by very different factors: its times are distorted, and none is shown."
)


def code(document: Document) -> Markup:
    """The section; one line that says why where no flame graph was made."""
    if not any(growth.of_kind(document, kind) for kind, _, _ in KINDS):
        counted = [calls(document, arm) for arm in document.calls]
        return section("code", "Which code grows", tag("p", growth.why_not(document)), *counted)
    arms = dict.fromkeys((*growth.main_flames(document), *document.top, *document.calls))
    return section(
        "code",
        "Which code grows",
        tag("p", LEAD, class_="lead", id="flame-lead"),
        *drawing(document),
        *(arm_part(document, arm) for arm in arms),
    )


def drawing(document: Document) -> tuple[Markup, ...]:
    """The place of the flame graph with its switches."""
    kinds = [
        tag("button", name, type="button", title=said, data_flame=kind, aria_pressed="false", disabled=not growth.of_kind(document, kind))
        for kind, name, said in KINDS
    ]
    picks = (("flame-arm", "Arm"), ("flame-pick", "Graph"))
    choices = tag("div", *(tag("label", name, tag("select", id=key)) for key, name in picks), class_="picks")
    search = tag(
        "div",
        tag("input", id="flame-search", type="search", placeholder="Search functions and files", aria_label="Search the flame graph"),
        tag("button", "Reset", id="flame-reset", type="button", title="Show the whole graph"),
        class_="search",
    )
    switch = tag("div", *kinds, class_="switch", role="group", aria_label="Kind of flame graph")
    canvas = tag("canvas", id="flame", tabindex="0", role="application", aria_label="Flame graph", aria_describedby="flame-keys flame-said")
    cursor = tag("div", tag("span"), id="flame-cursor", class_="cursor", hidden=True)
    frame = tag("div", canvas, cursor, tag("div", id="flame-tip", class_="tip", hidden=True), class_="frame", id="flame-frame")
    return (
        tag("div", switch, class_="controls"),
        tag("div", choices, search, class_="controls"),
        tag("p", id="flame-said", aria_live="polite"),
        tag("nav", id="flame-path", aria_label="Path to the shown frame"),
        frame,
        tag("p", KEYS, id="flame-keys", class_="hint"),
        tag("div", id="flame-legend", class_="legend"),
        tag("p", class_="unseen", id="flame-spoken", aria_live="polite"),
        needs_script(),
    )


def arm_part(document: Document, arm: str) -> Markup:
    """What is known of one arm's code; the script shows the part of the arm that is drawn."""
    flame = growth.main_flames(document).get(arm)
    parts: list[Markup | None] = [tag("h3", fmt.clean(arm))]
    if flame is not None:
        parts += [tag("p", growth.sentence(flame), class_="shares"), bar(flame)]
    if document.top.get(arm):
        parts.append(top_table(document.top[arm]))
    parts.append(calls(document, arm))
    if flame is not None:
        parts += [tag("h4", "How this was profiled"), bullets((f"{name}: {said}" for name, said in growth.facts(document, flame)), "notes")]
    return tag("div", join(parts), class_="arm-code", data_arm=fmt.clean(arm))


def bar(flame: Flame) -> Markup | None:
    """The classes' shares as one stacked bar, the largest first, named where there is room; what shrinks with N has no place in it."""
    sums = {name: value for name, value in growth.class_sums(flame).items() if value > 0}
    total, at, parts = sum(sums.values()), 0.0, []
    for name, value in sums.items():
        share = value / total
        if share >= NARROW:
            parts.append(part(name, value * growth.factor(flame), share, at))
        at += share
    return tag("svg", *parts, class_="shares", role="img", aria_label=growth.sentence(flame)) if parts else None


def part(name: str, seconds: float, share: float, at: float) -> Markup:
    """One part of the bar, with what fits into it on a wide and on a narrow screen."""
    box = tag("rect", class_=f"code-{class_number(name)}", width="100%", height="100%")
    told = tag("title", f"{name}: {fmt.seconds(seconds)}, {fmt.percent(share)}; {growth.meaning(name)}")
    wide, narrow = (fitting(name, share, width * share) for width in (WIDE, THIN))
    texts = [tag("text", wide, x="6", y="20", class_="wide")] if wide else []
    texts += [tag("text", narrow, x="6", y="20", class_="narrow")] if narrow else []
    size = {"x": f"{at * 100:.3f}%", "width": f"{max(0.05, share * 100 - 0.1):.3f}%", "height": "30"}
    return tag("svg", told, box, *texts, class_=f"code-{class_number(name)}", **size)


def fitting(name: str, share: float, room: float) -> str:
    """Name and share, the name, or nothing."""
    texts = (f"{name} {fmt.percent(share)}", name)
    return next((text for text in texts if len(text) * LETTER + 10 <= room), "")


def swatch(name: str) -> Markup:
    """The class's colour."""
    box = tag("rect", class_=f"code-{class_number(name)}", width="11", height="11", rx="2")
    return tag("svg", box, class_="swatch", width="11", height="11", aria_hidden="true")


def top_table(rows: tuple[TopRow, ...]) -> Markup:
    """The functions that grow most."""
    heads = ("Function", "Class", "Own, µs/request", "With what it calls", "Grows as")
    cells = [
        (
            join((tag("span", growth.one_line(row.function), class_="law"), tag("small", growth.place(row.file)))),
            join((swatch(row.code), fmt.clean(row.code))),
            fmt.between(row.self_us, row.self_low, row.self_high),
            fmt.significant(row.total_us),
            tag("b", growth.exponent(row.exponent)) if row.exponent is not None else fmt.DASH,
        )
        for row in rows[:MOST_ROWS]
    ]
    return table(heads, cells, kind="stack code", numbers=3, caption="The functions whose CPU time grows most with N")


def calls(document: Document, arm: str) -> Markup | None:
    """Calls a request of the functions that were called most."""
    rows: list[Calls] = growth.most_called(document, arm, MOST_CALLS)
    if not rows:
        return None
    n = growth.calls_n(document, arm)
    cells = [
        (
            join((tag("span", growth.one_line(row.function), class_="law"), tag("small", growth.place(row.file, row.line)))),
            fmt.significant(row.calls / n) if n else str(row.calls),
        )
        for row in rows
    ]
    made = table(
        ("Function", "Calls a request" if n else "Calls"), cells, kind="short", numbers=1, caption="How often functions are called"
    )
    told = tag("p", f"{CALLS} N = {n}." if n else CALLS, class_="lead")
    return join((tag("h4", "Calls per request"), told, made))
