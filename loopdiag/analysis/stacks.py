"""Passes over profiles: small, pure, of one signature (`Profile` → `Profile`), so that they can be put in a row.

No pass changes a sample's weight.  `window` chooses samples: what it keeps and what it leaves add up to the whole; every
other pass keeps every sample, in its place.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby

import msgspec

from loopdiag.model.profile import Frame, Profile

Pass = Callable[[Profile], Profile]
Stack = tuple[Frame, ...]

#: what follows one of these is the part of a path below its package root; the last one found counts
ROOTS = ("/site-packages/", "/dist-packages/", "/lib-dynload/")
STANDARD_LIBRARY = re.compile(r".*/lib/python3\.\d+t?/(.+)")
#: sources of CPython itself, as debug symbols name them
INTERPRETER = re.compile(r".*/(?:\./)?((?:Modules|Objects|Python|Parser|Include)/.+\.[ch])")
VERSION = re.compile(r"\.so[.\d]*$")
ABI = re.compile(r"\.(?:cpython|pypy|abi)[\w-]*(?=\.so$)")
ADDRESS = re.compile(r"0x[0-9a-f]+")
UNNAMED = "?"  # a function without a symbol: its address would be another in each trial

#: the frames by which a program is entered: file, functions
ENTRY = (
    ("<frozen runpy>", None),
    ("runpy.py", None),
    ("loopdiag/lab/worker.py", frozenset({"<module>", "main"})),
    ("<string>", frozenset({"<module>"})),  # python -c, which starts the worker of an arm with an environment of its own
    ("loopdiag/lab/plain/worker.py", frozenset({"main", "_on_loop"})),
    ("threading.py", frozenset({"_bootstrap", "_bootstrap_inner"})),
)
#: what a loop puts around every callback: file, functions
LOOP = frozenset({"run", "run_until_complete", "run_forever", "_run_once", "_run"})
LOOP_FILES = frozenset({"asyncio/runners.py", "asyncio/base_events.py", "asyncio/unix_events.py", "asyncio/events.py"})


def through(profile: Profile, *passes: Pass) -> Profile:
    """The profile after all passes, in their order."""
    for each in passes:
        profile = each(profile)
    return profile


def merged(profile: Profile) -> Profile:
    """Equal frames and equal stacks numbered once, in the order in which the samples show them; what no sample shows is left out."""
    return _rebuilt(profile, _stacks(profile))


def shortened(profile: Profile) -> Profile:
    """Every frame's file cut to the part below its package root, and functions that have only an address without it."""
    return _with_frames(
        profile,
        lambda frame: msgspec.structs.replace(
            frame, file=short_file(frame.file), function=UNNAMED if ADDRESS.fullmatch(frame.function) else frame.function
        ),
    )


def without_lines(profile: Profile) -> Profile:
    """Frames told apart by function and file alone."""
    return _with_frames(profile, lambda frame: msgspec.structs.replace(frame, line=None))


def below_entry(profile: Profile) -> Profile:
    """Stacks without the outermost frames by which the program was entered; the innermost frame always stays."""
    return _with_stacks(profile, lambda stack: stack[min(_entry(stack), max(len(stack) - 1, 0)) :])


def without_recursion(profile: Profile) -> Profile:
    """Frames that stand directly below themselves, once."""
    return _with_stacks(profile, lambda stack: tuple(frame for frame, _ in groupby(stack)))


def without_loop(profile: Profile) -> Profile:
    """Stacks without the frames that a loop puts around every callback, so that stacks of asyncio's loop and of uvloop compare; the innermost frame stays."""
    return _with_stacks(profile, lambda stack: (*(frame for frame in stack[:-1] if not _is_loop(frame)), *stack[-1:]))


def window(start_ns: int, end_ns: int) -> Pass:
    """Keep the samples taken at start ≤ t < end, in nanoseconds since the trial's t0."""
    return lambda profile: _chosen(profile, [start_ns <= at < end_ns for at in profile.at_ns])


def of_requests(threads: Sequence[Profile]) -> Profile | None:
    """What one trial computed for its requests: its main thread, where that runs a loop or computes most, else all its threads together.

    Args:
        threads: a profile a thread, the main one's first; their samples share the CPU of the process.
    """
    if not threads:
        return None
    main = threads[0]
    loops = any(frame.function in LOOP and short_file(frame.file) in LOOP_FILES for frame in main.frames)
    return main if loops or 2 * main.total_ns >= sum(each.total_ns for each in threads) else joined(threads)


def joined(threads: Sequence[Profile]) -> Profile:
    """The samples of several threads of one trial in the order of time."""
    frames: list[Frame] = []
    stacks: list[tuple[int, ...]] = []
    samples: list[tuple[int, int, int]] = []
    for each in threads:
        frame, stack = len(frames), len(stacks)
        frames += each.frames
        stacks += [tuple(frame + number for number in one) for one in each.stacks]
        samples += [(at, stack + number, weight) for at, number, weight in zip(each.at_ns, each.stack, each.weight_ns, strict=True)]
    samples.sort()
    at_ns, numbers, weights = zip(*samples, strict=True) if samples else ((), (), ())
    whole = msgspec.structs.replace(
        threads[0], thread="all", frames=tuple(frames), stacks=tuple(stacks), at_ns=at_ns, stack=numbers, weight_ns=weights
    )
    return merged(whole)


def folded(profile: Profile) -> dict[Stack, int]:
    """Stack, outermost frame first → nanoseconds, in the order in which the stacks were first seen."""
    whole = merged(profile)
    weight = dict.fromkeys(range(len(whole.stacks)), 0)
    for number, each in zip(whole.stack, whole.weight_ns, strict=True):
        weight[number] += each
    return {tuple(whole.frames[i] for i in whole.stacks[number]): each for number, each in weight.items()}


@lru_cache(maxsize=4096)
def short_file(path: str) -> str:
    """The part of a file's path below its package root; extension modules and shared libraries lose version and ABI; idempotent.

    Files outside of any package keep their folder's name and their own: no more of a machine's paths than tells them apart.
    """
    path = ABI.sub("", VERSION.sub(".so", path.replace("\\", "/")))
    if not (path.startswith("/") or path[1:3] == ":/"):
        bare = path.removeprefix("./")
        return path if bare.removesuffix(".py") in sys.stdlib_module_names else bare  # short already, or no path at all
    for root in ROOTS:
        if root in path:
            return path.rpartition(root)[2]
    if found := STANDARD_LIBRARY.fullmatch(path) or INTERPRETER.fullmatch(path):
        return found[1]
    if path.endswith(".so"):
        return path.rpartition("/")[2]
    if "/loopdiag/" in path:
        return "loopdiag/" + path.rpartition("/loopdiag/")[2]
    return "/".join(path.split("/")[-2:])


def _is_loop(frame: Frame) -> bool:
    return frame.file in LOOP_FILES and frame.function.rpartition(".")[2] in LOOP


def _entry(stack: Stack) -> int:
    """How many of the outermost frames are the way into the program."""
    return next((i for i, frame in enumerate(stack) if not _enters(frame)), len(stack))


def _enters(frame: Frame) -> bool:
    if frame.file.endswith(".so") and frame.function == UNNAMED:
        return True  # the C library starts the process
    name = frame.function.rpartition(".")[2]
    return any(frame.file == file and (functions is None or name in functions) for file, functions in ENTRY)


def _stacks(profile: Profile) -> list[Stack]:
    return [tuple(profile.frames[i] for i in stack) for stack in profile.stacks]


def _with_frames(profile: Profile, change: Callable[[Frame], Frame]) -> Profile:
    return merged(msgspec.structs.replace(profile, frames=tuple(map(change, profile.frames))))


def _with_stacks(profile: Profile, change: Callable[[Stack], Stack]) -> Profile:
    return _rebuilt(profile, map(change, _stacks(profile)))


def _chosen(profile: Profile, keep: Sequence[bool]) -> Profile:
    def column(values: Sequence[int]) -> tuple[int, ...]:
        return tuple(value for value, kept in zip(values, keep, strict=True) if kept)

    return msgspec.structs.replace(profile, at_ns=column(profile.at_ns), stack=column(profile.stack), weight_ns=column(profile.weight_ns))


def _rebuilt(profile: Profile, stacks: Iterable[Stack]) -> Profile:
    """The profile with `stacks` in the place of its own, each frame and each stack numbered once."""
    new = list(stacks)
    frames: dict[Frame, int] = {}
    numbers: dict[tuple[int, ...], int] = {}
    of_old: dict[int, int] = {}
    for old in profile.stack:
        if old not in of_old:
            stack = tuple(frames.setdefault(frame, len(frames)) for frame in new[old])
            of_old[old] = numbers.setdefault(stack, len(numbers))
    return msgspec.structs.replace(profile, frames=tuple(frames), stacks=tuple(numbers), stack=tuple(of_old[old] for old in profile.stack))
