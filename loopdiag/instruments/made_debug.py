"""Debug mode of asyncio, counted by the program's line that switches it on: ``asyncio.run(…, debug=True)``, ``loop.set_debug(True)``."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import made, places
from .context import Rows
from .patching import original, replace

DEBUG = "debug"


def install(rows: Rows, module: ModuleType) -> None:
    """Count it for the loops of `module` (``asyncio.selector_events``, ``uvloop``).

    Raises:
        Missing: it has no such class.
    """
    made.tell(rows)
    owner = original(module, "Loop" if module.__name__ == "uvloop" else "BaseSelectorEventLoop")
    original(owner, "set_debug")
    replace(owner, "set_debug", lambda before: _counting(rows, before))


def _counting(rows: Rows, before: "Callable[..., Any]") -> "Callable[..., Any]":
    def set_debug(self: Any, enabled: bool) -> Any:
        if enabled:
            made.count(rows, DEBUG, places.of_frame(sys._getframe(1)))
        return before(self, enabled)

    return set_debug
