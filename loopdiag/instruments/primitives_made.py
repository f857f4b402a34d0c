"""Semaphores, locks, queues, executors and limiters that the program makes: counted by the line that makes them, and numbered in that order.

A semaphore's bound is what it begins with: later its value tells how many may still enter.
"""

import itertools
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from . import made
from .context import Rows
from .dropping import Drop
from .patching import Missing, original, replace
from .places import PLACES

NAME = "primitives_made"

#: module → (class, what it is, the attribute that has its bound or size)
CLASSES = {
    "asyncio.locks": (("Semaphore", "semaphore", "_value"), ("Lock", "lock", "")),
    "asyncio.queues": (("Queue", "queue", "_maxsize"),),
    "concurrent.futures.thread": (("ThreadPoolExecutor", "executor", "_max_workers"),),
    "anyio._backends._asyncio": (
        ("Semaphore", "semaphore", "_value"),
        ("Lock", "lock", ""),
        ("CapacityLimiter", "limiter", "_total_tokens"),
    ),
}

#: numbers of things to wait on, each kind from 1, also where several libraries make some
_numbers: "dict[str, itertools.count[int]]" = {}


def following(what: str) -> int:
    """The next number for a thing of this kind."""
    return next(_numbers.setdefault(what, itertools.count(1)))


#: number and bound of the things that can bear no attribute, by identity; who gets a dead one's identity is entered when it is made
_bare: "dict[int, tuple[int, int]]" = {}
MOST = 100_000


def enter(thing: Any, number: int, bound: int) -> None:
    """`thing` has this number and this bound from now on."""
    try:
        thing._loopdiag_number, thing._loopdiag_bound = number, bound
    except AttributeError:
        if len(_bare) < MOST:
            _bare[id(thing)] = number, bound


def number_of(thing: Any, what: str) -> int:
    """The number of a thing to wait on, counted from 1 in the order in which they were made or, the others, first waited on."""
    number = getattr(thing, "_loopdiag_number", 0) or _bare.get(id(thing), (0, 0))[0]
    if not number:
        number = following(what)
        enter(thing, number, bound_of(thing))
    return number


def bound_of(thing: Any) -> int:
    """How many a semaphore or a limiter lets in, how long a queue may get; 0 where there is no bound, or it is not known."""
    bound: int | None = getattr(thing, "_loopdiag_bound", None)
    if bound is None and id(thing) in _bare:
        bound = _bare[id(thing)][1]
    if bound is None:
        bound = whole(next((getattr(thing, name) for name in ("_maxsize", "_total_tokens", "_parties") if hasattr(thing, name)), 0))
    return bound


def whole(value: float) -> int:
    """A bound as it is recorded: 0 for none."""
    return int(value) if 0 < value < 1 << 32 else 0


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Count what is made of the classes of `module`; returns what cannot be counted.

    Raises:
        Missing: nothing of it can be.
    """
    missing = {}
    classes = CLASSES[module.__name__]
    for name, what, size in classes:
        try:
            replace(original(module, name), "__init__", counting(rows, what, size))
        except Missing as error:
            missing[f"made.{what}"] = str(error)
    if len(missing) == len(classes):
        raise Missing("; ".join(missing.values()))
    made.tell(rows)
    return missing


def counting(rows: Rows, what: str, size: str) -> "Callable[[Callable[..., None]], Callable[..., None]]":
    """Makes an ``__init__`` that counts."""
    give_up = Drop(rows, "made." + what)

    def make(before: "Callable[..., None]") -> "Callable[..., None]":
        def __init__(self_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self_, *args, **kwargs)
            if give_up.done:
                return
            try:
                _count(rows, what, self_, getattr(self_, size) if size else 0, sys._getframe(1))
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                give_up(error)

        return __init__

    return make


def _count(rows: Rows, what: str, thing: Any, size: float, frame: "FrameType | None") -> None:
    while frame is not None and frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is thing:
        frame = frame.f_back  # of a subclass
    if frame is None or frame.f_globals.get("__name__", "").startswith(("asyncio.", "anyio.")):
        return  # a part of something else
    place = PLACES.of_own(frame)
    if place >= 0:
        enter(thing, following(what), whole(size))
        made.count(rows, what, place, whole(size))
