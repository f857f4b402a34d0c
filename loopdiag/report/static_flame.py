"""A flame graph for print: callers above what they call, classes as colours, super-linear frames hatched with their power of N."""

from typing import TYPE_CHECKING

from loopdiag.model.flame import Flame
from loopdiag.report import growth
from loopdiag.report.flame_layout import Layout, lay_out, sources, visible
from loopdiag.report.flamegraph import fitting, name_of
from loopdiag.report.palette import CLASS_COLOURS, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FINEST = 1 / 3000  # of the width: narrower frames are below the printer's dot
LEGIBLE = 0.035  # of the width, from which a frame is named
LETTER = 0.0074  # of the width
MOST_DEEP = 60
CARRIED = 0.24  # of a row: stripes on a frame that only carries what grows below
ROW = 0.17  # inches


def draw_flame(figure: "Figure", flame: Flame) -> None:
    """Draw `flame` with a legend of the classes that occur."""
    layout = lay_out(flame)
    total = layout.width[0] or 1.0
    shown = [place for place in visible(layout, FINEST) if layout.depth[place] < MOST_DEEP]
    origins = sources(flame, layout)
    deep = max((layout.depth[k] for k in shown), default=0) + 1
    figure.set_size_inches(9, 1.5 + deep * ROW)
    axes = figure.subplots()
    axes.set_title(f"{flame.title or flame.arm}\n{growth.sentence(flame)}", wrap=True)
    axes.set_xlim(0, total)
    axes.set_ylim(deep, 0)
    axes.set_axis_off()
    for code in dict.fromkeys(flame.code[layout.node[place]] for place in shown):
        places = [place for place in shown if flame.code[layout.node[place]] == code]
        grows = [place for place in places if power_of(flame, layout.node[place]) is not None]
        draw_boxes(axes, layout, places, colour_of(code))
        draw_boxes(axes, layout, [place for place in grows if place in origins], colour_of(code), stripes=0.94)
        draw_boxes(axes, layout, [place for place in grows if place not in origins], colour_of(code), stripes=CARRIED)
    for place in shown:
        if layout.width[place] >= total * LEGIBLE:
            draw_name(axes, flame, layout, place, plate=place in origins)
    legend(
        figure,
        [flame.code[layout.node[place]] for place in shown],
        grows=any(power_of(flame, layout.node[place]) is not None for place in shown),
    )


def power_of(flame: Flame, node: int) -> float | None:
    """The frame's power of N, where it is super-linear."""
    return flame.exponent[node] if flame.exponent else None


def colour_of(code: str) -> str:
    """The class's colour on paper."""
    return CLASS_COLOURS.get(code, CLASS_COLOURS["other"])[0]


def draw_boxes(axes: "Axes", layout: Layout, places: list[int], colour: str, *, stripes: float | None = None) -> None:
    """Frames of one colour as one collection, or stripes along the lower edge of them, so high as a share of a row."""
    from matplotlib.collections import PolyCollection

    if not places:
        return
    corners = []
    for place in places:
        x, wide, low = layout.left[place], layout.width[place], layout.depth[place] + 0.97
        top = low - (0.94 if stripes is None else stripes)
        corners.append([(x, top), (x + wide, top), (x + wide, low), (x, low)])
    if stripes is None:
        boxes = PolyCollection(corners, facecolor=colour, edgecolor="white", linewidth=0.25)
    else:
        boxes = PolyCollection(corners, facecolor=colour, edgecolor=text_on(colour), linewidth=0, hatch="//////")
    axes.add_collection(boxes)


def draw_name(axes: "Axes", flame: Flame, layout: Layout, place: int, *, plate: bool) -> None:
    """The frame's power of N and its name, as much as fits; on stripes over the whole frame it gets a plate."""
    node, total = layout.node[place], layout.width[0] or 1.0
    colour, power = colour_of(flame.code[node]), growth.exponent(power_of(flame, node))
    text = fitting(name_of(flame, node), power, int(layout.width[place] / total / LETTER) - (3 if plate else 1))
    ground = {"facecolor": colour, "edgecolor": "none", "pad": 0.9} if plate else None
    at = (layout.left[place] + total * 0.003, layout.depth[place] + (0.42 if power and not plate else 0.5))
    axes.text(*at, text, fontsize=6.4, va="center", color=text_on(colour), bbox=ground, clip_on=True)


def legend(figure: "Figure", codes: list[str], *, grows: bool) -> None:
    """Classes by colour, and what hatches mean."""
    from matplotlib.patches import Patch

    ordered = [code for code in CLASS_COLOURS if code in codes]
    patches = [Patch(facecolor=colour_of(code), label=code) for code in ordered]
    if grows:
        patches.append(Patch(facecolor="white", edgecolor="black", hatch="////", linewidth=0, label="grows faster than N"))
    figure.legend(handles=patches, loc="outside lower left", ncols=min(6, len(patches)), fontsize=8)
