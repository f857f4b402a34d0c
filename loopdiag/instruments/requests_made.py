"""Who makes a request: the task or the thread, the call in an executor, the line of the program, the library that it enters by."""

import struct
import sys
from _thread import get_ident
from types import FrameType, ModuleType

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
    give_up = Drop(rows, NAME)
    note = Note(rows)

    def note_request(row: int, library: str, frame: "FrameType | None" = None) -> None:
        if give_up.done:
            return
        try:
            note(rows.attempts.words[row + REQUEST], LIBRARIES.get(library, 0), frame or sys._getframe(1))
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            give_up(error)

    rows.note_request = note_request
    made.tell(rows)
    rows.costs[NAME] = lambda: priced(opened(note.table) if note.table is not None else 0, lambda: _cost(rows))


class Note:
    """Writes a row for each request.

    Attributes:
        table: opened for the first one.
    """

    def __init__(self, rows: Rows) -> None:
        self.table: Table | None = None
        self._rows = rows
        self._threads: dict[int, int] = {}

    def __call__(self, request: int, library: int, frame: FrameType) -> None:
        """Whoever runs in `frame` makes the request of that number."""
        table = self.table
        if table is None:
            table = self.table = self._rows.requests_made
        task = context.current_task()
        number = thread = 0
        if task is not None:
            number = _task_number(self._rows, task)
        else:
            ident = get_ident()
            thread = self._threads.get(ident, 0)
            if not thread:
                thread = self._threads[ident] = len(self._threads) + 1
        job = WORKING.get(get_ident(), 0) // JOB_WORDS if WORKING else 0
        table.open_with(_noted, now(), request, number, thread, job, PLACES.of_frame(frame), library)


def _task_number(rows: Rows, task: object) -> int:
    from .program_tasks import tasks_of  # only where asyncio is there

    return tasks_of(rows).number(task)


def _cost(rows: Rows) -> float:
    """Nanoseconds a request."""
    note, frame = Note(rows), sys._getframe()
    note.table = scratch_table()
    return each_ns(lambda: note(0, 0, frame))
