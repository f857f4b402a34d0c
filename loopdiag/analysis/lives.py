"""A trial's raw tables → lives for the phase rule: which attempts there were, when each was over, which connection each set up or shared."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.columns import (
    LINK_STAMPS,
    MISSING,
    STAMPS,
    Ints,
    Rows,
    Tables,
    after,
    following,
    nanoseconds,
    opened,
    stamps,
    used,
)
from loopdiag.analysis.phases import Lives

CHUNK = 1 << 15  # attempts that are worked on at a time: a million at once would take gigabytes
FLAGS = (
    "reused", "dns_hit", "dns_coalesced", "shared_connect", "retried", "redirected",
    "cancelled", "error", "rx_coalesced", "eager", "timed_out", "http2",
)  # fmt: skip
REUSED, SHARED = (1 << FLAGS.index(name) for name in ("reused", "shared_connect"))
FAILED = sum(1 << FLAGS.index(name) for name in ("cancelled", "error", "timed_out"))


@dataclass(frozen=True)
class Links:
    """All rows of the connections' table as columns; rows from before the trial have no stamps."""

    there: NDArray[np.bool_]  # whether the row was ever opened
    request: Ints  # that began it
    begun: Ints  # nanoseconds since the trial began
    stamps: dict[str, Ints]

    @classmethod
    def of(cls, rows: Rows | None, since_ns: int) -> "Links":
        """Read the table; without one there is the sink alone."""
        if rows is None:
            return cls(np.zeros(1, dtype=bool), np.zeros(1, dtype=np.int64), np.full(1, MISSING), {})
        within = opened(rows) >= max(since_ns, 1)
        columns = {name: np.where(within, times, MISSING) for name, times in stamps(rows, LINK_STAMPS, since_ns).items()}
        begun = np.where(within, opened(rows) - since_ns, MISSING)
        return cls(opened(rows) > 0, np.where(within, rows["request"], 0).astype(np.int64), begun, columns)

    def known(self, numbers: Ints) -> Ints:
        """The row numbers, 0 where there is no such row."""
        numbers = np.where(numbers < len(self.there), numbers, 0)
        return np.where(self.there[numbers], numbers, 0)

    def begun_by(self, requests: Ints, from_ns: Ints, until_ns: Ints) -> Ints:
        """The connection that each of `requests` began last between two times; 0: none."""
        order = np.lexsort((self.begun, self.request))
        order = order[self.request[order] > 0]
        known, which = np.unique(self.request[order], return_inverse=True)
        if not len(known):
            return np.zeros(len(requests), dtype=np.int64)
        span = int(max(self.begun[order].max(), until_ns.max(initial=0))) + 2  # rank and time as one sortable number
        rank = np.minimum(np.searchsorted(known, requests), len(known) - 1)
        found = np.searchsorted(which * span + self.begun[order], rank * span + np.clip(until_ns, 0, span - 1), side="right") - 1
        number = order[np.maximum(found, 0)]
        mine = (found >= 0) & (self.request[number] == requests) & (self.begun[number] >= from_ns)
        return np.where(mine, number, 0)


@dataclass(frozen=True)
class Chunk:
    """Some attempts of a trial."""

    rows: Rows
    lives: Lives
    link: Ints  # row number of each one's connection; 0: none


class Attempts:
    """The attempts of a trial in the order in which they were opened.

    Attributes:
        numbers: their row numbers; requests: which request each belongs to; then, place: as `columns.following` tells.
    """

    def __init__(self, tables: Tables, since_ns: int) -> None:
        self._table, self._since = tables.get("attempts"), since_ns
        self.links = Links.of(tables.get("connections"), since_ns)
        self.numbers = np.empty(0, dtype=np.int64) if self._table is None else used(self._table, since_ns)
        self.requests = np.empty(0, dtype=np.int64) if self._table is None else self._table["request"][self.numbers].astype(np.int64)
        self.then, self.place = following(self.requests)

    def chunks(self, chosen: Ints | None = None) -> Iterator[Chunk]:
        """The attempts at the indices `chosen`, or all, some at a time."""
        indices = np.arange(len(self.numbers)) if chosen is None else chosen
        for at in range(0, len(indices), CHUNK):
            yield self._chunk(indices[at : at + CHUNK])

    def _chunk(self, indices: Ints) -> Chunk:
        assert self._table is not None
        rows = self._table[self.numbers[indices]]
        own = stamps(rows, STAMPS, self._since)
        end = self._end(indices, own)
        link = self._link(rows, own, end)
        flags, request = rows["flags"], self.requests[indices]
        of_link = {name: column[link] for name, column in self.links.stamps.items()}
        began = (self.links.request[link] == request) & (link > 0) & (flags & REUSED == 0)
        made, assigned = of_link.get("made", np.full(len(rows), MISSING)), own["assigned"]
        late = np.where(made == MISSING, flags & SHARED > 0, made > assigned)
        shares = (self.links.request[link] > 0) & ~began & (assigned != MISSING) & late
        return Chunk(rows, Lives(stamps=own, link=of_link, began=began, shares=shares, failed=flags & FAILED > 0, end=end), link)

    def _end(self, indices: Ints, own: dict[str, Ints]) -> Ints:
        """When each attempt was over: where the request's next one reached its pool, else when it was done, else when it was last seen."""
        assert self._table is not None
        last = np.max(np.stack(list(own.values())), axis=0)
        done = np.where(own["done"] == MISSING, last, own["done"])
        then = self.then[indices]
        next_rows = self._table[self.numbers[np.maximum(then, 0)]]
        next_begun = after(nanoseconds(next_rows, "enqueued"), self._since)
        return np.where((then >= 0) & (next_begun != MISSING), next_begun, done)

    def _link(self, rows: Rows, own: dict[str, Ints], end: Ints) -> Ints:
        """The connection of each attempt; of one that failed before it had any, the one that it tried to set up."""
        link = self.links.known(rows["connection"].astype(np.int64))
        without = np.flatnonzero((link == 0) & (own["enqueued"] != MISSING))
        if len(without):
            request = rows["request"][without].astype(np.int64)
            link[without] = self.links.begun_by(request, own["enqueued"][without], end[without])
        return link
