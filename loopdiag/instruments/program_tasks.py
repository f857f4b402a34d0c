"""Every task of a program: which one made it, and where; when it ran first, and when it was done.

Seams: the loop's ``create_task`` and ``call_soon``, as attributes of the loop.  A task's first step is scheduled by ``call_soon`` while it is made; a callback of
ours, added to it first of all, is scheduled by ``call_soon`` in the moment that it is done, and goes no further.  ``asyncio.Task`` is
a subclass of C's, which tells who awaits it: C asks a task that is exactly its own nothing.

A task's number is its row's.  It stands in a slot of the task, or, for tasks that were made otherwise, under its identity until it is done.
"""

import asyncio
import struct
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import context
from .calibration import each_ns, ignore, opened, priced, scratch_table
from .context import Rows
from .dropping import Drop
from .loops import Watched, loops_of
from .patching import Missing
from .places import OURS, PLACES
from .recorder import Table, now
from .schema import MASK, TASK, TICK_SHIFT, words
from .task_class import PLAIN, awaited_task, put_class
from .waits import WAKEUP, Waiting, waiter, waiting_of

NAME = "program_tasks"
W = words(TASK)
PLACE, LOOP, FIRST_RUN, DONE = W["place"], W["loop"], W["first_run"], W["done"]
_made = struct.Struct("<Q3I").pack_into  # t0, parent, place, loop

EAGER_EXISTS = sys.version_info >= (3, 12)


def done(task: Any) -> None:
    """Added to every task; runs only where the loop's ``call_soon`` is no longer ours."""


class Tasks:
    """The tasks of one process.

    Attributes:
        task_class: what ``asyncio.Task`` is while a program is watched.
        table, row_words: their rows, and how long each is.
    """

    def __init__(self, table: Table) -> None:
        self.task_class: Any = PLAIN
        self.table = table
        self._words = table.words
        self._numbers: dict[int, int] = {}
        self.row_words = table.row_words or 1

    def open(self, parent: int, place: int, loop: int) -> int:
        """The number of a task that is made now; 0 where there is no room."""
        return self.table.open_with(_made, now(), parent, place, loop) // self.row_words

    def name(self, task: Any, number: int) -> None:
        """`task` has this number from now on."""
        try:
            task._loopdiag = number
        except AttributeError:
            self._numbers[id(task)] = number

    def number(self, task: Any) -> int:
        """The number of `task`; one that was not seen when it was made gets its number now."""
        number: int = getattr(task, "_loopdiag", 0) or self._numbers.get(id(task), 0)
        if number or task.done():
            return number
        probe = getattr(task.get_loop(), "_loopdiag_tasks", None)
        if probe is not None and probe.creating and task is not probe.creator:
            number = probe.creating  # an eager one asks while it is being made
            self.name(task, number)
            return number
        number = self.open(0, 0, 0)
        self.name(task, number)
        task.add_done_callback(done)
        return number

    def known(self, task: Any) -> int:
        """The number of `task`, 0 where it has none."""
        return getattr(task, "_loopdiag", 0) or self._numbers.get(id(task), 0)

    def place(self, number: int) -> int:
        """The line that made the task of this number; 0: not known."""
        return self._words[number * self.row_words + PLACE]

    def ran(self, number: int, loop: int) -> None:
        """The first step of a task begins, in the loop of that number."""
        row = number * self.row_words
        self._words[row + FIRST_RUN] = now() >> TICK_SHIFT & MASK
        self._words[row + LOOP] = loop  # that of a loop's first task is not known before

    def done(self, task: Any) -> None:
        """`task` has just ended."""
        number = getattr(task, "_loopdiag", 0) or self._numbers.pop(id(task), 0)
        if number:
            self._words[number * self.row_words + DONE] = now() >> TICK_SHIFT & MASK


_tasks: "dict[int, Tasks]" = {}


def tasks_of(rows: Rows) -> Tasks:
    """The tasks of the process that `rows` records."""
    known = _tasks.get(id(rows))
    if known is None:
        known = _tasks[id(rows)] = Tasks(rows.tasks)
    return known


class Probe:
    """The tasks of one loop."""

    def __init__(self, loop: Any, watched: Watched, tasks: Tasks, waiting: Waiting, give_up: "Callable[[Exception], None]") -> None:
        self._loop, self._watched, self._tasks, self._waiting = loop, watched, tasks, waiting
        self._class = tasks.task_class
        self._give_up = give_up
        self.creator: Any = None
        self.creating = 0  # the number of the task that is being made, until its first step is scheduled

    def make_create_task(self, before: "Callable[..., Any]") -> "Callable[..., Any]":
        """For the loop's ``create_task``."""
        loop, tasks, watched, made, add = self._loop, self._tasks, self._watched, self._class, self._class.__base__.add_done_callback
        place_of, frame_of, (_, task_of, running) = PLACES.of_frame, sys._getframe, context.quick()
        table, following, base, size = tasks.table, tasks.table.following, tasks.table.base, tasks.table.row_bytes

        def create_task(coro: Any, **kwargs: Any) -> Any:
            creator = task_of(running())
            try:
                parent = 0 if creator is None else getattr(creator, "_loopdiag", 0) or tasks.number(creator)
                number = following()  # as Table.open_with does, without its call
                if number < table.reserved or table.room():
                    _made(table.map, base + number * size, now(), parent, place_of(frame_of(1)), watched.number)
                else:
                    number = 0
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                self.leave(loop)
                self._give_up(error)
                return before(coro, **kwargs)
            outer = self.creator, self.creating
            self.creator, self.creating = creator, number
            try:
                task = before(coro, **kwargs)
                eager = self.creating == number
            finally:
                self.creator, self.creating = outer
            if type(task) is made and not eager and not task._source_traceback:  # in short what the rest does
                task._loopdiag = number
                add(task, done)
                return task
            try:
                self._entered(task, number, eager=eager)
                return task
            finally:
                del task  # the traceback of an eager one that failed has this frame, which is not to keep the task alive

        return create_task

    def _entered(self, task: Any, number: int, *, eager: bool) -> None:
        """`task` was made; an `eager` one ran, and perhaps ended, meanwhile."""
        tasks = self._tasks
        if eager:  # its first step was not scheduled: it ran inside
            tasks.ran(number, self._watched.number)
        source = getattr(task, "_source_traceback", None)
        if source:  # of debug mode
            source[:] = [line for line in source if not line.filename.startswith(OURS)]
        tasks.name(task, number)
        if task.done():
            tasks.done(task)
        else:
            task.add_done_callback(done)

    def make_call_soon(self, before: "Callable[..., Any]") -> "Callable[..., Any]":
        """For the loop's ``call_soon``: first steps, ends of tasks, and who is woken."""
        waits, woken, ended, tasks = self._waiting.rows, self._waiting.woken, self._waiting.resume, self._tasks
        row_of = waits.get
        watched, words_, row_words = self._watched, self._tasks.table.words, self._tasks.row_words

        def first(number: int, step: "Callable[[], None]") -> None:
            row = number * row_words
            words_[row + FIRST_RUN] = now() >> TICK_SHIFT & MASK
            words_[row + LOOP] = watched.number  # that of a loop's first task is not known before
            step()

        def call_soon(callback: "Callable[..., Any]", *args: Any, context: Any = None) -> Any:
            if type(callback) is WAKEUP:
                row = row_of(id(callback.__self__), 0)  # type: ignore[attr-defined] # C's, bound to its task
                if row and (task := waiter(callback)) is not None:
                    del waits[id(task)]
                    row = woken(task, row, sys._getframe(1))
                    return before(ended, row, callback, *args, context=context)
            elif callback is done:
                number = getattr(args[0], "_loopdiag", 0)
                if number:
                    words_[number * row_words + DONE] = now() >> TICK_SHIFT & MASK
                    return None
                return tasks.done(args[0])
            elif self.creating and (not EAGER_EXISTS or self._is_first(callback)):
                number, self.creating = self.creating, 0
                return before(first, number, callback, context=context)
            return before(callback, *args, context=context)

        return call_soon

    def leave(self, loop: Any) -> None:
        """Give the loop its own methods back."""
        for name in ("create_task", "call_soon", "_loopdiag_tasks"):
            vars(loop).pop(name, None)

    def _is_first(self, step: Any) -> bool:
        """Whether `step` is the first one of the task that is being made, and not what an eager task schedules in its first step, itself perhaps."""
        return isinstance(getattr(step, "__self__", None), PLAIN) and context.current_task() is self.creator


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Watch every loop's tasks.

    Raises:
        Missing: tasks are not those that we know.
    """
    if PLAIN.__module__ != "_asyncio":
        raise Missing("_asyncio.Task is not there")
    give_up = Drop(rows, NAME)
    tasks = tasks_of(rows)
    waiting = waiting_of(rows, tasks)
    if tasks.task_class is PLAIN:
        tasks.task_class = awaited_task(tasks, waiting)
        put_class(tasks.task_class)

    def attach(loop: Any, watched: Watched) -> None:
        if give_up.done:
            return
        probe = Probe(loop, watched, tasks, waiting, give_up)
        create_task, call_soon = probe.make_create_task(loop.create_task), probe.make_call_soon(loop.call_soon)
        loop._loopdiag_tasks = probe
        loop.create_task, loop.call_soon = create_task, call_soon
        watched.close.append((NAME, lambda: probe.leave(loop)))

    loops_of(rows, module).made.append((NAME, attach))
    rows.costs[NAME] = lambda: priced(opened(rows.tasks), _cost)
    return {}


def _cost() -> float:
    """Nanoseconds a task: it is made, scheduled, ends."""
    tasks = Tasks(scratch_table())
    tasks.task_class = _Made
    probe = Probe(_Loop(), Watched(), tasks, Waiting(scratch_table(), tasks, ignore), ignore)
    made = _Made(loop=_Loop())  # type: ignore[arg-type] # as far as it is asked

    def make(_coro: Any) -> _Made:
        probe.creating = 0
        return made

    create_task, call_soon = probe.make_create_task(make), probe.make_call_soon(ignore)

    def task() -> None:
        create_task(None)
        call_soon(done, made)

    return each_ns(task)


class _Loop:
    """A loop, as far as `_cost` needs it."""

    get_debug = ignore


class _Made(asyncio.Future):  # type: ignore[type-arg] # on 3.10 it takes none at run time
    """A task, as far as `_cost` needs it."""

    _loopdiag = 0
