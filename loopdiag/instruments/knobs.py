"""Changing a program from inside, as ``LOOPDIAG_KNOBS`` asks (JSON: knob → value; `loopdiag.model.scenario.Knobs` tells what each does), and telling whether each knob took hold.

A knob's file patches the libraries when the program imports them, so that the program's own code meets them changed.  Whatever cannot be done is told in ``knobs.json``,
never raised: ``{"acted": {knob: how often}, "cannot": {knob: why}}``.  That file is also written when a knob acts for the first time, so that a killed process has it.
"""

import atexit
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType, ModuleType
from typing import Any

from .on_import import on_import

#: knob → the file that turns it; a file is given all values at once
FAMILIES = {
    "pool_limit": "knob_pools",
    "pool_limit_per_host": "knob_pools",
    "keepalive": "knob_pools",
    "semaphore": "knob_semaphores",
    "semaphore_place": "knob_semaphores",
    "lock": "knob_locks",
    "executor": "knob_executors",
    "shared_tls": "knob_tls",
    "shared_session": "knob_sessions",
    "cached_dns": "knob_names",
    "ipv4_only": "knob_names",
    "nodelay": "knob_sockets",
    "debug_off": "knob_loops",
    "uvloop": "knob_loops",
    "gc_frozen": "knob_interpreter",
    "switch_interval_ms": "knob_interpreter",
    "fast_json": "knob_interpreter",
    "sleep": "knob_sleeps",
    "blocking_sleep": "knob_sleeps",
    "null_server": "knob_null_server",
    "delay": "knob_delays",
}

#: what knobs of the program's own code leave alone: the clients' and the loops' insides
CLIENTS = frozenset(
    {
        "aiohttp",
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "requests",
        "urllib3",
        "uvloop",
        "aiohappyeyeballs",
        "aiodns",
        "concurrent",
        "http",
    }
)
#: what only passes on what its caller asks for
BETWEEN = frozenset({__name__.partition(".")[0], "asyncio", "threading", "anyio", "contextlib", "functools", "ssl"})


class Told:
    """What the knobs of this process did.

    Args:
        folder: where ``knobs.json`` goes; an existing directory.
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "knobs.json")
        self._process = os.getpid()
        self._acted: dict[str, int] = {}
        self._cannot: dict[str, str] = {}

    def acted(self, name: str) -> None:
        """The knob changed something."""
        count = self._acted.get(name, 0)
        self._acted[name] = count + 1
        if not count:
            self.write()

    def cannot(self, name: str, why: "str | BaseException") -> None:
        """The knob, or a part of it, cannot be turned here."""
        self._cannot[name] = why if isinstance(why, str) else f"{type(why).__name__}: {why}"

    def seam(self, module: str, names: "tuple[str, ...]", patch: "Callable[[Any], None]") -> None:
        """Call ``patch(module)`` after its import; where that fails, these knobs do not act there, and say so."""

        def install(found: ModuleType) -> None:
            try:
                patch(found)
            except Exception as error:  # noqa: BLE001 - the program runs on, unchanged here
                for name in names:
                    self.cannot(name, f"{module}: {error}")

        on_import(module, install)

    def write(self) -> None:
        """Leave what is known; a forked child has nothing of its own to tell."""
        if os.getpid() != self._process:
            return
        try:
            with open(self._path + ".tmp", "w") as file:
                file.write(json.dumps({"acted": self._acted, "cannot": self._cannot}))
            os.replace(self._path + ".tmp", self._path)
        except OSError:
            return


def root(frame: FrameType) -> str:
    """The top-level package of the code that runs in `frame`."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def asking(depth: int = 2) -> "FrameType | None":
    """The frame that asked for what the caller's caller does: the first that does not merely pass it on."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and root(frame) in BETWEEN:
        frame = frame.f_back
    return frame


def of_program(depth: int = 3) -> bool:
    """Whether the program's own code asked for it, not a client's inside."""
    frame = asking(depth)
    return frame is not None and root(frame) not in CLIENTS


def stands_at(frame: FrameType, place: str) -> bool:
    """Whether the frame is at a place: "client.py:14", or in a function: "client.py:fetch"."""
    file, _, where = place.rpartition(":")
    code = frame.f_code
    return os.path.basename(code.co_filename) == os.path.basename(file) and where in {str(frame.f_lineno), code.co_name}


def comes_from(place: str, depth: int = 2, most: int = 30) -> bool:
    """Whether the place is among the frames that lead here."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and most:
        if stands_at(frame, place):
            return True
        frame, most = frame.f_back, most - 1
    return False


def start(folder: str) -> None:
    """Turn the knobs that ``LOOPDIAG_KNOBS`` names, and keep account in `folder`."""
    told = Told(folder)
    try:
        values = json.loads(os.environ.get("LOOPDIAG_KNOBS") or "{}")
    except ValueError as error:
        told.cannot("all", f"LOOPDIAG_KNOBS: {error}")
        values = {}
    for name in values:
        if name not in FAMILIES:
            told.cannot(name, "there is no such knob")
    for family in dict.fromkeys(FAMILIES[name] for name in values if name in FAMILIES):
        try:
            import_module("." + family, __package__).install(told, values)
        except Exception as error:  # noqa: BLE001 - the program runs on, with the other knobs
            for name in values:
                if FAMILIES.get(name) == family:
                    told.cannot(name, error)
    told.write()
    atexit.register(told.write)
