"""Flame graphs of single profiles and of the difference between two: one trial, over time, b less a.

Profiles come prepared (`prepared`), so that graphs of several trials compare.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from loopdiag.analysis.flame_tree import Growing, Numbers, drawn, grow
from loopdiag.analysis.stacks import Stack, below_entry, folded, shortened, through, without_recursion
from loopdiag.model.flame import Flame
from loopdiag.model.profile import Frame, Profile

#: a frame of the time graph ends where the next sample is later than so many usual distances
GAP = 2.5
NATIVE = (".c", ".so", ".h")
HIDDEN_C = "C code, the garbage collector included, is counted in the Python function that called it"


def prepared(profile: Profile) -> Profile:
    """Files shortened, the way into the program and recursion folded."""
    return through(profile, shortened, below_entry, without_recursion)


def trial_flame(profile: Profile, *, notes: tuple[str, ...] = ()) -> Flame:
    """The ordinary flame graph of one trial, in milliseconds."""
    stacks = folded(profile)
    tree, weight = grow(*numbered(stacks)), np.array(list(stacks.values()), dtype=float) / 1e6
    return drawn(
        tree,
        tree.own(weight),
        kind="trial",
        title=f"{profile.arm}, N = {profile.n}: one trial",
        arm=profile.arm,
        n=profile.n,
        trial=profile.trial,
        unit=_unit(profile),
        samples=len(profile.stack),
        rate_hz=profile.rate_hz,
        lost=profile.lost,
        other_share=tree.unclassified(weight),
        notes=(*notes, *hidden(stacks)),
    )


def difference(a: Sequence[Profile], b: Sequence[Profile], *, title: str = "") -> Flame:
    """What `b` spends a request more than `a`, stack by stack, in microseconds; each side the mean over its trials.

    Each trial counts with the CPU that the process itself measured where all know it (profilers slow each client differently), else with its samples' weight.
    What `b` spends less has values below 0; a node's value is the sum of its own and its children's, whatever their sign.
    """
    scaled = all(profile.cpu_ns and profile.total_ns for profile in (*a, *b))
    before, after = _per_request(a, scaled=scaled), _per_request(b, scaled=scaled)
    change = {stack: after.get(stack, 0.0) - before.get(stack, 0.0) for stack in (*before, *after)}
    tree, sides = grow(*numbered(change)), (*a, *b)
    return drawn(
        tree,
        tree.own(np.array(list(change.values()))),
        kind="difference",
        title=title or f"{_label(a)} → {_label(b)}",
        arm=b[0].arm,
        n=b[0].n,
        unit=f"µs{' of CPU' if scaled or all(profile.clock == 'cpu' for profile in sides) else ''} a request",
        samples=sum(len(profile.stack) for profile in sides),
        rate_hz=b[0].rate_hz,
        lost=sum(profile.lost for profile in sides),
        other_share=tree.unclassified(np.array([before.get(stack, 0.0) + after.get(stack, 0.0) for stack in change])),
        notes=() if scaled else ("not rescaled to the CPU that the trials measured: it is not known of all of them",),
    )


def time_flame(profile: Profile) -> Flame:
    """What ran when, from left to right: samples that follow each other share the frames that they have in common.

    `start_ns` of a node is its first sample's; its value is the weight of its samples, in milliseconds.  Where no sample was taken for longer than
    usual (the program waited), frames end.
    """
    order = sorted(range(len(profile.at_ns)), key=profile.at_ns.__getitem__)
    usual = float(np.median(np.diff([profile.at_ns[i] for i in order]))) if len(order) > 1 else 0.0
    growing, start, leaf = Growing(), [profile.at_ns[order[0]] if order else 0], []
    for before, i in zip([None, *order], order, strict=False):
        at = profile.at_ns[i]
        if before is not None and at - profile.at_ns[before] > GAP * max(usual, profile.weight_ns[before]):
            growing.pause()
        leaf.append(growing.add(profile.stacks[profile.stack[i]]))
        start += [at] * (len(growing.parent) - len(start))
    tree, weight = growing.tree(leaf, profile.frames), np.array([profile.weight_ns[i] for i in order], dtype=float) / 1e6
    return drawn(
        tree,
        tree.own(weight),
        kind="time",
        title=f"{profile.arm}, N = {profile.n}: one trial, as it ran",
        arm=profile.arm,
        n=profile.n,
        trial=profile.trial,
        unit=_unit(profile),
        start_ns=tuple(start),
        samples=len(order),
        rate_hz=profile.rate_hz,
        lost=profile.lost,
        other_share=tree.unclassified(weight),
    )


def numbered(stacks: Iterable[Stack]) -> tuple[list[Numbers], list[Frame]]:
    """Stacks as numbers, and the frames that these count."""
    frames: dict[Frame, int] = {}
    numbers = [tuple(frames.setdefault(frame, len(frames)) for frame in stack) for stack in stacks]
    return numbers, list(frames)


def hidden(stacks: Iterable[Stack]) -> tuple[str, ...]:
    """What the profiler could not see, where it saw no frame of C code."""
    native = any(frame.file.endswith(NATIVE) for stack in stacks for frame in stack)
    return () if native else (HIDDEN_C,)


def _per_request(profiles: Sequence[Profile], *, scaled: bool) -> dict[Stack, float]:
    """Stack → microseconds a request, the mean over trials."""
    spent: dict[Stack, float] = defaultdict(float)
    for profile in profiles:
        factor = profile.cpu_ns / profile.total_ns if scaled and profile.cpu_ns else 1.0
        for stack, weight in folded(profile).items():
            spent[stack] += weight * factor / profile.n / len(profiles) / 1e3
    return spent


def _label(profiles: Sequence[Profile]) -> str:
    return f"{profiles[0].arm} N = {profiles[0].n}"


def _unit(profile: Profile) -> str:
    return "ms of CPU" if profile.clock == "cpu" else "ms"
