"""What a driver may say about its own requests: when they were due and created, and when they are done.

Programs need none of this.  The scenario worker knows the due times of an open loop, and the fake client on virtual time has no socket
to be watched at; both say so here.  Without a recorder every function is a no-op.
"""

import struct
import sys
from collections.abc import Callable

from . import recorder
from .context import DONE, ENDS, LINK, MARKED, A, C, Rows, current, forget_current, set_current
from .ends import ending
from .schema import FLAGS, MASK, TICK_SHIFT

#: the first fields of an attempt, up to `first_run`
_begun = struct.Struct("<Q9I").pack_into

_rows: "Rows | None" = None
_now: "Callable[[], int]" = recorder.now


def attach(rows: "Rows") -> None:
    """Record into `rows` from now on."""
    global _rows  # noqa: PLW0603 - one recorder a process
    _rows = rows


def use_clock(now_ns: "Callable[[], int]") -> None:
    """Stamp by `now_ns` (nanoseconds) instead of the process's clock; for loops on virtual time."""
    global _now  # noqa: PLW0603 - one clock a process
    _now = now_ns


def begin(request: int, due_ns: int, created_ns: int) -> None:
    """A request's first statement: its number, when it was due, when its task was created."""
    if _rows is None:
        return
    at, table = _now(), _rows.attempts
    row = table.following()  # as Table.open does, without its call; the sink is left alone, it would be read as a row
    if row < table.reserved or table.room():
        due, created, run = due_ns >> TICK_SHIFT & MASK, created_ns >> TICK_SHIFT & MASK, at >> TICK_SHIFT & MASK
        _begun(table.map, table.base + row * table.row_bytes, at, request & MASK, 0, 0, MARKED, 0, 0, due, created, run)
        row *= table.row_words
    else:
        row = 0
    set_current(row)


def stamp(name: str) -> None:
    """Stamp the running attempt's field `name` (of ``schema.ATTEMPT``) with the time now."""
    if _rows is not None:
        _rows.attempts.words[current() + A[name]] = _now() >> TICK_SHIFT & MASK


def decoded() -> None:
    """The body has been decoded."""
    stamp("decoded")


def end() -> None:
    """The request is done; say so in a ``finally``, where an exception that passes through tells how it ended."""
    if _rows is None:
        return
    row = forget_current()
    error = sys.exc_info()[1]
    if error is not None and error.__traceback__ is not None and error.__traceback__.tb_frame is sys._getframe(1):
        _ended(row, error)
    _rows.attempts.words[row + DONE] = _now() >> TICK_SHIFT & MASK


def failed() -> None:
    """The request ended without an answer; say so where its exception is handled, which tells whether it was a time-out."""
    if _rows is not None:
        _ended(current(), sys.exc_info()[1])


def _ended(row: int, error: "BaseException | None") -> None:
    """Flag how the attempt in `row` ended: the library knows best, except that whoever cancels it knows why."""
    assert _rows is not None
    words = _rows.attempts.words
    flags = words[row + A["flags"]]
    if not flags & ENDS & ~FLAGS["cancelled"]:
        words[row + A["flags"]] = flags & ~ENDS | FLAGS["error" if error is None else ending(error)]


def answered(status: int, wire_bytes: int) -> None:
    """The running attempt's answer: status and body bytes."""
    if _rows is not None:
        words, row = _rows.attempts.words, current()
        words[row + A["status"]] = status
        words[row + A["wire_bytes"]] = wire_bytes


def connection(begun_ns: int, made_ns: int) -> int:
    """A connection that the running attempt opened between two times; its handle, for `reuse`."""
    if _rows is None:
        return 0
    link = _rows.begin_connection(current())
    if link:
        _rows.connections.quads[link >> 1] = begun_ns
    _rows.connections.words[link + C["tcp_start"]] = begun_ns >> TICK_SHIFT & MASK
    _rows.connections.words[link + C["tcp_end"]] = made_ns >> TICK_SHIFT & MASK
    _rows.connections.words[link + C["made"]] = made_ns >> TICK_SHIFT & MASK
    LINK.set(0)
    return link


def reuse(link: int) -> None:
    """The running attempt uses the connection behind `link`."""
    if _rows is not None:
        _rows.use_connection(current(), link)


# -- what a client of loopdiag's own says of the attempts and connections that it makes: no instrument knows it; rows and handles are 0 without a recorder


def entered() -> None:
    """The running task makes a request of a client: the one that a driver marked, or one of its own."""
    if _rows is not None:
        _rows.begin_request()


def left(error: "BaseException | None" = None) -> None:
    """The client is done with the running task's request; `error` is how it ended, if it did not end well."""
    if _rows is not None and (row := current()):
        if error is not None:
            _rows.fail(row, error)
        _rows.end_attempts(row)


def attempt() -> int:
    """The running request reaches its client's pool: the row of its attempt, stamped `enqueued`; one more where the last was redirected."""
    return 0 if _rows is None else _rows.begin_attempt()


def resume(row: int) -> None:
    """What runs from now on makes the attempt in `row`; for a client that makes many in one thread without tasks."""
    set_current(row)


def at(row: int, name: str) -> None:
    """Stamp field `name` of the attempt in `row` with the time now."""
    if _rows is not None:
        _rows.attempts.words[row + A[name]] = _now() >> TICK_SHIFT & MASK


def reply(row: int, status: int, wire_bytes: int) -> None:
    """What came for the attempt in `row` so far."""
    if _rows is not None:
        words = _rows.attempts.words
        words[row + A["status"]], words[row + A["wire_bytes"]] = status, wire_bytes & MASK


def broken(row: int, error: BaseException) -> None:
    """The attempt in `row` ended with `error`."""
    if _rows is not None:
        _rows.fail(row, error)


def connecting(row: int) -> int:
    """The attempt in `row` begins to open a connection; its handle.  A TLS handshake that begins in this context from now on is its."""
    return 0 if _rows is None else _rows.begin_connection(row)


def handshaking(link: int) -> None:
    """The TLS handshake that begins next is that of the connection behind `link`."""
    LINK.set(link)


def link_at(link: int, name: str) -> None:
    """Stamp field `name` of the connection behind `link` with the time now."""
    if _rows is not None and link:
        _rows.connections.words[link + C[name]] = _now() >> TICK_SHIFT & MASK


def local_port(link: int, port: int) -> None:
    """The port that the connection behind `link` got."""
    if _rows is not None and link:
        _rows.connections.words[link + C["local_port"]] = port


def uses(row: int, link: int) -> None:
    """The attempt in `row` uses the connection behind `link`."""
    if _rows is not None and link:
        _rows.use_connection(row, link)
