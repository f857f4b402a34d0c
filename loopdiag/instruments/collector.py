"""Pauses of the garbage collector, by its own callbacks."""

import gc
from _thread import get_native_id
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .calibration import each_ns, ignore, opened, priced, scratch_table
from .context import Rows
from .dropping import Drop
from .loops import when_virtual
from .recorder import now
from .schema import MASK, PAUSE, TICK_SHIFT, words

W = words(PAUSE)
LENGTH, GENERATION, COLLECTED, THREAD = W["length"], W["generation"], W["collected"], W["thread"]

Hook = Callable[[str, "dict[str, int]"], None]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Record every collection from now on."""
    drop = Drop(rows, "pauses")

    def give_up(error: Exception) -> None:
        remove()
        drop(error)

    def remove() -> None:
        if hook in gc.callbacks:
            gc.callbacks.remove(hook)

    hook = recorder(rows.pauses, give_up)
    gc.callbacks.append(hook)

    def switch_off() -> None:
        remove()
        table = rows.pauses
        for row in range(1, opened(table) + 1):
            table.quads[row * table.row_words >> 1] = 0  # what was recorded is not of the recording's time

    when_virtual.append(switch_off)
    rows.costs["collector"] = lambda: priced(opened(rows.pauses), _cost)
    return {}


def recorder(table: Any, give_up: "Callable[[Exception], None]") -> Hook:
    """What the collector calls when it begins and when it ends; it never runs twice at once, so one beginning is remembered."""
    words_, quads, open_row = table.words, table.quads, table.open
    begun = 0

    def hook(phase: str, what: "dict[str, int]") -> None:
        nonlocal begun
        try:
            if phase == "start":
                begun = now()
            elif begun:
                ended = now()
                row = open_row()
                quads[row >> 1] = begun if row else 0  # the sink has no time
                words_[row + LENGTH] = (ended - begun) >> TICK_SHIFT & MASK
                words_[row + GENERATION] = what["generation"]
                words_[row + COLLECTED] = what["collected"]
                words_[row + THREAD] = get_native_id()
                begun = 0
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            give_up(error)

    return hook


def _cost() -> float:
    """Nanoseconds a collection."""
    hook, what = recorder(scratch_table(), ignore), {"generation": 0, "collected": 0}

    def both() -> None:
        hook("start", what)
        hook("stop", what)

    return each_ns(both)
