"""Which attempt and which connection the running code belongs to, and the rows that they stamp.

An attempt's row is found by the task that runs it, and by the owner of a connection in protocol callbacks (a context variable names the
wrong request there as soon as a connection is reused).  Only a connection that is being opened travels in a context variable: its TLS handshake begins in
a callback, in the opener's context.  Tasks are known by ``id``, in one dictionary of integers, because a context variable costs every
request objects that the garbage collector tracks.
"""

import itertools
import sys
from _thread import RLock, get_ident
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .ends import ending
from .on_import import on_import
from .recorder import Table, now
from .schema import ATTEMPT, CONNECTION, EVENT, FLAGS, MASK, TICK_SHIFT, words

A = words(ATTEMPT)
C = words(CONNECTION)
E = words(EVENT)

LINK: "ContextVar[int]" = ContextVar("loopdiag_connection", default=0)

ENQUEUED = A["enqueued"]
DONE = A["done"]
_FLAGS, _REQUEST, _FIRST_RUN = A["flags"], A["request"], A["first_run"]

#: bits of an attempt's flags that only the bookkeeping below reads
ENTERED = 1 << 12  # the client's public entry was seen: what reaches a pool before another entry is a further attempt of this request
MARKED = 1 << 13  # a driver says where the request ends

#: how an attempt may end other than with an answer; one of them at most
ENDS = FLAGS["cancelled"] | FLAGS["error"] | FLAGS["timed_out"]


_rows_of_tasks: "dict[int, int]" = {}
_row_of = _rows_of_tasks.get


def _no_task(_loop: Any = None) -> None:
    """No loop, and no task, runs while asyncio is not even imported."""


_running_loop: "Callable[[], Any]" = _no_task
_task_of: "Callable[[Any], Any]" = _no_task


def _asyncio_is_there(module: Any) -> None:
    """Take the quickest way to the running task; none of them raises where no loop runs."""
    global _running_loop, _task_of  # noqa: PLW0603 - asyncio comes once
    _running_loop = module.events._get_running_loop
    running, known = (getattr(part, "_current_tasks", None) for part in (sys.modules.get("_asyncio"), module))
    if running is known and running is not None and sys.version_info < (3, 14):
        _task_of = running.get
        return
    task_of = module.current_task  # from 3.14 on each thread knows its own, and of the thread's own loop this asks nobody else

    def of(loop: Any) -> Any:
        return None if loop is None else task_of(loop)

    _task_of = of


on_import("asyncio.tasks", _asyncio_is_there)


def quick() -> "tuple[Callable[[int, int], int], Callable[[Any], Any], Callable[[], Any]]":
    """The parts of `current`, for hooks that every request passes: ``row_of(id(task_of(running())), 0)``.

    Where asyncio is imported, and so in every client's instrument; a call of `current` costs as much again.  It finds the rows of tasks alone.
    """
    return _row_of, _task_of, _running_loop


def current_task() -> Any:
    """The running task; None where none runs."""
    return _task_of(_running_loop())


def _whose() -> int:
    """What the running code's row is found by: its task, or the thread where none runs."""
    task = _task_of(_running_loop())
    return -get_ident() if task is None else id(task)


def current() -> int:
    """The row of the attempt that the running task makes, or the thread where no task runs; 0 (the sink) where there is none."""
    return _row_of(_whose(), 0)


def set_current(row: int) -> None:
    """The running task makes the attempt in `row` from now on."""
    _rows_of_tasks[_whose()] = row


def forget_current() -> int:
    """The running task makes no attempt any more; the row of the one that it made."""
    return _rows_of_tasks.pop(_whose(), 0)


def _nobody_asks(*_args: Any) -> None:
    """Who makes a request is not asked in a scenario: its driver says so."""


#: the tables that `Rows` itself opens
OPENED = ("attempts", "connections", "iterations", "pauses", "executor", "samples", "events", "tasks", "waits", "requests_made", "stalls")
#: opened at once where no program is watched: whoever reads a scenario's trial finds them there
SCENARIO_TABLES = OPENED[:6]


class Rows:
    """The tables of this process and the few operations on them that every instrument shares."""

    #: the tables, in files of their own names
    attempts: Table
    connections: Table
    iterations: Table
    pauses: Table
    executor: Table
    samples: Table
    events: Table
    tasks: Table
    waits: Table
    requests_made: Table  # called `requests`, as the numbers of requests are here
    stalls: Table

    def __init__(self, folder: str, *, program: bool = False) -> None:
        """Record into `folder`.

        In a user's `program`, more is watched than its requests, and a table is opened when it is first asked for: a process that never comes to one does not pay
        for it.  Otherwise those of every trial are opened now.

        Raises:
            OSError: there is no room; of a program's tables that is told at its end.
        """
        self._folder = folder
        self._opening, self._inherited = RLock(), False  # what runs in between, as a finalizer, may open one, too
        self.program = program
        self.requests = itertools.count(1)
        self.counters: dict[str, int] = {}
        self.level = 0  # index in bootstrap.LEVELS
        self.verify = False  # cross-check the stamps against the libraries' public events
        #: name → counts by power of two: element k counts values v with 2**(k-1) <= v < 2**k nanoseconds
        self.histograms: dict[str, list[int]] = {}
        #: instrument → function that tells, when the process ends, (how often its hot path ran, nanoseconds each)
        self.costs: dict[str, Callable[[], tuple[int, float]]] = {}
        #: instrument or column → why it is not observed
        self.dropped: dict[str, str] = {}
        self.warnings: list[str] = []
        #: of a program: part of the account → what it says, asked when the account is written
        self.told: dict[str, Callable[[], Any]] = {}
        #: of a program: (what, place, bound) → [how many were made, nanoseconds of CPU or -1]; see `made`
        self.made: dict[tuple[str, int, int], list[int]] = {}
        #: of a program: called with (row, library, whose place) for each request that enters a client; see `requests_made`
        self.note_request: Callable[..., None] = _nobody_asks
        if not program:
            for name in SCENARIO_TABLES:
                getattr(self, name)

    def __getattr__(self, name: str) -> Table:
        """Open the table called `name`.

        Raises:
            OSError: there is no room, and this is no program of a user's, which would meet it anywhere.
        """
        if name not in OPENED:
            raise AttributeError(name)
        with self._opening:  # two threads may ask for it at once
            opened: Table | None = vars(self).get(name)
            if opened is None:
                opened = self._open("requests" if name == "requests_made" else name)
                setattr(self, name, opened)
        return opened

    def leave(self) -> None:
        """This is a forked child: the tables and the requests are its parent's, every row that it opens is their sink, and it opens no further table."""
        self._opening, self._inherited = RLock(), True  # another thread of the parent may have held the old lock
        _rows_of_tasks.clear()
        for table in self.tables:
            table.leave()

    def _open(self, name: str) -> Table:
        try:
            return Table.nowhere(name) if self._inherited else Table(self._folder, name)
        except OSError as error:
            if not self.program:
                raise
            self.drop(name, error)
            return Table.nowhere(name)

    def drop(self, name: str, error: BaseException) -> None:
        """An instrument or a probe failed while the program ran: note why; it must have taken itself out of the way."""
        self.dropped.setdefault(name, f"{type(error).__name__}: {error}")
        self.warnings.append(f"the instrument {name} failed and was dropped: {type(error).__name__}: {error}")

    @property
    def tables(self) -> "tuple[Table, ...]":
        """Those that are open."""
        return tuple(part for part in tuple(vars(self).values()) if isinstance(part, Table))  # another thread may open one meanwhile

    def begin_request(self, library: str = "") -> int:
        """The row of a request that enters a client, in the request's own task: the one that a driver marked, or a new one; `library` is its name.

        It becomes the running task's.  What that task asked for before is over, however it ended.
        """
        words_ = self.attempts.words
        who = _whose()
        row = _row_of(who, 0)
        if row and words_[row + _FLAGS] & MARKED:
            return row
        row = self._open_request(library, who)
        words_[row + _FLAGS] = ENTERED
        return row

    def _open_request(self, library: str, who: int) -> int:
        row = self.attempts.open()
        words_ = self.attempts.words
        words_[row + _REQUEST] = next(self.requests) & MASK
        words_[row + _FIRST_RUN] = now() >> TICK_SHIFT & MASK
        _rows_of_tasks[who] = row
        self.note_request(row, library)
        return row

    def begin_attempt(self, library: str = "") -> int:
        """The row of an attempt that reaches a pool: the request's first row, or a new one for a retry or a redirect.

        Stamps `enqueued` and makes it the running task's.  A library that is used below its public entry makes a new request each time.
        """
        words_ = self.attempts.words
        who = _whose()
        row = _row_of(who, 0)
        if not row:
            row = self._open_request(library, who)
        elif words_[row + ENQUEUED]:
            if words_[row + _FLAGS] & (ENTERED | MARKED):
                row = _rows_of_tasks[who] = self.next_attempt(row)
            else:
                row = self._open_request(library, who)
        words_[row + ENQUEUED] = now() >> TICK_SHIFT & MASK
        return row

    def next_attempt(self, last: int) -> int:
        """One more attempt of the request whose last one is in `last`: a redirect where an answer sent it on, else a retry."""
        words_ = self.attempts.words
        row = self.attempts.open()
        flags, status = words_[last + _FLAGS], words_[last + A["status"]]
        redirected = not flags & ENDS and 300 <= status < 400
        words_[last + _FLAGS] = flags | FLAGS["redirected" if redirected else "retried"]
        number, hop = (flags >> 16 & 0xFF) + 1, (flags >> 24) + redirected
        words_[row + A["request"]] = words_[last + A["request"]]
        words_[row + _FLAGS] = min(hop, 0xFF) << 24 | min(number, 0xFF) << 16 | flags & (ENTERED | MARKED)
        return row

    def end_attempts(self, row: int) -> None:
        """The library is done with the request in `row`: what its task asks for next is another one, unless a driver marks where it ends."""
        if not self.attempts.words[row + _FLAGS] & MARKED:
            forget_current()

    def fail(self, row: int, error: BaseException) -> None:
        """The attempt in `row` ended with `error`; another one may follow."""
        words_ = self.attempts.words
        words_[row + _FLAGS] = words_[row + _FLAGS] & ~ENDS | FLAGS[ending(error)]
        words_[row + DONE] = now() >> TICK_SHIFT & MASK

    def begin_connection(self, row: int) -> int:
        """A connection's row, opened by the attempt in `row`; sets LINK for the running context."""
        link = self.connections.open()
        self.connections.words[link + C["request"]] = self.attempts.words[row + A["request"]]
        self.attempts.words[row + A["connection"]] = link // self.connections.row_words  # known even if its set-up fails
        LINK.set(link)
        return link

    def use_connection(self, row: int, link: int) -> None:
        """Note that the attempt in `row` runs on the connection in `link`."""
        connections = self.connections.words
        served = connections[link + C["requests"]]
        connections[link + C["requests"]] = served + 1 & MASK
        self.attempts.words[row + A["connection"]] = link // self.connections.row_words
        if served:
            self.attempts.words[row + A["flags"]] |= FLAGS["reused"]

    def record_event(self, row: int, number: int) -> None:
        """In the verify mode: a library's public event `number` came for the attempt in `row`.

        Raises:
            OSError: it is the first one, and there is no room for the table.
        """
        events = self.events
        at = events.open()
        events.words[at + E["row"]] = row // self.attempts.row_words
        events.words[at + E["event"]] = number

    def flag(self, row: int, name: str) -> None:
        """Set a flag of the attempt in `row`."""
        self.attempts.words[row + A["flags"]] |= FLAGS[name]
