"""The page's section on published measurements: the figures as they were drawn, with the run's own trials in them, and their slopes."""

from loopdiag.model.diagnosis import ArmDiagnosis, Point
from loopdiag.model.document import Document
from loopdiag.model.law import Law
from loopdiag.report import format as fmt
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.page_parts import section
from loopdiag.report.palette import LOOP_STYLES, client_index, loop_index
from loopdiag.report.reference import Beside, Drawn, beside, called
from loopdiag.report.ticks import nice_ticks

WIDE, HIGH = 520, 320  # of a panel, in units of its own
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 24, 40
PRESCRIBED = "13 5"
LEAD = (
    "Grey: what was published, a run each, with the straight line that strays do not move; rings are its second series. In colour: this run, against its own server. "
    "Each panel has axes of its own."
)


def posted(document: Document) -> Markup | None:
    """The section; nothing where the scenario names no published table."""
    found = beside(document)
    if found is None:
        return None
    figures = (tag("figure", drawing(one, found), tag("figcaption", caption(one), key(one, found.arms))) for one in found.panels)
    return section("reference", "As the post drew it", tag("div", *figures, class_="plot panels"), lead=LEAD)


def caption(one: Drawn) -> str:
    """The panel's title, and whether the run has its program at all."""
    return f"{one.panel.title}: {one.panel.says}" + ("" if one.arms else "; not in this run")


def key(one: Drawn, arms: tuple[ArmDiagnosis, ...]) -> Markup:
    """What the panel's marks and lines are, with their slopes."""
    rows = [tag("span", sample("dot" if k else "dot filled"), called(each), class_="published") for k, each in enumerate(one.panel.series)]
    for arm in one.arms:
        hue, (dash, style) = f"arm-{client_index(arms, arm)}", look(arms, arm)
        rows.append(tag("span", sample(style, dash), told(arm), class_=hue))
        if prescribed(arm):
            rows.append(tag("span", sample(style, PRESCRIBED), told(arm, prescription=True), class_=hue))
    return tag("div", *rows, class_="key")


def sample(style: str, dash: str = "") -> Markup:
    """A mark on a piece of its line."""
    fit = tag("path", class_="fit", d="M0 6H30", stroke_dasharray=dash or None)
    mark = tag("circle", class_=style, cx="15", cy="6", r="3")
    return tag("svg", fit, mark, viewBox="0 0 30 12", width="30", height="12", aria_hidden="true")


def look(arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> tuple[str, str]:
    """The arm's dash, and the class of its marks."""
    dash, filled, _, _ = LOOP_STYLES[loop_index(arms, arm)]
    return dash, "dot filled" if filled else "dot"


def prescribed(arm: ArmDiagnosis) -> tuple[Point, ...]:
    """What was measured with the arm's prescription."""
    return arm.prescription.points if arm.prescription else ()


def told(arm: ArmDiagnosis, *, prescription: bool = False) -> str:
    """The arm, or the arm with its prescription, and its slope."""
    slope = arm.prescription.slope_ms if prescription and arm.prescription else arm.slope_ms
    name = f"{fmt.clean(arm.arm)}{', prescribed' if prescription else ''}"
    return f"{name}: {fmt.estimate(slope)} ms/request" if slope else name


class Axes:
    """Where N and seconds lie in a panel, both from 0."""

    def __init__(self, one: Drawn) -> None:
        trials = [pair for each in one.panel.series for pair in each.points]
        trials += [(point.n, seconds) for arm in one.arms for point in (*arm.points, *prescribed(arm)) for seconds in point.total_s]
        self.n, self.seconds = (1.03 * max(pair[k] for pair in trials) for k in (0, 1))

    def x(self, n: float) -> float:
        """Where N lies."""
        return round(LEFT + n / self.n * (WIDE - LEFT - RIGHT), 1)

    def y(self, seconds: float) -> float:
        """Where a total lies."""
        return round(HIGH - BOTTOM - seconds / self.seconds * (HIGH - TOP - BOTTOM), 1)

    def path(self, rows: list[tuple[float, float]]) -> str:
        """A line through (N, seconds)."""
        return "M" + "L".join(f"{self.x(n):g} {self.y(seconds):g}" for n, seconds in rows)


def drawing(one: Drawn, found: Beside) -> Markup:
    """One panel."""
    axes = Axes(one)
    marks = [published(axes, k, one) for k in range(len(one.panel.series))]
    marks += [own(axes, found.arms, arm) for arm in one.arms]
    return tag("svg", *frame(axes), *marks, viewBox=f"0 0 {WIDE} {HIGH}", role="img", aria_label=f"Total time against N: {caption(one)}")


def frame(axes: Axes) -> list[Markup]:
    """Grid, axes and their numbers."""
    end, floor, made = WIDE - RIGHT, HIGH - BOTTOM, []
    for tick in nice_ticks(axes.seconds, 4):
        y = axes.y(tick)
        made += [line("grid", LEFT, end, y, y), words(f"{tick:g}", LEFT - 7, y + 4, "end")]
    made.append(line("axis", LEFT, end, floor, floor))
    for tick in nice_ticks(axes.n, 5):
        x = axes.x(tick)
        made += [line("axis", x, x, floor, floor + 4), words(f"{tick:g}", x, floor + 18, "middle")]
    return [*made, words("T, seconds", 0, 12, "start"), words("N, requests", end, HIGH - 4, "end")]


def line(kind: str, x1: float, x2: float, y1: float, y2: float) -> Markup:
    """A straight line."""
    return tag("line", class_=kind, x1=f"{x1:g}", x2=f"{x2:g}", y1=f"{y1:g}", y2=f"{y2:g}")


def words(said: str, x: float, y: float, anchor: str) -> Markup:
    """A number or name at an axis."""
    return tag("text", said, x=f"{x:g}", y=f"{y:g}", text_anchor=anchor)


def published(axes: Axes, k: int, one: Drawn) -> Markup:
    """One published series: dots (rings for the second) and the line."""
    each = one.panel.series[k]
    first, last = each.points[0][0], each.points[-1][0]
    dots = [dot(axes, n, seconds, 2.2, "dot" if k else "dot filled") for n, seconds in each.points]
    fit = tag("path", class_="fit", d=axes.path([(first, each.at(first)), (last, each.at(last))]))
    return tag("g", tag("title", called(each)), fit, *dots, class_="published")


def own(axes: Axes, arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> Markup:
    """One arm of the run, and its prescription."""
    dash, style = look(arms, arm)
    parts = [measured(axes, arm.law, arm.points, (dash, style, told(arm)))]
    if arm.prescription and prescribed(arm):
        law = arm.prescription.law or Law(form="")
        parts.append(measured(axes, law, prescribed(arm), (PRESCRIBED, style, told(arm, prescription=True)), "prescribed"))
    return tag("g", *parts, class_=f"arm-{client_index(arms, arm)}")


def measured(axes: Axes, law: Law, found: tuple[Point, ...], shown: tuple[str, str, str], kind: str | None = None) -> Markup:
    """Trials with their law; `shown`: dash, class of the marks, and what is told."""
    dash, style, said = shown
    curve = [(n, seconds) for n, seconds, _, _ in law.curve]
    fit = tag("path", class_="fit", d=axes.path(curve), stroke_dasharray=dash or None) if curve else None
    dots = [dot(axes, point.n, seconds, 2.9, style) for point in found for seconds in point.total_s]
    return tag("g", join((tag("title", said), fit, *dots)), class_=kind)


def dot(axes: Axes, n: float, seconds: float, radius: float, style: str) -> Markup:
    """One trial."""
    return tag("circle", class_=style, cx=f"{axes.x(n):g}", cy=f"{axes.y(seconds):g}", r=f"{radius:g}")
