"""The slope flame graph: each frame's width is the slope of its CPU over N, and the widths add up to the slope of the client's CPU.

A stack whose CPU falls with N has a negative slope.  It stands below a frame of its own, "falls with N", so that all other widths can be drawn;
the root's value is the sum of both, which is the slope that the bare trials measured.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from loopdiag.analysis.cells import Floats
from loopdiag.analysis.classes import classify
from loopdiag.analysis.cpu_growth import Growth, measure
from loopdiag.analysis.flame_tree import Ints, Tree, drawn, grow
from loopdiag.analysis.flames import hidden
from loopdiag.analysis.steepness import steep_powers
from loopdiag.model.flame import Flame, TopRow
from loopdiag.model.profile import Frame, Profile

__all__ = ["FALLS", "Growth", "measure", "slope_flame", "top_rows"]

UNIT = "µs of CPU a request"
FALLS = Frame(function="falls with N")
#: fewer events carry no exponent
LEAST_SAMPLES = 40.0
ROWS = 40


def slope_flame(growth: Growth, profiles: Sequence[Profile]) -> Flame:
    """The slope flame graph of one arm, whose profiles `growth` was measured from.

    Intervals are of the widths; an exponent is of all the CPU below that path, "falls with N" included, and only where it is super-linear beyond doubt.
    """
    arm = profiles[0].arm
    value, _ = growth.slopes(growth.share, growth.square)
    plain = grow(growth.stacks, growth.frames)
    numbers = len(growth.frames)
    split = [(numbers, *stack) if each < 0 else stack for stack, each in zip(growth.stacks, value, strict=True)]
    tree = grow(split, [*growth.frames, FALLS])
    own = tree.own(value)
    whole = tree.whole(own)
    half = growth.slopes(_whole(tree, growth.share), _whole(tree, growth.square))[1]
    same = _same(tree, plain)
    powers = np.where(same >= 0, _powers(plain, growth)[same], np.nan)
    return drawn(
        tree,
        own,
        kind="slope",
        title=f"{arm}: what grows with N",
        arm=arm,
        unit=UNIT,
        low=tuple((whole - half).tolist()),
        high=tuple((whole + half).tolist()),
        exponent=tuple(None if np.isnan(power) else round(float(power), 2) for power in powers),
        samples=sum(len(profile.stack) for profile in profiles),
        rate_hz=profiles[0].rate_hz,
        lost=sum(profile.lost for profile in profiles),
        other_share=plain.unclassified(growth.seconds(growth.share).sum(axis=1)),
        residual=growth.slope_us - float(whole[0]),
        notes=(*_notes(growth, value), *hidden([tuple(growth.frames)])),
    )


def top_rows(growth: Growth, *, rows: int = ROWS) -> tuple[TopRow, ...]:
    """The functions by the slope of their own CPU, steepest first; their whole slope counts each stack that they stand in once."""
    ends = np.array([stack[-1] if stack else -1 for stack in growth.stacks])
    share, square, count = (_by_function(ends, len(growth.frames), each) for each in (growth.share, growth.square, growth.count))
    value, half = growth.slopes(share, square)
    seconds, variance = growth.seconds(share), _variance(growth, share, square)
    of_stacks = growth.slopes(growth.share, growth.square)[0]
    inside = [(number, at) for at, stack in enumerate(growth.stacks) for number in set(stack)]
    pairs = np.array(inside, dtype=np.int64).reshape(-1, 2)
    total = np.bincount(pairs[:, 0], weights=of_stacks[pairs[:, 1]], minlength=len(growth.frames))
    chosen = [int(i) for i in np.lexsort((np.arange(value.size), -value)) if count[i] > 0][:rows]
    told = [i for i in chosen if count[i] >= LEAST_SAMPLES and value[i] > half[i]]
    powers = dict(zip(told, steep_powers(growth.n, seconds[told], variance[told]).tolist(), strict=True))
    return tuple(
        TopRow(
            function=growth.frames[i].function,
            file=growth.frames[i].file,
            code=_code(growth, ends, i),
            self_us=float(value[i]),
            self_low=float(value[i] - half[i]),
            self_high=float(value[i] + half[i]),
            total_us=float(total[i]),
            exponent=_known(powers.get(i)),
        )
        for i in chosen
    )


def _powers(tree: Tree, growth: Growth) -> Floats:
    """Power of each node's whole CPU, nan where it is not told."""
    share, square, count = (_whole(tree, each) for each in (growth.share, growth.square, growth.count))
    value, half = growth.slopes(share, square)
    told = np.flatnonzero((count >= LEAST_SAMPLES) & (value > half))
    powers = np.full(value.size, np.nan)
    powers[told] = steep_powers(growth.n, growth.seconds(share[told]), _variance(growth, share[told], square[told]))
    return powers


def _variance(growth: Growth, share: Floats, square: Floats) -> Floats:
    return np.asarray(growth.counting(share, square) + (share * growth.cpu_sd) ** 2 + 1e-18)


def _whole(tree: Tree, of_stacks: Floats) -> Floats:
    return tree.whole(tree.own(of_stacks))


def _same(tree: Tree, plain: Tree) -> Ints:
    """For each node of the split tree the node of the plain one with the same path; -1 below "falls with N"."""
    at = {(parent, plain.frames[frame]): node for node, (parent, frame) in enumerate(zip(plain.parent, plain.frame, strict=True)) if node}
    same = np.zeros(tree.parent.size, dtype=np.int64)
    for node in range(1, same.size):
        same[node] = at.get((int(same[tree.parent[node]]), tree.frames[tree.frame[node]]), -1)
    return same


def _by_function(ends: Ints, frames: int, values: Floats) -> Floats:
    """Values of stacks, summed by the function in which they end."""
    table = np.zeros((frames, *values.shape[1:]))
    np.add.at(table, ends[ends >= 0], values[ends >= 0])
    return table


def _code(growth: Growth, ends: Ints, function: int) -> str:
    """The class of most of a function's own samples."""
    weight: dict[str, float] = defaultdict(float)
    for at in np.flatnonzero(ends == function):
        weight[classify(growth.frames[i] for i in growth.stacks[at])] += float(growth.count[at])
    return max(weight, key=weight.__getitem__)


def _known(power: float | None) -> float | None:
    return None if power is None or np.isnan(power) else round(power, 2)


def _notes(growth: Growth, value: Floats) -> tuple[str, ...]:
    factors, falling = growth.factors, float(value[value < 0].sum())
    middle, low, high = np.median(factors), factors.min(), factors.max()
    ns = ", ".join(f"{n:.0f}" for n in growth.n)
    said = [
        f"samples of {factors.size} trials at N = {ns}, rescaled to the CPU of the bare trials: × {middle:.2f} ({low:.2f} to {high:.2f})",
        f"stacks whose CPU falls with N, most of them seen a few times only, stand apart: {falling:.1f} {UNIT} together",
    ]
    if growth.spread > 1:
        said.append(
            f"trials of the same N differ more than counting explains (variance × {growth.spread:.1f}); the intervals allow for that"
        )
    if not growth.cpu_dof:
        said.append("no bare trial was repeated: the intervals hold the counting of samples alone")
    return tuple(said)
