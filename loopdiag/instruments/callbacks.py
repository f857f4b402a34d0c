"""How long callbacks run: one in 64, by name, into ``callback_ns <name>``.

On asyncio a callback lasts from its leaving the queue of ready handles to the next one's, or to the poll; no callback is wrapped.  On uvloop the
sampled ones are, and only those that pass ``call_soon``.
"""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .calibration import each_ns, ignore, priced
from .context import Rows
from .dropping import Drop
from .loops import Watched, loops_of
from .patching import Missing, original
from .recorder import now
from .scheduling import BUCKETS, Schedule, ready_queue

NAME = "callback_ns"
EVERY = 64
NAMES = 64  # and then "others"

Record = Callable[[Any, int], None]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Time one callback in 64 of every loop."""
    from asyncio import Task

    seen = [0]
    record = recorder(rows, Task, seen)

    give_up = Drop(rows, NAME)

    def attach(loop: Any, watched: Watched) -> None:
        if give_up.done:
            return
        if "call_soon" in vars(loop):
            loop.call_soon = sampled_call_soon(loop.call_soon, record, give_up)
            rows.costs["callbacks"] = lambda: priced(seen[0] * EVERY, _call_soon_cost)
            return
        queue = type(getattr(loop, "_ready", None))
        if watched.schedule is None or "popleft" not in vars(queue):
            raise Missing("nothing times what the loop schedules")
        selector = original(loop, "_selector")
        selector.select, forget = sampled_queue(queue, selector.select, record, give_up)
        watched.end.append((NAME, forget))
        watched.close.append((NAME, lambda: vars(selector).pop("select", None)))
        rows.costs["callbacks"] = lambda: priced(seen[0] * EVERY, _queue_cost)

    loops_of(rows, module).made.append((NAME, attach))
    return {}


def recorder(rows: Rows, task_class: Any, seen: "list[int]") -> Record:
    """What puts a callback's length into the histogram of its name."""
    known: dict[str, list[int]] = {}

    def record(callback: Any, length_ns: int) -> None:
        name = name_of(callback, task_class)
        counts = known.get(name)
        if counts is None:
            if len(known) >= NAMES:
                name = "others"
            counts = known[name] = rows.histograms.setdefault(f"{NAME} {name}", [0] * BUCKETS)
        counts[length_ns.bit_length()] += 1
        seen[0] += 1

    return record


def name_of(callback: Any, task_class: Any) -> str:
    """A task's step is named by its coroutine, everything else by itself."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, task_class):
        coro = owner.get_coro()
        return "task " + str(getattr(coro, "__qualname__", type(coro).__qualname__))
    while isinstance(callback, functools.partial):
        callback = callback.func
    return str(getattr(callback, "__qualname__", type(callback).__qualname__))


def sampled_queue(
    queue: Any, select: "Callable[..., Any]", record: Record, give_up: "Callable[[Exception], None]"
) -> "tuple[Callable[..., Any], Callable[[], None]]":
    """Let the queue's class time one handle in 64.

    Returns:
        What to put in the place of `select`, which ends a batch, and what forgets the callback that is timed, when the loop stops.
    """
    inner = queue.popleft
    left, begun, sampled = EVERY, 0, None

    def end() -> None:
        nonlocal begun, sampled
        length, callback = now() - begun, sampled
        begun, sampled = 0, None
        try:
            record(callback, length)
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            if "popleft" in vars(queue):
                queue.popleft = inner
            give_up(error)

    def popleft(self: Any) -> Any:
        nonlocal left, begun, sampled
        if begun:
            end()
        handle = inner(self)
        left -= 1
        if left <= 0 and not handle._cancelled:
            left, sampled = EVERY, handle._callback
            begun = now()
        return handle

    def ending_select(timeout: "float | None" = None) -> Any:
        if begun:
            end()
        return select(timeout)

    def forget() -> None:
        nonlocal begun, sampled
        begun, sampled = 0, None

    queue.popleft = popleft
    return ending_select, forget


def sampled_call_soon(before: "Callable[..., Any]", record: Record, give_up: "Callable[[Exception], None]") -> "Callable[..., Any]":
    """`before` (a loop's ``call_soon``) with one callback in 64 timed."""
    left, broken = EVERY, False

    def timed(callback: "Callable[..., Any]", *args: Any) -> Any:
        nonlocal broken
        begun = now()
        try:
            return callback(*args)
        finally:
            length = now() - begun
            try:
                record(callback, length)
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                if not broken:
                    broken = True
                    give_up(error)

    def call_soon(callback: "Callable[..., Any]", *args: Any, context: Any = None) -> Any:
        nonlocal left
        left -= 1
        if left > 0 or broken:
            return before(callback, *args, context=context)
        left = EVERY
        return before(timed, callback, *args, context=context)

    return call_soon


def _queue_cost() -> float:
    """Nanoseconds a callback, through the queue, over a queue that is timed only."""
    from collections import deque

    def queue() -> "deque[Any]":
        return ready_queue(deque(), Schedule([0] * BUCKETS, [0] * BUCKETS), ignore)

    def through(queue: "deque[Any]") -> None:
        queue.append(_Handle)
        queue.popleft()

    timed, sampled = queue(), queue()
    sampled_queue(type(sampled), ignore, ignore, ignore)
    return each_ns(lambda: through(sampled)) - each_ns(lambda: through(timed))


class _Handle:
    """What is scheduled there."""

    _cancelled = False
    _callback = None


def _call_soon_cost() -> float:
    """Nanoseconds a callback, through ``call_soon``."""

    def call_soon(callback: "Callable[..., Any]", *args: Any, context: Any = None) -> None:
        callback(*args)

    sampled = sampled_call_soon(call_soon, ignore, ignore)
    return each_ns(lambda: sampled(ignore)) - each_ns(lambda: call_soon(ignore))
