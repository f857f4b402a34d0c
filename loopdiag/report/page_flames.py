"""What the page's scripts draw flame graphs from: frames once for all graphs, nodes as packed integer columns in the order of drawing."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from loopdiag.model.document import Document
from loopdiag.model.flame import CLASSES, Flame, Kind
from loopdiag.model.profile import Frame
from loopdiag.report.addresses import source
from loopdiag.report.flame_layout import Layout, lay_out
from loopdiag.report.format import clean
from loopdiag.report.growth import factor, of_kind
from loopdiag.report.page_columns import micros, packed

T = TypeVar("T")

MOST_OF_ONE = 60_000  # nodes of one graph; its narrowest are left out, which no screen could show
MOST_NODES = 160_000  # of all graphs in the page: a few MB; whole graphs that do not fit stay in the run's folder
FINEST = 10_000_000  # steps into which a graph's width is divided
FIRST: tuple[Kind, ...] = ("slope", "trial", "time", "difference")  # which kinds take their room first


class Names:
    """Numbers frames, and the files that they share, in the order in which they are first seen."""

    def __init__(self) -> None:
        self.frames: dict[Frame, int] = {}
        self.files: dict[str, int] = {}

    def number(self, frame: Frame) -> int:
        """The frame's number."""
        return self.frames.setdefault(frame, len(self.frames))

    def columns(self) -> dict[str, Any]:
        """Function, file and line of each frame."""
        files = [self.files.setdefault(source(clean(frame.file)), len(self.files)) for frame in self.frames]
        lines = [0 if frame.line is None else frame.line for frame in self.frames]
        functions = [clean(frame.function) for frame in self.frames]
        return {"functions": functions, "file": packed(files), "files": list(self.files), "line": packed(lines)}


def flame_columns(document: Document) -> dict[str, Any]:
    """All that the section draws; `leftOut` counts graphs for which the page has no room."""
    shown, left_out = choose_flames(document)
    names = Names()
    graphs = [graph(flame, names) for flame in shown]
    classes = [{"name": name, "meaning": text} for name, text in CLASSES.items()]
    return {"graphs": graphs, "frames": names.columns(), "classes": classes, "leftOut": left_out}


def choose_flames(document: Document) -> tuple[list[Flame], int]:
    """The graphs that the page holds, by kind, and how many it must leave out: of a kind, large N go first."""
    room, kept, seen = MOST_NODES, [], 0
    for kind in FIRST:
        flames = of_kind(document, kind)
        seen += len(flames)
        chosen = set()
        for k in sorted(range(len(flames)), key=lambda k: -(flames[k].n or 0)):
            size = min(len(flames[k].parent), MOST_OF_ONE)
            if size <= room:
                room -= size
                chosen.add(k)
        kept += [flame for k, flame in enumerate(flames) if k in chosen]
    return kept, seen - len(kept)


def graph(flame: Flame, names: Names) -> dict[str, Any]:
    """One graph: what stands beside it, and its columns, one element a node in the order of drawing."""
    layout = lay_out(flame, MOST_OF_ONE)
    step = resolution(flame, layout)

    def steps(values: Iterable[float]) -> str:
        return packed(round(value / step) for value in values)

    def pick(column: Sequence[T]) -> list[T]:
        return [column[node] for node in layout.node]

    width, value = layout.width, pick(flame.value)
    differs = any(abs(a - b) > step for a, b in zip(width, value, strict=True))
    bounded = len(flame.low) == len(flame.high) == len(flame.value)
    powers: list[float | None] = pick(flame.exponent) if flame.exponent else []
    above = [k for k, power in enumerate(powers) if power is not None]
    return {
        "kind": flame.kind,
        "title": clean(flame.title),
        "arm": clean(flame.arm),
        "n": flame.n,
        "trial": clean(flame.trial),
        "unit": clean(flame.unit),
        "seconds": factor(flame),
        "step": step,
        "count": len(layout.node),
        "narrower": len(flame.parent) - len(layout.node),
        "parent": packed(changes(layout.parent)),
        "frame": packed(names.number(flame.frames[k]) + 1 if k >= 0 else 0 for k in pick(flame.frame)),
        "width": steps(width),
        "value": steps(value) if differs else None,
        "own": steps(pick(flame.self_value)),
        "code": packed(map(class_number, pick(flame.code))),
        "below": steps(v - low for v, low in zip(value, pick(flame.low), strict=True)) if bounded else None,
        "over": steps(high - v for v, high in zip(value, pick(flame.high), strict=True)) if bounded else None,
        "super": packed(changes(above)),
        "exponents": [round(power, 2) for power in powers if power is not None],
        "start": packed(changes(map(micros, pick(flame.start_ns)))) if flame.kind == "time" else None,
        "samples": flame.samples,
    }


def resolution(flame: Flame, layout: Layout) -> float:
    """How much of the flame's unit one step is: a microsecond of graphs over time, else a share of the width."""
    if flame.kind == "time":
        return 1e-6 / factor(flame)
    return (layout.width[0] if layout.width and layout.width[0] > 0 else 1.0) / FINEST


def class_number(code: str) -> int:
    """The class's number in ``CLASSES``; one that is not known counts as `other`."""
    return NUMBERS.get(code, NUMBERS["other"])


NUMBERS = {name: k for k, name in enumerate(CLASSES)}


def changes(numbers: Iterable[int]) -> list[int]:
    """Each number as the step from the one before it."""
    return [after - before for before, after in pairwise([0, *numbers])]
