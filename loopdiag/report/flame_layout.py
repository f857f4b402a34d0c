"""Where each frame of a flame graph stands: level by level, each level from left to right, in shares of the whole width."""

from loopdiag.model.flame import Flame
from loopdiag.model.value import Value


class Layout(Value, frozen=True, kw_only=True):
    """Places, one element a node, in the order of drawing: the root, then each level from left to right; so children of one node are neighbours."""

    node: tuple[int, ...] = ()  # its number in the flame
    parent: tuple[int, ...] = ()  # its place in this order; -1 for the root
    depth: tuple[int, ...] = ()
    left: tuple[float, ...] = ()  # in the unit of the widths
    width: tuple[float, ...] = ()  # in the flame's unit


def widths(flame: Flame) -> list[float]:
    """How wide each node is: its own value and those below it, as far as they are positive; of a difference all changes, whatever their sign.

    So no frame is wider than its caller, and where nothing is negative the width is the value.  Of graphs over time it is always the value.
    """
    if flame.kind == "time":
        return [max(0.0, value) for value in flame.value]
    made = [abs(value) if flame.kind == "difference" else max(0.0, value) for value in flame.self_value]
    for node in range(len(made) - 1, 0, -1):
        made[flame.parent[node]] += made[node]
    return made


def kept(wide: list[float], most: int) -> set[int]:
    """The widest nodes.  A parent is at least as wide as its child and stands before it, so no child is kept without it."""
    return set(sorted(range(len(wide)), key=lambda node: (-wide[node], node))[:most])


def lay_out(flame: Flame, most: int | None = None) -> Layout:
    """Lay out the flame, or its `most` widest nodes: the widest sibling first, of graphs over time the earliest."""
    wide = widths(flame)
    chosen = range(len(wide)) if most is None else sorted(kept(wide, most))
    children: dict[int, list[int]] = {}
    for node in chosen:
        children.setdefault(flame.parent[node], []).append(node)
    for siblings in children.values():
        siblings.sort(key=lambda node: flame.start_ns[node] if flame.kind == "time" else -wide[node])
    return by_level(wide, children)


def by_level(wide: list[float], children: dict[int, list[int]]) -> Layout:
    """Level after level, each from left to right; `children` are in the order in which they stand."""
    order: list[int] = []
    parent: list[int] = []
    depth: list[int] = []
    left: list[float] = []
    level = [(node, -1, 0.0) for node in children.get(-1, [])[:1]]
    steps = 0
    while level:
        following: list[tuple[int, int, float]] = []
        for node, above, begin in level:
            place, free = len(order), begin
            order.append(node)
            parent.append(above)
            depth.append(steps)
            left.append(begin)
            for child in children.get(node, []):
                following.append((child, place, free))
                free += wide[child]
        level = following
        steps += 1
    width = tuple(wide[node] for node in order)
    return Layout(node=tuple(order), parent=tuple(parent), depth=tuple(depth), left=tuple(left), width=width)


def sources(flame: Flame, layout: Layout) -> set[int]:
    """Places where growth comes from: super-linear frames of which less than half lies in super-linear frames that they call.

    The other super-linear frames only carry it: they are marked too, but less.
    """
    if not flame.exponent:
        return set()
    grows = [place for place, node in enumerate(layout.node) if flame.exponent[node] is not None]
    carried: dict[int, float] = {}
    for place in grows:
        carried[layout.parent[place]] = carried.get(layout.parent[place], 0.0) + layout.width[place]
    return {place for place in grows if carried.get(place, 0.0) < layout.width[place] / 2}


def visible(layout: Layout, finest: float) -> list[int]:
    """Places of the frames that take at least the share `finest` of the width, down to the deepest level on which one takes eight times that."""
    least = finest * layout.width[0] if layout.width else 0.0
    deep = max((layout.depth[place] for place, wide in enumerate(layout.width) if wide >= 8 * least), default=0)
    return [place for place, wide in enumerate(layout.width) if wide >= least and layout.depth[place] <= deep]
