"""asyncio's iterations, seen at its selector: when it entered its poll, how long it waited, what was ready."""

import struct
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .calibration import each_ns, ignore, opened, priced, scratch_table
from .context import Rows
from .dropping import Drop
from .loops import Never, Watched, loops_of
from .patching import Missing, original
from .recorder import now
from .schema import MASK, TICK_SHIFT

pack_into = struct.Struct("<Q6I").pack_into  # of schema.ITERATION

Select = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Time the selector of every selector loop from its first run on."""
    loops = loops_of(rows, module)
    original(original(module, "BaseSelectorEventLoop"), "_run_once")

    give_up = Drop(rows, "iterations")

    def attach(loop: Any, watched: Watched) -> None:
        if give_up.done:
            return
        selector, ready = getattr(loop, "_selector", None), getattr(loop, "_ready", None)
        if selector is None or ready is None:
            raise Missing("the loop's _selector and _ready are not there")

        selector.select, end = timed(rows.iterations, selector.select, ready, watched, give_up)
        watched.end.append(("iterations", end))
        watched.close.append(("iterations", lambda: vars(selector).pop("select", None)))
        rows.costs["iterations"] = lambda: priced(opened(rows.iterations), _cost)

    loops.first_run.append(("iterations", attach))
    return {}


def timed(table: Any, select: Select, ready: Any, watched: Watched, give_up: "Callable[[Exception], None]") -> "tuple[Select, Select]":
    """`select` with an iteration's row around it, and what writes the row that is open when the loop stops.

    A row begins where its poll is entered, and ends where the next poll is; it is written when that poll is over.
    """
    number, sampler = watched.number, watched.sampler
    following, base, size = table.following, table.base, table.row_bytes
    begun = returned = events = queued = 0  # of the iteration that runs: its poll's entry and return, what was ready; 0: none does
    broken = polling = False

    def timed_select(timeout: "float | None" = None) -> Any:
        nonlocal begun, returned, events, queued, broken, polling
        if broken:
            return select(timeout)
        polling = True
        try:
            if returned >= sampler.due:
                sampler.take()  # a part of the iteration that ends here
            waiting = len(ready)
            before = now()  # rows join without a gap: one ends when the next begins
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            broken, begun = True, 0
            give_up(error)
            return select(timeout)
        try:
            found = select(timeout)
        except BaseException:
            finish(before)  # nobody waits for this poll, and it is no part of the iteration before
            raise
        after = now()
        try:
            if begun:  # only now, so that the poll is measured without it
                row = following()  # as Table.open does, without its call
                if row < table.reserved or table.room():
                    polled, ran = (returned - begun) >> TICK_SHIFT & MASK, (before - returned) >> TICK_SHIFT & MASK
                    pack_into(table.map, base + row * size, begun, polled, ran, events, queued, number, 0)
                if before - returned > watched.long_ns:
                    watched.stalled(returned, before)
            begun, returned, events, queued, polling = before, after, len(found), waiting, False
        except Exception as error:  # noqa: BLE001 - likewise
            broken, begun = True, 0
            give_up(error)
        return found

    def finish(until: int) -> None:
        """Write the row of the iteration that runs, if one does, as ended at `until`."""
        nonlocal begun
        if begun:
            polled, ran = (returned - begun) >> TICK_SHIFT & MASK, (until - returned) >> TICK_SHIFT & MASK
            table.open_with(pack_into, begun, polled, ran, events, queued, number, 0)
            if until - returned > watched.long_ns:
                watched.stalled(returned, until)
        begun = 0

    def end() -> None:
        finish(now())

    def busy(at: int) -> int:
        return 0 if polling or not begun else at - returned

    watched.busy = busy
    return timed_select, end


def _cost() -> float:
    """Nanoseconds an iteration."""
    watched, found = Watched(), []  # type: ignore[var-annotated] # never filled
    watched.sampler = Never()

    def select(timeout: "float | None" = None) -> Any:
        return found

    hook, _ = timed(scratch_table(), select, found, watched, ignore)
    return each_ns(lambda: hook(0)) - each_ns(lambda: select(0))
