"""asyncio's iterations, seen at its selector: when it entered its poll, how long it waited, what was ready."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import Rows
from .patching import original, replace
from .recorder import now
from .schema import ITERATION, MASK, TICK_SHIFT, words

W = words(ITERATION)
POLL, RUN, EVENTS, READY, THREAD = W["poll"], W["run"], W["events"], W["ready"], W["thread"]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Time the selector of every selector loop from its first run on."""
    table = rows.iterations
    loops = [0]

    def make(before: "Callable[..., Any]") -> "Callable[..., Any]":
        def run_forever(self: Any) -> Any:
            selector = getattr(self, "_selector", None)
            if selector is not None and "select" not in vars(selector):
                loops[0] += 1
                selector.select = _timed(table, selector.select, self._ready, loops[0])
            return before(self)

        return run_forever

    loop_class = original(module, "BaseSelectorEventLoop")
    original(loop_class, "run_forever")
    replace(loop_class, "run_forever", make)
    return {}


def _timed(table: Any, select: "Callable[..., Any]", ready: Any, number: int) -> "Callable[..., Any]":
    words_, open_row = table.words, table.open
    last = [0, 0]  # the last row, and when its poll returned

    def timed_select(timeout: "float | None" = None) -> Any:
        row = open_row()
        before = now()
        previous, returned = last
        if previous:
            words_[previous + RUN] = (before - returned) >> TICK_SHIFT & MASK
        words_[row + READY] = len(ready)
        found = select(timeout)
        after = now()
        words_[row + POLL] = (after - before) >> TICK_SHIFT & MASK
        words_[row + EVENTS] = len(found)
        words_[row + THREAD] = number
        last[0], last[1] = row, after
        return found

    return timed_select
