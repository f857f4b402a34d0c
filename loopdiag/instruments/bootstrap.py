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
from .calibration import attempts_cost
from .context import Rows
from .on_import import on_import

#: how much is watched; each level contains the ones before it
LEVELS = ("light", "detailed", "deep")

#: library module → instrument module, from which level on; each is loaded when its library is
INSTRUMENTS = (
    ("sys", "collector", "light"),  # always there: at once
    ("ssl", "tls", "light"),
    ("concurrent.futures.thread", "executors", "light"),
    # a loop's probes attach in this order: each finds what the ones before it made
    *(
        (loop, probe, since)
        for loop, iterations in (("asyncio.selector_events", "asyncio_loop"), ("uvloop", "uvloop_loop"))
        for probe, since in (
            ("scheduling", "detailed"),
            ("tasks", "detailed"),
            ("callbacks", "deep"),
            ("accounts", "light"),
            (iterations, "light"),
        )
    ),
    ("asyncio.base_events", "dns", "light"),
    ("aiohttp", "aiohttp_pool", "light"),
    ("aiohttp", "aiohttp_ends", "light"),
    ("httpx", "httpx_client", "light"),
    ("httpcore", "httpcore_pool", "light"),
    ("httpcore._async.http2", "httpcore_h2", "light"),
    ("httpx2", "httpx2_client", "light"),
    ("httpcore2", "httpcore2_pool", "light"),
    ("httpcore2._async.http2", "httpcore_h2", "light"),
    ("httpx", "httpx_ends", "light"),
    ("httpcore", "httpcore_ends", "light"),
    ("httpx2", "httpx_ends", "light"),
    ("httpcore2", "httpcore_ends", "light"),
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
            state.rows.dropped |= (not_observed := instrument.install(state.rows, module) or {})
            if name not in not_observed:  # one that lacks some of its seams says so under its own name
                state.installed[name] = str(getattr(module, "__version__", ""))
        except Exception as error:  # noqa: BLE001 - a failing instrument is dropped, the program runs on
            state.rows.dropped[name] = f"{type(error).__name__}: {error}"

    return install


def _leave_alone(rows: Rows) -> None:
    """In a forked child: the tables are its parent's, and every row that it opens is their sink."""
    for table in rows.tables:
        table.capacity = table.reserved = 0


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
    rows.costs["attempts"] = lambda: attempts_cost(rows)
    os.register_at_fork(after_in_child=lambda: _leave_alone(rows))
    atexit.register(state.write)
