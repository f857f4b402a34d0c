"""What drivers of other kinds than asyncio's tell and switch on: blocking clients, tasks of other loops, and requests that are told after they ended.

A scenario's worker asks for it, on a loop that is none of asyncio's.  Without a recorder every function is a no-op.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from . import context, marks
from .blocking_requests import Blocking
from .context import ENQUEUED, MARKED, A, C, Rows, current, set_current
from .on_import import on_import
from .schema import FLAGS, MASK, TICK_SHIFT

#: library module → the instrument that sees its blocking side
BLOCKING = (("socket", "blocking_sockets"), ("ssl", "blocking_sockets"), ("httpcore", "httpcore_sync"), ("httpx", "httpcore_sync"))


class Driven(Blocking):
    """Blocking requests whose driver marks where they begin and end, in the thread that makes them."""

    def attempt(self, library: str) -> int:
        """As `Blocking.attempt`; it is the thread's from now on."""
        row = super().attempt(library)
        set_current(row)
        return row

    def _open(self, library: str, began: int) -> int:
        row, words = current(), self.words
        if not words[row + A["flags"]] & MARKED:
            return super()._open(library, began)
        return self._rows.next_attempt(row) if words[row + ENQUEUED] else row


def blocking() -> None:
    """Watch the blocking side of the libraries, too."""
    rows = marks._rows
    if rows is None:
        return
    rows.blocking = Driven(rows)  # type: ignore[attr-defined] # `shared` finds it there
    for library, instrument in BLOCKING:
        on_import(library, _installer(rows, instrument))


def _installer(rows: Rows, name: str) -> "Callable[[ModuleType], None]":
    def install(module: ModuleType) -> None:
        try:
            import_module("." + name, __package__).install(rows, module)
        except Exception as error:  # noqa: BLE001 - a failing instrument is dropped, the program runs on
            rows.dropped[name] = f"{type(error).__name__}: {error}"

    return install


def tasks_by(running: "Callable[[], Any]") -> None:
    """The running task is what `running` returns (None: none runs), from before the first client library is imported on."""
    context._running_loop = context._no_task
    context._task_of = lambda _loop: running()


def unseen(reasons: "dict[str, str]") -> None:
    """Say why columns are not observed."""
    if marks._rows is not None:
        marks._rows.dropped.update(reasons)


def opened(request: int, due_ns: int, created_ns: int) -> int:
    """A request that nothing carries; the row of its attempt, to be told about."""
    marks.begin(request, due_ns, created_ns)
    row = current()
    context.forget_current()
    return row


def stamped(row: int, **times_ns: int) -> None:
    """Stamp fields of the attempt in `row`, each with the time when it happened."""
    if marks._rows is not None:
        words = marks._rows.attempts.words
        for name, at in times_ns.items():
            words[row + A[name]] = at >> TICK_SHIFT & MASK


def answered(row: int, status: int, wire_bytes: int) -> None:
    """What was answered to the attempt in `row`."""
    if marks._rows is not None:
        words = marks._rows.attempts.words
        words[row + A["status"]], words[row + A["wire_bytes"]] = status, wire_bytes & MASK


def flagged(row: int, name: str) -> None:
    """Flag the attempt in `row` with one of ``schema.FLAGS``."""
    if marks._rows is not None:
        marks._rows.attempts.words[row + A["flags"]] |= FLAGS[name]


def connected(row: int, port: int, **times_ns: int) -> int:
    """The attempt in `row` opened a connection, stamped with when that happened; what `used` knows it by."""
    rows = marks._rows
    if rows is None:
        return 0
    link = rows.begin_connection(row)
    context.LINK.set(0)
    if link:
        rows.connections.quads[link >> 1] = min(times_ns.values())
    words = rows.connections.words
    words[link + C["local_port"]] = port
    for name, at in times_ns.items():
        words[link + C[name]] = at >> TICK_SHIFT & MASK
    return link


def used(row: int, link: int) -> None:
    """The attempt in `row` was made on a connection."""
    if marks._rows is not None:
        marks._rows.use_connection(row, link)
