"""What the whole program feels of its interpreter, noted where a loop's run ends: switch interval, objects frozen for the collector, records logged."""

import gc
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import Rows
from .loops import Watched, loops_of
from .patching import original, replace

RECORDS = "logging.records"


def install(rows: Rows, module: ModuleType) -> None:
    """Count ``logging``'s records, or note the settings at the end of each run of `module`'s loops.

    Raises:
        Missing: a name is not there.
    """
    if module.__name__ == "logging":
        replace(original(module, "Logger"), "handle", lambda before: _counting(rows.counters, before))
        return

    def end() -> None:
        rows.counters["gc.frozen"] = gc.get_freeze_count()
        rows.counters["switch_interval_us"] = round(sys.getswitchinterval() * 1e6)

    def attach(_loop: Any, watched: Watched) -> None:
        watched.end.append(("interpreter", end))

    loops_of(rows, module).first_run.append(("interpreter", attach))


def _counting(counters: "dict[str, int]", before: "Callable[..., Any]") -> "Callable[..., Any]":
    counters.setdefault(RECORDS, 0)

    def handle(self: Any, record: Any) -> Any:
        counters[RECORDS] += 1
        return before(self, record)

    return handle
