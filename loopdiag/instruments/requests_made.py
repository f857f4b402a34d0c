"""Who makes a request: the task or the thread, the call in an executor, the line of the program, the library that it enters by."""

import itertools
import struct
import sys
from _thread import get_ident
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from . import context, made
from .calibration import each_ns, opened, priced, scratch_table
from .context import A, Rows
from .dropping import Drop
from .executors import WORKING
from .patching import Missing
from .places import PLACES
from .recorder import Table, now
from .schema import EXECUTOR, LIBRARIES, row_words

NAME = "requests_made"
REQUEST = A["request"]
JOB_WORDS = row_words(EXECUTOR)

_noted = struct.Struct("<Q6I").pack_into  # t0, request, task, thread, job, place, library


def install(rows: Rows, _module: ModuleType) -> None:
    """Note every request from now on.

    Raises:
        Missing: no program is watched.
        OSError: there is no room for the table.
    """
    if not rows.program:
        raise Missing("a user's own program")
    note = Note(rows, Drop(rows, NAME))
    rows.note_request = note.request
    made.tell(rows)
    rows.costs[NAME] = lambda: priced(opened(note.table) if note.table is not None else 0, lambda: _cost(rows))


class Note:
    """Writes a row for each request.

    Attributes:
        table: opened for the first one.
    """

    def __init__(self, rows: Rows, give_up: Drop) -> None:
        self.table: Table | None = None
        self._rows, self._give_up = rows, give_up
        self._threads: dict[int, int] = {}
        self._following = itertools.count(1)
        self._number: Callable[[Any], int] | None = None

    def request(self, row: int, library: str, frame: "FrameType | None" = None) -> None:
        """Whoever runs in `frame`, or calls this, makes the request whose first attempt is in `row`."""
        if self._give_up.done:
            return
        try:
            table = self.table
            if table is None:
                table = self.table = self._rows.requests_made
            task = context.current_task()
            if task is not None:
                number, thread = getattr(task, "_loopdiag", 0) or self._task_number(task), 0
            else:
                number, thread = 0, self._thread()
            job = WORKING.get(get_ident(), 0) // JOB_WORDS if WORKING else 0
            request, place = self._rows.attempts.words[row + REQUEST], PLACES.of_frame(frame or sys._getframe(1))
            table.open_with(_noted, now(), request, number, thread, job, place, LIBRARIES.get(library, 0))
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            self._give_up(error)

    def _thread(self) -> int:
        """The number of the running thread."""
        ident = get_ident()
        thread = self._threads.get(ident, 0)
        if not thread:
            thread = self._threads[ident] = next(self._following)  # atomic: other threads come here, too
        return thread

    def _task_number(self, task: object) -> int:
        if self._number is None:
            from .program_tasks import tasks_of  # only where asyncio is there

            self._number = tasks_of(self._rows).number
        return self._number(task)


def _cost(rows: Rows) -> float:
    """Nanoseconds a request."""
    note, frame = Note(rows, Drop(rows, NAME)), sys._getframe()
    note.table = scratch_table()
    return each_ns(lambda: note.request(0, "", frame))
