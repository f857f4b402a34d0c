"""Stacks grown together into a tree in columns, in an order that depends on the stacks alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

import numpy as np
import numpy.typing as npt

from loopdiag.analysis.cells import Floats
from loopdiag.analysis.classes import OTHER, START, step
from loopdiag.model.flame import Flame
from loopdiag.model.profile import Frame

Ints = npt.NDArray[np.int64]
Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """Nodes in depth-first order, siblings by file, function and line; node 0 is the root.

    Attributes:
        frames: in that same order.
        parent: of each node, -1 for the root, shape (nodes,).
        frame: number in `frames`, -1 for the root, shape (nodes,).
        depth: 0 for the root, shape (nodes,).
        leaf: of each stack, the node where it ends, shape (stacks,).
        code: class of each node's own samples.
    """

    frames: tuple[Frame, ...]
    parent: Ints
    frame: Ints
    depth: Ints
    leaf: Ints
    code: tuple[str, ...]

    def own(self, of_stacks: Floats) -> Floats:
        """Values of stacks, shape (stacks, …), as the nodes' own, shape (nodes, …)."""
        values = np.zeros((self.parent.size, *of_stacks.shape[1:]))
        np.add.at(values, self.leaf, of_stacks)
        return values

    def unclassified(self, of_stacks: Floats) -> float | None:
        """Share of the stacks' weight, shape (stacks,), that no rule classifies; None without weight."""
        total = float(of_stacks.sum())
        other = np.array([code == OTHER for code in self.code])[self.leaf]
        return float(of_stacks[other].sum()) / total if total > 0 else None

    def whole(self, own: Floats) -> Floats:
        """The nodes' own values and those of all below them, in the same shape; added level by level, so that nothing cancels."""
        values = own.copy()
        for level in range(int(self.depth.max(initial=0)), 0, -1):
            nodes = np.flatnonzero(self.depth == level)
            np.add.at(values, self.parent[nodes], values[nodes])
        return values


class Growing:
    """A tree under way: stacks are added one after the other, and share what they have in common with the one before."""

    def __init__(self) -> None:
        self.parent, self.frame, self.depth = [-1], [-1], [0]
        self._path, self._last = [0], cast("Numbers", ())

    def add(self, stack: Numbers) -> int:
        """The node where `stack` ends."""
        shared = next((i for i, (one, other) in enumerate(zip(self._last, stack, strict=False)) if one != other), None)
        del self._path[(min(len(self._last), len(stack)) if shared is None else shared) + 1 :]
        for number in stack[len(self._path) - 1 :]:
            self.parent.append(self._path[-1])
            self.frame.append(number)
            self.depth.append(len(self._path))
            self._path.append(len(self.parent) - 1)
        self._last = stack
        return self._path[-1]

    def pause(self) -> None:
        """Let the next stack share nothing."""
        self._last = ()

    def tree(self, leaf: Sequence[int] | Ints, frames: tuple[Frame, ...]) -> Tree:
        """What has grown; `leaf` says where each stack ended."""
        return Tree(
            frames=frames,
            parent=np.array(self.parent),
            frame=np.array(self.frame),
            depth=np.array(self.depth),
            leaf=np.array(leaf, dtype=np.int64),
            code=_codes(self.parent, self.frame, frames),
        )


def grow(stacks: Sequence[Numbers], frames: Sequence[Frame]) -> Tree:
    """Grow stacks, whose numbers are places in `frames`, into one tree."""
    used = sorted(set(chain.from_iterable(stacks)), key=lambda i: (frames[i].file, frames[i].function, frames[i].line or 0, i))
    rank = {number: i for i, number in enumerate(used)}
    ranked = [tuple(rank[i] for i in stack) for stack in stacks]
    growing, leaf = Growing(), np.zeros(len(stacks), dtype=np.int64)
    for at in sorted(range(len(ranked)), key=ranked.__getitem__):
        leaf[at] = growing.add(ranked[at])
    return growing.tree(leaf, tuple(frames[i] for i in used))


def _codes(parent: list[int], frame: list[int], frames: tuple[Frame, ...]) -> tuple[str, ...]:
    """The class of each node's own samples: one step from its parent's."""
    states = [START]
    for node in range(1, len(parent)):
        states.append(step(states[parent[node]], frames[frame[node]]))
    return tuple(state.code for state in states)


def drawn(tree: Tree, own: Floats, **fields: object) -> Flame:
    """The flame graph of a tree whose nodes have these values of their own, shape (nodes,)."""
    return Flame(
        frames=tree.frames,
        parent=tuple(tree.parent.tolist()),
        frame=tuple(tree.frame.tolist()),
        value=tuple(tree.whole(own).tolist()),
        self_value=tuple(own.tolist()),
        code=tree.code,
        **fields,  # type: ignore[arg-type] # the callers' literals
    )
