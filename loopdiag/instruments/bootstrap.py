"""How the instruments get in, what they switch on, and what they leave behind at the end.

An instrument is a function ``install(rows, module)`` that patches one library when that library is imported.  It checks the names that it relies on; where
one is missing, or anything else fails, it drops itself and the reason is recorded.
"""

import atexit
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from . import marks
from .context import Rows
from .on_import import on_import

#: library module → instrument module; each is loaded when its library is
INSTRUMENTS = (
    ("ssl", "tls"),
    ("asyncio.selector_events", "asyncio_loop"),
    ("uvloop", "uvloop_loop"),
    ("asyncio.base_events", "dns"),
    ("aiohttp", "aiohttp_pool"),
    ("httpx", "httpx_client"),
    ("httpcore", "httpcore_pool"),
)


class State:
    """What there is to tell when the process ends."""

    def __init__(self, folder: str, rows: Rows) -> None:
        self.folder = folder
        self.rows = rows
        self.dropped: dict[str, str] = {}
        self.installed: dict[str, str] = {}
        self.process = os.getpid()

    def write(self) -> None:
        """Leave `instruments.json` beside the tables."""
        if os.getpid() != self.process:
            return
        tables = (self.rows.attempts, self.rows.connections, self.rows.iterations)
        text = json.dumps(
            {
                "python": sys.version.split()[0],
                "installed": self.installed,
                "not_observed": self.dropped,
                "lost": {table.name: table.lost for table in tables if table.lost},
                "counters": self.rows.counters,
            }
        )
        with open(os.path.join(self.folder, "instruments.json"), "w") as file:
            file.write(text)


def _installer(state: State, name: str) -> "Callable[[ModuleType], None]":
    def install(module: ModuleType) -> None:
        try:
            instrument = import_module("." + name, __package__)
            for column, reason in (instrument.install(state.rows, module) or {}).items():
                state.dropped[column] = reason
            state.installed[name] = str(getattr(module, "__version__", ""))
        except Exception as error:  # noqa: BLE001 - a failing instrument is dropped, the program runs on
            state.dropped[name] = f"{type(error).__name__}: {error}"

    return install


def start(folder: str) -> None:
    """Open the tables in `folder` and watch for the libraries.

    Raises:
        OSError: the tables cannot be made.
    """
    rows = Rows(folder)
    marks.attach(rows)
    state = State(folder, rows)
    only = os.environ.get("LOOPDIAG_ONLY")
    for module, name in INSTRUMENTS:
        if only is not None and name not in only.split(","):
            state.dropped[name] = "left out by LOOPDIAG_ONLY"
            continue
        on_import(module, _installer(state, name))
    atexit.register(state.write)
