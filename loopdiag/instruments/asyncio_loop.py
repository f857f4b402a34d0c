"""asyncio's iterations, seen at its selector: when it entered its poll, how long it waited, what was ready."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .calibration import each_ns, ignore, opened, priced, scratch_table
from .context import Rows
from .dropping import Drop
from .loops import Never, Watched, loops_of
from .patching import Missing, original
from .recorder import now
from .schema import ITERATION, MASK, TICK_SHIFT, words

W = words(ITERATION)
POLL, RUN, EVENTS, READY, THREAD = W["poll"], W["run"], W["events"], W["ready"], W["thread"]

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
    """`select` with an iteration's row around it, and what ends the row that is open when the loop stops.

    A row begins where its poll is entered, and ends where the next poll is.
    """
    words_, quads, open_row, number, sampler = table.words, table.quads, table.open, watched.number, watched.sampler
    last = returned = 0  # the open row, and when its poll returned
    broken = False

    def timed_select(timeout: "float | None" = None) -> Any:
        nonlocal last, returned, broken
        if broken:
            return select(timeout)
        try:
            if returned >= sampler.due:
                sampler.take()  # a part of the iteration that ends here
            row = open_row()
            before = quads[row >> 1] if row else now()  # rows join without a gap: one ends when the next begins
            if last:
                words_[last + RUN] = (before - returned) >> TICK_SHIFT & MASK
            words_[row + THREAD] = number
            words_[row + READY] = len(ready)
            last = 0  # where the poll raises, nobody waits for this row
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            broken, last = True, 0
            give_up(error)
            return select(timeout)
        found = select(timeout)
        try:
            returned = now()
            words_[row + POLL] = (returned - before) >> TICK_SHIFT & MASK
            words_[row + EVENTS] = len(found)
            last = row
        except Exception as error:  # noqa: BLE001 - likewise
            broken = True
            give_up(error)
        return found

    def end() -> None:
        nonlocal last
        if last:
            words_[last + RUN] = (now() - returned) >> TICK_SHIFT & MASK
        last = 0

    return timed_select, end


def _cost() -> float:
    """Nanoseconds an iteration."""
    watched, found = Watched(), []  # type: ignore[var-annotated] # never filled
    watched.sampler = Never()

    def select(timeout: "float | None" = None) -> Any:
        return found

    hook, _ = timed(scratch_table(), select, found, watched, ignore)
    return each_ns(lambda: hook(0)) - each_ns(lambda: select(0))
