"""Folded stacks, one line a stack, as flame graph tools read them: ``arm;outermost;…;innermost count``, microseconds as counts."""

from collections.abc import Iterable

from loopdiag.model.document import Document
from loopdiag.model.profile import Frame, Profile
from loopdiag.report.growth import one_line, place, why_not

MAIN, ALL = "main", "all"  # the threads of a profile that speaks for its trial: the one that runs the loop, or all together


def render(document: Document) -> str:
    """The profile trials of each arm's largest N, merged; a comment where there are none."""
    lines = folded(largest_profiles(document.profiles))
    return "".join(f"{line}\n" for line in lines) if lines else f"# {why_not(document)}\n"


def largest_profiles(profiles: Iterable[Profile]) -> list[Profile]:
    """Of each arm the profiles at its largest N that was profiled: every repetition, every thread."""
    rows = list(profiles)
    largest = {profile.arm: max(other.n for other in rows if other.arm == profile.arm) for profile in rows}
    return [profile for profile in rows if profile.n == largest[profile.arm]]


def folded(profiles: Iterable[Profile]) -> list[str]:
    """Stacks with their weight in microseconds, by name.

    Counts are rounded as running sums, so that all of them together are the profiles' whole weight; what rounds to nothing has no line.
    """
    weights: dict[str, int] = {}
    for profile in profiles:
        names = [";".join(map(escaped, named(profile, stack))) for stack in profile.stacks]
        for number, weight in zip(profile.stack, profile.weight_ns, strict=True):
            weights[names[number]] = weights.get(names[number], 0) + weight
    lines, before, total = [], 0, 0
    for name, weight in sorted(weights.items()):
        total += weight
        count, before = (total + 500) // 1000 - before, (total + 500) // 1000
        if count:
            lines.append(f"{name} {count}")
    return lines


def named(profile: Profile, stack: tuple[int, ...]) -> list[str]:
    """Arm, thread where it is not the main one, and frames from the outermost in."""
    return [profile.arm, *filter(None, (threads(profile),)), *(label(profile.frames[k]) for k in stack)]


def threads(profile: Profile) -> str:
    """Which threads it is of; empty for the main one."""
    return {MAIN: "", ALL: "all threads"}.get(profile.thread, f"thread {profile.thread}")


def label(frame: Frame) -> str:
    """``function (file:line)``."""
    where = place(frame.file, frame.line)
    return f"{frame.function} ({where})" if where else frame.function


def escaped(name: str) -> str:
    r"""A frame's name on one line, its semicolons, which part frames, as ``\x3b``."""
    return one_line(name).replace(";", "\\x3b")
