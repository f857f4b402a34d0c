"""What a hook costs: timed when the process ends, in that process, against scratch rows."""

import itertools
from array import array
from collections.abc import Callable
from typing import Any

from .context import A, Rows, current
from .recorder import Table, now
from .schema import MASK, TICK_SHIFT

CALLS, BURSTS = 24, 4  # of 0.5 µs: 0.1 ms a hook


def each_ns(hook: "Callable[[], Any]", calls: int = CALLS) -> float:
    """Nanoseconds that one call of `hook` takes, the call itself not counted; the quickest of a few short bursts."""

    def quickest(call: "Callable[[], Any]") -> float:
        best = float("inf")
        for _ in range(BURSTS):
            begun = now()
            for _ in range(calls):
                call()
            best = min(best, (now() - begun) / calls)
        return best

    return max(0.0, quickest(hook) - quickest(ignore))


def scratch_table() -> Any:
    """A table whose every row is its sink, in a memory of its own: opening and stamping cost what they cost, and nothing is recorded."""
    table = Table.__new__(Table)
    table.name, table.row_words, table.lost = "scratch", 0, 0
    table.capacity = table.reserved = 1 << 62
    view = memoryview(array("Q", bytes(8 * 64))).cast("B")
    table.words, table.quads = view.cast("I"), view.cast("Q")
    table.map, table.base, table.row_bytes = view, 0, 0  # type: ignore[assignment] # memory instead of a file
    table._count = itertools.count(1)
    table.following = table._count.__next__
    return table


def ignore(*args: Any, **kwargs: Any) -> None:
    """Stands where a hook would call somebody."""


def opened(table: Table) -> int:
    """How many rows were opened so far."""
    return int(repr(table._count)[len("count(") : -1]) - 1  # the only way to see a count without counting


def priced(calls: int, each: "Callable[[], float]") -> "tuple[int, float]":
    """What ``Rows.costs`` asks for; a hook that never ran is not calibrated."""
    return calls, each() if calls else 0.0


STAMPS = 14  # of a request over a connection of its own, as any client's instrument makes them


def attempts_cost(rows: Rows) -> "tuple[int, float]":
    """Estimate for the clients' instruments: a row, its stamps, and as many plain calls and look-ups of the task's row."""
    words, scratch, stamp = rows.attempts.words, scratch_table(), A["send_end"]

    def through(value: int) -> None:
        words[value * current() + stamp] = now() >> TICK_SHIFT & MASK

    def request() -> None:
        scratch.open()
        for _ in range(STAMPS):
            through(0)

    return priced(opened(rows.attempts), lambda: each_ns(request, CALLS // 6))
