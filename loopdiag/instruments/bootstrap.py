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

#: the same, only in a user's own program
PROGRAM_INSTRUMENTS: "tuple[tuple[str, str, str], ...]" = (
    ("aiohttp", "made_leaks", "light"),
    ("aiohttp", "made_sessions", "light"),
    ("anyio._backends._asyncio", "primitives_anyio", "light"),
    ("asyncio.locks", "primitives_made", "light"),
    ("asyncio.queues", "primitives_made", "light"),
    ("asyncio.selector_events", "interpreter", "light"),
    ("asyncio.selector_events", "made_debug", "light"),
    ("asyncio.selector_events", "made_leaks", "light"),
    ("asyncio.selector_events", "program_tasks", "light"),
    ("asyncio.selector_events", "primitives", "light"),
    ("asyncio.selector_events", "stalls", "light"),
    ("concurrent.futures.thread", "primitives_made", "light"),
    ("http.client", "http_client", "light"),
    ("httpcore", "httpcore_sync", "light"),
    ("httpcore2", "httpcore_sync", "light"),
    ("httpx", "httpcore_sync", "light"),
    ("httpx", "made_sessions", "light"),
    ("httpx2", "httpcore_sync", "light"),
    ("httpx2", "made_sessions", "light"),
    ("logging", "interpreter", "light"),
    ("requests", "made_sessions", "light"),
    ("requests", "urllib3_pool", "light"),
    ("socket", "blocking_sockets", "light"),
    ("socket", "exhaustion", "light"),
    ("socket", "requests_made", "light"),
    ("ssl", "blocking_sockets", "light"),
    ("ssl", "made_sessions", "light"),
    ("threading", "made_leaks", "light"),
    ("urllib.request", "urllib_request", "light"),
    ("urllib3", "urllib3_pool", "light"),
    ("uvloop", "blocking_sockets", "light"),
    ("uvloop", "interpreter", "light"),
    ("uvloop", "made_debug", "light"),
    ("uvloop", "made_leaks", "light"),
    ("uvloop", "program_tasks", "light"),
    ("uvloop", "primitives", "light"),
    ("uvloop", "stalls", "light"),
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
        for name, ask in tuple(self.rows.costs.items()):
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
        account = {
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
        for name, ask in tuple(self.rows.told.items()):
            try:
                account[name] = ask()
            except Exception as error:  # noqa: BLE001 - what cannot be told is left out of the account, not the account
                self.rows.drop(name, error)
        with open(os.path.join(self.folder, "instruments.json"), "w") as file:
            file.write(json.dumps(account))


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


def start(folder: str, *, program: bool = False) -> State:
    """Watch for the libraries, and record into `folder`.

    Args:
        folder: an existing one, of this process alone.
        program: whether this is a user's own program, whose tables are opened when they are needed.

    Raises:
        OSError: the tables cannot be made.
        ValueError: LOOPDIAG_LEVEL names no level.
    """
    rows = Rows(folder, program=program)
    marks.attach(rows)
    level = os.environ.get("LOOPDIAG_LEVEL", LEVELS[0])
    rows.level = LEVELS.index(level)
    rows.verify = bool(os.environ.get("LOOPDIAG_VERIFY"))
    state = State(folder, rows, level)
    only = os.environ.get("LOOPDIAG_ONLY")
    if program:
        instruments = tuple(("socket" if module == "sys" else module, name, since) for module, name, since in INSTRUMENTS)
        instruments += PROGRAM_INSTRUMENTS
    else:
        instruments = INSTRUMENTS
    for module, name, since in instruments:
        if only is not None and name not in only.split(","):
            rows.dropped[name] = "left out by LOOPDIAG_ONLY"
            continue
        if LEVELS.index(since) > rows.level:
            rows.dropped[name] = f"watched from level {since!r} on"
            continue
        on_import(module, _installer(state, name))
    rows.costs["attempts"] = lambda: attempts_cost(rows) if "attempts" in vars(rows) else (0, 0.0)
    os.register_at_fork(after_in_child=rows.leave)
    if not program:  # of a program's processes, `processes` knows how they end
        atexit.register(state.write)
        os.environ.pop("LOOPDIAG_RECORD", None)  # the tables are this process's alone: its children are not watched
    return state
