"""The slope of an arm as one stacked bar: its groups above, its accounts named where there is room, their intervals below."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from loopdiag.model.law import Estimate
from loopdiag.report import accounts
from loopdiag.report import format as fmt
from loopdiag.report.account_style import account_fill, account_number
from loopdiag.report.accounts import Part
from loopdiag.report.markup import Markup, join, tag

NARROW = 0.001  # of the bar: a thinner part is left out
WIDE, THIN = 1040, 350  # pixels of the bar
LETTER = 7.2  # pixels of a letter in it, on the safe side
BAR, HIGH = 22, 38  # its top and height, pixels
WHISKERS, LANE, MOST_LANES = BAR + HIGH + 8, 9, 5  # where intervals begin, the height of a lane of them, and how many there are
APART = 0.006  # of the bar, between intervals of one lane
KNOWN = 0.02  # of the bar: narrower parts have their interval in the list only
SHOWN = 0.005  # of the slope: smaller parts are counted in the list, not named


def bar(shown: Sequence[Part], slope: Estimate | None, said: str, inside: str = "loop") -> Markup | None:
    """The bar with its list, the loop's group under the name `inside`; None where nothing grows. What shrinks with N has no place in a stack and stands in the list."""
    grows = [p for p in shown if p.slope_ms > 0]
    whole = sum(p.slope_ms for p in grows)
    if not grows or whole <= 0:
        return None
    bounds = [slope.high] if slope is not None and slope.high is not None else []
    scale = max([whole, *bounds]) * 1.002
    ends = list(accumulate(p.slope_ms / scale for p in grows))
    drawn = [
        segment(p, p.slope_ms / scale, end - p.slope_ms / scale) for p, end in zip(grows, ends, strict=True) if p.slope_ms >= NARROW * scale
    ]
    lanes = Lanes()
    for one, end in zip(grows, ends, strict=True):
        if one.low is not None and one.high is not None and one.slope_ms >= KNOWN * scale:
            lanes.add(
                end + (one.low - one.slope_ms) / scale, end + (one.high - one.slope_ms) / scale, f"account-{account_number(one.account)}"
            )
    if slope is not None and slope.low is not None and slope.high is not None:
        lanes.add(slope.low / scale, slope.high / scale, "total")
    high = str(WHISKERS + LANE * len(lanes.used))
    made = tag(
        "svg", *brackets(grows, scale, whole, inside), *drawn, *lanes.drawn, class_="ledger", height=high, role="img", aria_label=said
    )
    return join((made, listing(shown, whole)))


class Lanes:
    """Intervals under the bar, each in the first lane that is free there; that of the whole in one of its own."""

    def __init__(self) -> None:
        self.used: list[float] = []
        self.drawn: list[Markup] = []

    def add(self, low: float, high: float, kind: str) -> None:
        """Draw one, in shares of the bar; left out where `MOST_LANES` lanes have no room for it."""
        left, right = max(0.0, low), min(1.0, high)
        free = [] if kind == "total" else [k for k, until in enumerate(self.used) if until <= left]
        lane = next(iter(free), len(self.used))
        if lane == MOST_LANES and kind != "total":
            return
        self.used[lane : lane + 1] = [right + APART]
        y = WHISKERS + LANE * lane
        ends = [tag("line", x1=percent(x), x2=percent(x), y1=str(y - 3), y2=str(y + 3)) for x in (left, right)]
        line = tag("line", x1=percent(left), x2=percent(right), y1=str(y), y2=str(y))
        self.drawn.append(tag("g", line, *ends, class_=f"whisker {kind}"))


def brackets(grows: Sequence[Part], scale: float, whole: float, inside: str) -> Iterable[Markup]:
    """Loop (or what it is called), outside and unexplained above their parts, with their shares."""
    at = 0.0
    for group, total in accounts.group_sums(grows):
        wide, name = total / scale, inside if group == "loop" else group
        texts = [
            (fitting(wide * width, f"{name} {fmt.percent(total / whole)}", name), kind)
            for width, kind in ((WIDE, "wide"), (THIN, "narrow"))
        ]
        if wide >= NARROW:
            words = [tag("text", text, x="0", y="11", class_=kind) for text, kind in texts if text]
            line = tag("rect", y="16", width="100%", height="2", class_="bracket")
            yield tag("svg", line, *words, x=percent(at), width=percent(wide - 0.002), height="20")
        at += wide


def segment(one: Part, wide: float, at: float) -> Markup:
    """One account."""
    share = fmt.percent(one.share)
    told = tag("title", f"{one.account}: {value(one)} ms/request, {share} of the slope; {accounts.meaning(one.account)}")
    box = tag("rect", width="100%", height="100%", fill=account_fill(one.account))
    texts = [(fitting(wide * width, f"{one.name} {share}", one.name, share), kind) for width, kind in ((WIDE, "wide"), (THIN, "narrow"))]
    words = [tag("text", text, x="6", y="24", class_=kind) for text, kind in texts if text]
    size = {"x": percent(at), "y": str(BAR), "width": percent(max(0.0005, wide - 0.0008)), "height": str(HIGH)}
    return tag("svg", told, box, *words, class_=f"account account-{account_number(one.account)}", **size)


def listing(shown: Sequence[Part], whole: float) -> Markup:
    """Every account of some size with its slope, interval and share."""
    large = [p for p in shown if abs(p.slope_ms) >= SHOWN * whole or p.group == "unexplained"]
    small = [p for p in shown if p not in large and p.slope_ms]
    items: list[Markup] = [
        tag("li", swatch(p.account), tag("b", p.name), f" {value(p)} ", tag("span", fmt.percent(p.share), class_="soft")) for p in large
    ]
    if small:
        rest = sum(p.slope_ms for p in small)
        items.append(tag("li", tag("b", f"{len(small)} smaller"), f" {fmt.significant(rest, 2)}"))
    if any(p.low is not None for p in shown):
        items.append(
            tag("li", "ms/request; lines under the bar: 95 % intervals of each part at its right end, and of the whole", class_="soft")
        )
    return tag("ul", *items, class_="accounts")


def value(one: Part) -> str:
    """The account's slope with its interval, with two digits of it however wide that is."""
    text = fmt.between(one.slope_ms, one.low, one.high)
    head, mark, half = text.partition(" ±")
    short = mark and len(head.lstrip("-0.").replace(".", "")) < 2
    return f"{fmt.significant(one.slope_ms, 2)} ±{half}" if short else text


def swatch(account: str) -> Markup:
    """The account's colour or hatch."""
    box = tag("rect", width="14", height="11", rx="2", fill=account_fill(account))
    return tag("svg", box, class_="swatch", width="14", height="11", aria_hidden="true")


def percent(part: float) -> str:
    """A share of the bar's width."""
    return f"{part * 100:.3f}%"


def fitting(room: float, *texts: str) -> str:
    """The first of the texts that fits, or nothing."""
    return next((text for text in texts if len(text) * LETTER + 10 <= room), "")
