"""Which attempt and which connection the running code belongs to, and the rows that they stamp.

Row offsets travel in context variables only inside a request's own task; protocol callbacks find theirs through the connection's owner
(a context variable names the wrong request there as soon as a connection is reused).
"""

import itertools
from contextvars import ContextVar

from .recorder import Table, now
from .schema import ATTEMPT, CONNECTION, FLAGS, MASK, TICK_SHIFT, words

A = words(ATTEMPT)
C = words(CONNECTION)

ROW: "ContextVar[int]" = ContextVar("loopdiag_row", default=0)
LINK: "ContextVar[int]" = ContextVar("loopdiag_connection", default=0)

ENQUEUED = A["enqueued"]
DONE = A["done"]


class Rows:
    """The tables of this process and the few operations on them that every instrument shares."""

    def __init__(self, folder: str) -> None:
        """Open the tables in `folder`.

        Raises:
            OSError: there is no room.
        """
        self.attempts = Table(folder, "attempts")
        self.connections = Table(folder, "connections")
        self.iterations = Table(folder, "iterations")
        self.requests = itertools.count(1)
        self.counters: dict[str, int] = {}

    def begin_request(self) -> int:
        """The row of a request that a library starts: the one that the driver opened for it, or a new one.

        Sets ROW for the running context.
        """
        words_ = self.attempts.words
        row = ROW.get()
        if row and not words_[row + ENQUEUED] and not words_[row + DONE]:
            return row
        row = self.attempts.open()
        words_[row + A["request"]] = next(self.requests) & MASK
        words_[row + A["first_run"]] = now() >> TICK_SHIFT & MASK
        ROW.set(row)
        return row

    def begin_attempt(self) -> int:
        """The row of an attempt that reaches a pool: the request's first row, or a new one for a retry or a redirect.

        Stamps `enqueued` and sets ROW for the running context.
        """
        words_ = self.attempts.words
        row = ROW.get()
        if not row:
            row = self.begin_request()
        elif words_[row + ENQUEUED]:
            last, row = row, self.attempts.open()
            words_[row + A["request"]] = words_[last + A["request"]]
            number = (words_[last + A["flags"]] >> 16 & 0xFF) + 1
            words_[row + A["flags"]] = min(number, 0xFF) << 16
            ROW.set(row)
        words_[row + ENQUEUED] = now() >> TICK_SHIFT & MASK
        return row

    def begin_connection(self, row: int) -> int:
        """A connection's row, opened by the attempt in `row`; sets LINK for the running context."""
        link = self.connections.open()
        self.connections.words[link + C["request"]] = self.attempts.words[row + A["request"]]
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

    def flag(self, row: int, name: str) -> None:
        """Set a flag of the attempt in `row`."""
        self.attempts.words[row + A["flags"]] |= FLAGS[name]
