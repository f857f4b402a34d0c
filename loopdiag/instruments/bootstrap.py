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

#: how much is watched; each level contains the ones before it
LEVELS = ("light", "detailed", "deep")

#: library module → instrument module, from which level on; each is loaded when its library is
INSTRUMENTS = (
    ("ssl", "tls", "light"),
    ("asyncio.selector_events", "asyncio_loop", "light"),
    ("uvloop", "uvloop_loop", "light"),
    ("asyncio.base_events", "dns", "light"),
    ("aiohttp", "aiohttp_pool", "light"),
    ("httpx", "httpx_client", "light"),
    ("httpcore", "httpcore_pool", "light"),
)


class State:
    """What there is to tell when the process ends."""

    def __init__(self, folder: str, rows: Rows, level: str) -> None:
        self.folder = folder
        self.level = level
        self.rows = rows
        self.installed: dict[str, str] = {}
        self.process = os.getpid()

    def costs_ns(self) -> "dict[str, int]":
        """What each instrument says that it cost this process, in nanoseconds."""
        costs = {}
        for name, ask in self.rows.costs.items():
            try:
                calls, each = ask()
            except Exception as error:  # noqa: BLE001 - a probe that cannot tell its cost has none to tell
                self.rows.drop(name + ".cost", error)
            else:
                costs[name] = round(calls * each)
        return costs

    def write(self) -> None:
        """Leave `instruments.json` beside the tables."""
        if os.getpid() != self.process:
            return
        text = json.dumps(
            {
                "python": sys.version.split()[0],
                "installed": self.installed,
                "level": self.level,
                "not_observed": self.rows.dropped,
                "lost": {table.name: table.lost for table in self.rows.tables if table.lost},
                "counters": self.rows.counters,
                "histograms": self.rows.histograms,
                "costs_ns": self.costs_ns(),
                "warnings": self.rows.warnings,
            }
        )
        with open(os.path.join(self.folder, "instruments.json"), "w") as file:
            file.write(text)


def _installer(state: State, name: str) -> "Callable[[ModuleType], None]":
    def install(module: ModuleType) -> None:
        try:
            instrument = import_module("." + name, __package__)
            for column, reason in (instrument.install(state.rows, module) or {}).items():
                state.rows.dropped[column] = reason
            state.installed[name] = str(getattr(module, "__version__", ""))
        except Exception as error:  # noqa: BLE001 - a failing instrument is dropped, the program runs on
            state.rows.dropped[name] = f"{type(error).__name__}: {error}"

    return install


def start(folder: str) -> None:
    """Open the tables in `folder` and watch for the libraries.

    Raises:
        OSError: the tables cannot be made.
        ValueError: LOOPDIAG_LEVEL names no level.
    """
    rows = Rows(folder)
    marks.attach(rows)
    level = os.environ.get("LOOPDIAG_LEVEL", LEVELS[0])
    rows.level = LEVELS.index(level)
    rows.verify = bool(os.environ.get("LOOPDIAG_VERIFY"))
    state = State(folder, rows, level)
    only = os.environ.get("LOOPDIAG_ONLY")
    for module, name, since in INSTRUMENTS:
        if only is not None and name not in only.split(","):
            rows.dropped[name] = "left out by LOOPDIAG_ONLY"
            continue
        if LEVELS.index(since) > rows.level:
            rows.dropped[name] = f"watched from level {since!r} on"
            continue
        on_import(module, _installer(state, name))
    atexit.register(state.write)
