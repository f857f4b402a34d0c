"""Waits of tasks: opened where a task begins to wait on something that we know, ended when the task runs on.

Whatever a task waits on is a future.  When that is done, its loop's ``call_soon`` is given the task's wake-up (`program_tasks` looks there): who runs then is
the waker.  Where no task runs then, a future's callback may: that of a task that gather, a task group or the program's own callback waited for.
"""

import struct
from asyncio import Task, events
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Protocol

from . import context
from .context import Rows
from .dropping import Drop
from .loops import Loops
from .places import OURS, PLACES
from .recorder import Table, now
from .schema import MASK, TICK_SHIFT, WAIT, words

W = words(WAIT)
WOKEN, WAKER, END = W["woken"], W["waker"], W["end"]
_begun = struct.Struct("<Q5I").pack_into  # t0, task, kind, number, value, place

#: as in `model.program.WAITS`
KINDS = {
    name: number
    for number, name in enumerate(
        (
            "", "semaphore", "lock", "queue-get", "queue-put", "condition", "event", "sleep", "task", "gather", "wait", "as-completed",
            "executor", "limiter", "future", "barrier", "timeout",
        )
    )
}  # fmt: skip

#: the type of a task's wake-up, as ``call_soon`` gets it
WAKEUP: Any = type(len)

#: the frames that call every callback of a loop: asyncio's handle; else, the loop's run
HANDLE = events.Handle._run.__code__
RUN = next(part for part in Loops._make_run.__code__.co_consts if isinstance(part, CodeType) and part.co_name == "run_forever")
PLACES.stop_at(RUN)


def waiter(callback: Any) -> "Task[Any] | None":
    """The task whose wake-up `callback` is; None: it is something else, such as ``task.cancel``, that a future or a loop calls."""
    if type(callback) is WAKEUP and isinstance(callback.__self__, Task) and not hasattr(Task, callback.__name__):
        return callback.__self__
    return None


def add_by(add: "Callable[..., None]", future: Any, callback: "Callable[..., Any]", context: Any) -> None:
    """``future.add_done_callback(callback, context=context)`` by C's own `add`, which takes a None for a context: whoever ended the future would lend its."""
    if context is None:
        add(future, callback)
    else:
        add(future, callback, context=context)


class Numbered(Protocol):
    """Tasks by their numbers."""

    def number(self, task: Any) -> int:
        """The number of `task`."""

    def known(self, task: Any) -> int:
        """The number of `task`, 0 where it has none."""

    def place(self, number: int) -> int:
        """The line that made the task of this number."""


class Waiting:
    """Who waits now.

    Attributes:
        rows: a waiting task's identity → the row of its wait, or minus 1 for one in `maybe`.
    """

    def __init__(self, table: Table, tasks: Numbered, give_up: "Callable[[Exception], None]") -> None:
        self._table, self._words, self._tasks, self._give_up = table, table.words, tasks, give_up
        self.rows: dict[int, int] = {}
        self._maybe: dict[int, tuple[int, ...]] = {}

    def begin(self, kind: int, task: Any, number: int, value: int, place: int) -> None:
        """`task`, which runs, is about to wait."""
        if place < 0:
            return
        try:
            at, who = now(), getattr(task, "_loopdiag", 0) or self._tasks.number(task)
            if not place:
                place = self._tasks.place(who)  # no code of the program's own runs in it: where it was made
            row = self._table.open_with(_begun, at, who, kind, number & MASK, min(value, MASK), place)
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            self._give_up(error)
            return
        if row:
            self.rows[id(task)] = row

    def begin_at(self, kind: str, task: Any, number: int, value: int = 0) -> None:
        """`task` has just begun to wait, and does not run any more."""
        if id(task) in self.rows:
            return
        try:
            place = PLACES.of_task(task)
        except Exception as error:  # noqa: BLE001 - likewise
            self._give_up(error)
            return
        self.begin(KINDS[kind], task, number, value, place)

    def maybe(self, kind: str, task: Any, number: int, value: int, place: int) -> None:
        """`task` may wait from now on, until `surely_not`."""
        if place >= 0:
            self._maybe[id(task)] = (now(), self._tasks.number(task), KINDS[kind], number & MASK, min(value, MASK), place)
            self.rows.setdefault(id(task), -1)

    def surely_not(self, task: Any) -> None:
        """`task` did wait, or did not, and runs on."""
        self._maybe.pop(id(task), None)
        if self.rows.get(id(task)) == -1:
            del self.rows[id(task)]

    def woken(self, task: Any, row: int, frame: "FrameType") -> int:
        """What `task` waits for is there, by whoever runs in `frame`; returns its row."""
        at = now()
        try:
            if row < 0:
                row = self._table.open_with(_begun, *self._maybe[id(task)])
            words_ = self._words
            words_[row + WOKEN] = at >> TICK_SHIFT & MASK
            waker = context.current_task()
            if waker is None:
                words_[row + WAKER] = self._called_back(frame)
            elif waker is not task:
                words_[row + WAKER] = getattr(waker, "_loopdiag", 0) or self._tasks.number(waker)
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            self._give_up(error)
        return max(0, row)

    def resume(self, row: int, wakeup: "Callable[[Any], None]", future: Any) -> None:
        """The task runs on: scheduled in the place of its wake-up."""
        self._words[row + END] = now() >> TICK_SHIFT & MASK
        maybe = self._maybe
        if maybe:
            task = wakeup.__self__  # type: ignore[attr-defined] # a bound one of C
            begun = maybe.get(id(task))
            if begun is not None:  # it may wait on, for the next thing
                maybe[id(task)] = (now(), *begun[1:])
                self.rows[id(task)] = -1
        wakeup(future)

    def _called_back(self, frame: "FrameType | None") -> int:
        """The task whose end is told to the callback that runs in `frame`; 0: none."""
        outer = None
        while frame is not None and frame.f_code is not HANDLE and frame.f_code is not RUN:
            if not frame.f_code.co_filename.startswith(OURS):
                outer = frame
            frame = frame.f_back
        if outer is None:
            return 0
        if frame is not None and frame.f_code is HANDLE:  # gather's callback binds the name of its argument again
            told = frame.f_locals["self"]._args
            if told and isinstance(told[0], Task):
                return self._tasks.known(told[0])
        code = outer.f_code
        names = code.co_varnames[: code.co_argcount]
        given = outer.f_locals
        for name in reversed(names):
            future = given.get(name)
            if isinstance(future, Task):
                return self._tasks.known(future)
        if code.co_flags & 0x04:  # *args: a partial or a bound method's
            rest = given.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ())
            return next((self._tasks.known(one) for one in reversed(rest) if isinstance(one, Task)), 0)
        return 0


_waiting: "dict[int, Waiting]" = {}


def waiting_of(rows: Rows, tasks: Numbered) -> Waiting:
    """The waits of the process that `rows` records."""
    known = _waiting.get(id(rows))
    if known is None:
        known = _waiting[id(rows)] = Waiting(rows.waits, tasks, Drop(rows, "waits"))
    return known
