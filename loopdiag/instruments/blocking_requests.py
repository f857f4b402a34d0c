"""Requests of clients that block: which attempt a thread is making, from the outermost entry into a client to the socket.

A blocking client calls its way down: ``requests`` calls urllib3, that calls ``http.client``, and that the socket.  What is made on the way belongs to the
outermost entry, of which a thread has one at a time: redirects and retries within it are attempts of one request.  An answer outlives its entry; its row
hangs on the connection and on the answer.
"""

from _thread import _local
from collections.abc import Callable
from typing import Any

from .context import ENDS, ENTERED, A, C, Rows
from .recorder import now
from .schema import MASK, TICK_SHIFT

ENQUEUED, ASSIGNED, ASSIGNMENTS, RESUMED = A["enqueued"], A["assigned"], A["assignments"], A["resumed"]
SEND_START, SEND_END, HEADERS, STATUS = A["send_start"], A["send_end"], A["headers"], A["status"]
FIRST, LAST, WIRE = A["first_byte"], A["last_byte"], A["wire_bytes"]
BODY, RELEASED, DONE, FLAGS = A["body"], A["released"], A["done"], A["flags"]
MADE = C["made"]

Method = Callable[..., Any]

#: told by an exception, and an answer all the same
ANSWERS = ("HTTPError", "HTTPStatusError")


class Here(_local):
    """What this thread is at; rows are offsets, 0: none."""

    depth = 0  # entries into clients, one within the other
    library = ""  # of the outermost one
    began = 0  # when it was entered
    row = 0  # its last attempt
    fresh = False  # that attempt has come to a pool, and is on no connection yet
    opening = 0  # the connection that is being opened
    opened = 0  # the one that was opened last, until what speaks HTTP on it is made
    sending = 0  # the attempt that writes its head, and opens a connection for that
    answering = 0  # the attempt that waits for its answer's head


class Blocking:
    """The operations that the blocking clients' instruments share."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.here = Here()
        self.words = rows.attempts.words
        self.links = rows.connections.words

    def enter(self, library: str) -> None:
        """A public entry of `library`; its request's row is opened with its first attempt, because it may need none."""
        here = self.here
        if not here.depth:
            here.library, here.began, here.row, here.fresh = library, now(), 0, False
        here.depth += 1

    def leave(self, error: "BaseException | None" = None) -> None:
        """The entry returns, or raises `error`."""
        here, words = self.here, self.words
        here.depth -= 1
        if here.depth:
            return
        row, here.row, here.fresh = here.row, 0, False
        if not row:
            return
        if error is not None and type(error).__name__ not in ANSWERS:
            self.fail(row, error)
        elif words[row + RELEASED]:  # else its body is still to come
            at = now() >> TICK_SHIFT & MASK
            words[row + DONE] = at
            if not words[row + BODY]:
                words[row + BODY] = at

    def entered(self, library: str) -> "Callable[[Method], Method]":
        """For `patching.replace`: a method that is a public entry of `library`."""

        def make(before: Method) -> Method:
            def enter(*args: Any, **kwargs: Any) -> Any:
                self.enter(library)
                error: BaseException | None = None
                try:
                    return before(*args, **kwargs)
                except BaseException as raised:
                    error = raised
                    raise
                finally:
                    self.leave(error)
                    error = None

            return enter

        return make

    def attempt(self, library: str) -> int:
        """An attempt comes to a pool of connections (or, without one, to its connection): its row, `enqueued`."""
        here = self.here
        if here.row and here.depth:
            row = self._rows.next_attempt(here.row)
        else:
            row = self._open(here.library if here.depth else library, here.began if here.depth else now())
        here.row = row
        self.words[row + ENQUEUED] = now() >> TICK_SHIFT & MASK
        return row

    def _open(self, library: str, began: int) -> int:
        rows, words = self._rows, self.words
        row = rows.attempts.open()
        words[row + A["request"]] = next(rows.requests) & MASK
        words[row + A["first_run"]] = began >> TICK_SHIFT & MASK
        words[row + FLAGS] = ENTERED
        rows.note_request(row, library)
        return row

    def pooled(self, library: str) -> int:
        """An attempt comes to a pool, from where it goes on to a connection."""
        row = self.attempt(library)
        self.here.fresh = True
        return row

    def bound(self, library: str) -> int:
        """The attempt that begins on a connection now: the one that came from a pool, or a new one."""
        here = self.here
        row = here.row if here.fresh else self.attempt(library)
        here.fresh = False
        self.assigned(row)
        if not here.depth:
            here.row = 0
        return row

    def assigned(self, row: int) -> None:
        """The attempt has its connection, or the slot to open one."""
        words = self.words
        if row and not words[row + ASSIGNED]:
            words[row + ASSIGNED] = now() >> TICK_SHIFT & MASK
            words[row + ASSIGNMENTS] = 1

    def open_connection(self, row: int) -> int:
        """A connection's row, opened for the attempt in `row` (0: for none)."""
        rows = self._rows
        link = rows.connections.open()
        if row:
            self.links[link + C["request"]] = self.words[row + A["request"]]
            self.words[row + A["connection"]] = link // rows.connections.row_words
        return link

    def started(self, row: int, link: int) -> None:
        """The attempt begins to write its head on the connection in `link`."""
        words = self.words
        self._rows.use_connection(row, link)
        words[row + RESUMED] = words[row + SEND_START] = now() >> TICK_SHIFT & MASK

    def fail(self, row: int, error: BaseException) -> None:
        """The attempt in `row` ended with `error`; what was told first stands."""
        if row and not self.words[row + FLAGS] & ENDS:
            self._rows.fail(row, error)


def shared(rows: Rows) -> Blocking:
    """The one of this process."""
    found: Blocking | None = vars(rows).get("blocking")
    if found is None:
        found = rows.blocking = Blocking(rows)  # type: ignore[attr-defined] # made on demand, where a program has such a client
    return found
