"""How long callbacks wait from being scheduled to being run: ``scheduled_to_run_ns``; and tasks to their first step: ``task_start_ns``.

asyncio keeps one queue of what is ready.  A deque of our own in its place stamps what goes in and what comes out, wraps no callback, and so changes
no handle, no traceback and no message; it sees call_soon, timers and I/O alike.  Where there is no such queue (uvloop), ``call_soon`` becomes an attribute of
the loop that sends the time along as an argument; timers and I/O do not pass there.  Neither makes an object that the garbage collector would track.
"""

import sys
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import context
from .calibration import each_ns, ignore, priced
from .context import Rows
from .dropping import Drop
from .loops import Watched, loops_of
from .recorder import now

NAME, TASKS = "scheduled_to_run_ns", "task_start_ns"
BUCKETS = 64

EAGER_EXISTS = sys.version_info >= (3, 12)


class Schedule:
    """What waits in one loop.

    Attributes:
        callbacks, tasks: the histograms.
        expecting: a task is being created; what is scheduled next is its first step.
        creator: the task that creates it.
    """

    __slots__ = ("callbacks", "creator", "expecting", "tasks")

    def __init__(self, callbacks: "list[int]", tasks: "list[int]") -> None:
        self.callbacks, self.tasks = callbacks, tasks
        self.expecting = False
        self.creator: Any = None

    def time(self) -> int:
        """The time now; negative for the first step of a task."""
        if self.expecting and not (
            EAGER_EXISTS and context.current_task() is not self.creator
        ):  # else an eager task is in its first step already
            self.expecting = False
            return -now()
        return now()

    def ran(self, scheduled: int) -> None:
        """What was scheduled at `scheduled` (see `time`) runs now."""
        if scheduled < 0:
            scheduled = -scheduled
            self.tasks[(now() - scheduled).bit_length()] += 1
        self.callbacks[(now() - scheduled).bit_length()] += 1


def histogram(rows: Rows, name: str) -> "list[int]":
    """The histogram `name`, with all its buckets."""
    return rows.histograms.setdefault(name, [0] * BUCKETS)


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Watch what every loop schedules, from its making on."""
    callbacks, tasks = histogram(rows, NAME), histogram(rows, TASKS)

    give_up = Drop(rows, NAME)

    def attach(loop: Any, watched: Watched) -> None:
        if give_up.done:
            return
        watched.schedule = schedule = Schedule(callbacks, tasks)
        if type(getattr(loop, "_ready", None)) is deque:
            loop._ready = ready_queue(loop._ready, schedule, give_up)
            rows.costs["scheduling"] = lambda: priced(sum(callbacks), _queue_cost)
        else:
            loop.call_soon = timed_call_soon(loop.call_soon, schedule, give_up)
            watched.close.append((NAME, lambda: vars(loop).pop("call_soon", None)))
            rows.costs["scheduling"] = lambda: priced(sum(callbacks), _call_soon_cost)

    loops_of(rows, module).made.append((NAME, attach))
    if hasattr(module, "BaseSelectorEventLoop"):
        return {}
    return {NAME + ".io": "uvloop runs I/O callbacks and timers without scheduling them by call_soon"}


def ready_queue(waiting: "deque[Any]", schedule: Schedule, give_up: "Callable[[Exception], None]") -> "deque[Any]":
    """A deque that times what passes it, in the place of `waiting`."""
    times: deque[int] = deque(now() for _ in waiting)
    note, take, put, get, ran = times.append, times.popleft, deque.append, deque.popleft, schedule.ran
    callbacks = schedule.callbacks
    broken = False

    def stop(error: Exception) -> None:
        nonlocal broken
        if not broken:
            broken = True
            give_up(error)

    class Ready(deque):  # type: ignore[type-arg] # on 3.10 it takes none at run time
        def append(self, handle: Any) -> None:
            if not broken:
                try:
                    note(schedule.time() if schedule.expecting else now())
                except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                    stop(error)
            put(self, handle)

        def popleft(self) -> Any:
            handle = get(self)
            if broken:
                return handle
            try:
                scheduled = take()
                if scheduled < 0:
                    ran(scheduled)
                else:
                    callbacks[(now() - scheduled).bit_length()] += 1
            except Exception as error:  # noqa: BLE001 - likewise
                stop(error)
            return handle

        def clear(self) -> None:
            times.clear()
            deque.clear(self)

    Ready.__name__ = Ready.__qualname__ = "deque"
    return Ready(waiting)


def timed_call_soon(before: "Callable[..., Any]", schedule: Schedule, give_up: "Callable[[Exception], None]") -> "Callable[..., Any]":
    """`before` (a loop's ``call_soon``) with the time sent along."""
    callbacks, ran = schedule.callbacks, schedule.ran
    broken = False

    def stop(error: Exception) -> None:
        nonlocal broken
        broken = True
        give_up(error)

    # a task's steps have no argument, its wake-ups one: arguments that are not unpacked cost half

    def timed(scheduled: int, callback: "Callable[..., Any]", *args: Any) -> Any:
        try:
            if scheduled < 0:
                ran(scheduled)
            else:
                callbacks[(now() - scheduled).bit_length()] += 1
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            stop(error)
        return callback(*args) if args else callback()

    def call_soon(callback: "Callable[..., Any]", *args: Any, context: Any = None) -> Any:
        if broken:
            return before(callback, *args, context=context)
        scheduled = schedule.time() if schedule.expecting else now()
        if not args:
            return before(timed, scheduled, callback, context=context)
        return before(timed, scheduled, callback, *args, context=context)

    return call_soon


def _schedule() -> Schedule:
    return Schedule([0] * BUCKETS, [0] * BUCKETS)


def _queue_cost() -> float:
    """Nanoseconds a callback, through the queue."""
    queue, plain = ready_queue(deque(), _schedule(), ignore), deque[Any]()

    def through(queue: "deque[Any]") -> None:
        queue.append(None)
        queue.popleft()

    return each_ns(lambda: through(queue)) - each_ns(lambda: through(plain))


def _call_soon_cost() -> float:
    """Nanoseconds a callback, through ``call_soon``."""

    def call_soon(callback: "Callable[..., Any]", *args: Any, context: Any = None) -> None:
        callback(*args)

    timed = timed_call_soon(call_soon, _schedule(), ignore)
    return each_ns(lambda: timed(ignore)) - each_ns(lambda: call_soon(ignore))
