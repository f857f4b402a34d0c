"""Slope flame graphs as one static SVG: no script, a tooltip on every frame, each arm under the other."""

from collections.abc import Iterator

from loopdiag.model.document import Document
from loopdiag.model.flame import Flame
from loopdiag.report import format as fmt
from loopdiag.report import growth
from loopdiag.report.flame_layout import Layout, lay_out, sources, visible
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.palette import CLASS_COLOURS, text_on

WIDTH = 1200.0
MARGIN = 12.0
ROW = 17.0
HEAD = 44.0  # title and sentence of one graph
KEY = 18.0  # one line of the legend
ACROSS = 5  # its entries
FINEST = 0.3  # pixels: what is narrower is left out
CARRIED = 4.0  # pixels of stripes on a frame that only carries what grows below
SHOWN = 12.0  # pixels of stripes that a label leaves
LETTER = 6.3  # pixels of one letter at this size, on the safe side
STYLE = (
    "text { font: 11px ui-sans-serif, system-ui, sans-serif; } .head { font-size: 15px; font-weight: 600; } .soft { fill: #5a626c; } "
    ".frame:hover rect { stroke: #000; }"
)


def render(document: Document) -> str:
    """The slope graph of every arm; of arms that have none, the largest trial's."""
    flames = list(growth.main_flames(document).values())
    if not flames:
        text = tag("text", growth.why_not(document), x=px(MARGIN), y="24")
        return picture([text], 40.0)
    parts, top = [], MARGIN
    for flame in flames:
        layout = lay_out(flame)
        made, height = graph(flame, layout, top)
        parts.append(made)
        top += height + MARGIN
    seen = {code for flame in flames for code in growth.class_sums(flame)}
    made, height = legend([code for code in CLASS_COLOURS if code in seen], top)
    return picture([*parts, made], top + height)


def picture(parts: list[Markup], height: float) -> str:
    """The file."""
    patterns = [pattern("black", "#000000"), pattern("white", "#ffffff")]
    size = {"width": px(WIDTH), "height": px(height), "viewBox": f"0 0 {px(WIDTH)} {px(height)}"}
    ground = tag("rect", width="100%", height="100%", fill="#ffffff")
    svg = tag("svg", tag("style", STYLE), tag("defs", *patterns), ground, *parts, xmlns="http://www.w3.org/2000/svg", **size)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'


def pattern(name: str, colour: str) -> Markup:
    """Stripes for what is super-linear."""
    lines = tag("path", d="M-1.5 1.5L1.5 -1.5M0 6L6 0M4.5 7.5L7.5 4.5", stroke=colour, stroke_opacity="0.5", stroke_width="1")
    return tag("pattern", lines, id=f"super-{name}", width="6", height="6", patternUnits="userSpaceOnUse")


def px(value: float) -> str:
    """A length with as many decimals as a screen needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def graph(flame: Flame, layout: Layout, top: float) -> tuple[Markup, float]:
    """One graph and its height."""
    scale = (WIDTH - 2 * MARGIN) / (layout.width[0] or 1.0)
    head = tag("text", f"{flame.title}" or flame.arm, x=px(MARGIN), y=px(top + 15), class_="head")
    said = tag("text", growth.sentence(flame), x=px(MARGIN), y=px(top + 34), class_="soft")
    shown, origins = visible(layout, FINEST / (WIDTH - 2 * MARGIN)), sources(flame, layout)
    rows = max((layout.depth[place] for place in shown), default=0) + 1
    frames = tag("g", join(box(flame, layout, place, (scale, top + HEAD), source=place in origins) for place in shown))
    return join((head, said, frames)), HEAD + rows * ROW


def box(flame: Flame, layout: Layout, place: int, at: tuple[float, float], *, source: bool) -> Markup:
    """One frame with its tooltip; `at`: pixels of the flame's unit, and the first row's top."""
    node, (scale, top) = layout.node[place], at
    wide, high = layout.width[place] * scale, ROW - 1
    x, y = MARGIN + layout.left[place] * scale, top + layout.depth[place] * ROW
    colour = CLASS_COLOURS.get(flame.code[node], CLASS_COLOURS["other"])[0]
    power = flame.exponent[node] if flame.exponent else None
    size = {"x": px(x), "y": px(y), "width": px(max(0.2, wide - 0.4)), "height": px(high)}
    stripes = None if power is None else high if source else CARRIED
    text = text_of(flame, node, wide - (SHOWN if source else 0))
    return tag("g", tag("title", tooltip(flame, node)), join(drawn(size, colour, stripes, text)), class_="frame")


def drawn(size: dict[str, str], colour: str, stripes: float | None, text: str) -> Iterator[Markup]:
    """The box, stripes of some height where the frame is super-linear, and its name, on stripes over the whole box on a plate of the box's colour."""
    yield tag("rect", fill=colour, **size)
    x, y, high = float(size["x"]), float(size["y"]), float(size["height"])
    if stripes is not None:
        white = text_on(colour) == "#ffffff"
        yield tag(
            "rect", fill=f"url(#super-{'white' if white else 'black'})", **size | {"y": px(y + high - stripes), "height": px(stripes)}
        )
    if not text:
        return
    if stripes == high:
        yield tag("rect", fill=colour, x=px(x), y=px(y), width=px(min(float(size["width"]), len(text) * LETTER + 6)), height=px(high))
    yield tag("text", text, x=px(x + 3), y=px(y + (11 if stripes == CARRIED else 12)), fill=text_on(colour))


def name_of(flame: Flame, node: int) -> str:
    """The function, or what the root stands for."""
    return growth.one_line(flame.frames[flame.frame[node]].function) if flame.frame[node] >= 0 else f"all of {flame.arm}"


def text_of(flame: Flame, node: int, wide: float) -> str:
    """What fits into the frame: its power of N first, because that is what one looks for."""
    return fitting(name_of(flame, node), growth.exponent(flame.exponent[node]) if flame.exponent else "", int((wide - 6) / LETTER))


def fitting(name: str, power: str, room: int) -> str:
    """Power and name in so many letters; a method without its class is better than half a class."""
    head = f"{power} " if power else ""
    for text in (f"{head}{name}", f"{head}{growth.bare_name(name)}"):
        if len(text) <= room:
            return text
    return f"{text[: room - 1]}…" if room >= max(4, len(head) + 3) else power if len(power) <= room else ""


def tooltip(flame: Flame, node: int) -> str:
    """All that is known of one frame."""
    unit, total = growth.factor(flame), flame.value[0] or 1.0
    said = [name_of(flame, node)]
    if flame.frame[node] >= 0:
        frame = flame.frames[flame.frame[node]]
        said.append(growth.place(frame.file, frame.line))
    bounds = ""
    if flame.low and flame.high:
        bounds = f" ({fmt.seconds(flame.low[node] * unit)} to {fmt.seconds(flame.high[node] * unit)})"
    said.append(f"{fmt.seconds(flame.value[node] * unit)}{bounds} {growth.measured(flame)}, {fmt.percent(flame.value[node] / total)}")
    said.append(f"own {fmt.seconds(flame.self_value[node] * unit)}, {flame.code[node]}")
    power = growth.exponent(flame.exponent[node]) if flame.exponent else ""
    return "\n".join(filter(None, (*said, f"grows as {power}" if power else "")))


def legend(codes: list[str], top: float) -> tuple[Markup, float]:
    """Classes with their colours, and what stripes mean."""
    entries = [*((CLASS_COLOURS[code][0], code) for code in codes), ("url(#super-black)", "grows faster than N")]
    made = []
    for k, (fill, name) in enumerate(entries):
        x, y = MARGIN + k % ACROSS * (WIDTH - 2 * MARGIN) / ACROSS, top + k // ACROSS * KEY
        made += [tag("rect", x=px(x), y=px(y), width="11", height="11", fill=fill), tag("text", name, x=px(x + 17), y=px(y + 10))]
    return join(made), (1 + (len(entries) - 1) // ACROSS) * KEY + MARGIN
