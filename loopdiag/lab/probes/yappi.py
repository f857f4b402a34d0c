"""yappi: counts every call inside the worker.  Its times are distorted, by how much depends on the code, and are never read as time."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from loopdiag.errors import InputError
from loopdiag.lab.job import Job
from loopdiag.lab.probes import Failed, Notes, Running
from loopdiag.lab.probes.paths import short
from loopdiag.model.profile import Calls
from loopdiag.model.recording import Tier

CALLS = "calls.json"
OUR_OWN = "lab/probes/yappi.py"


class Yappi:
    """The probe; the worker starts it in its own process."""

    tier: Tier = "calls"
    inside = True
    cost = "wall time up to 13 times that of a bare trial: calls are counted, times mean nothing"

    def __init__(self, command: tuple[str, ...] = ()) -> None:
        """There is no command: it is a library."""

    @staticmethod
    def available() -> str | None:
        """Return None, or why it cannot be used here."""
        return None if find_spec("yappi") else "yappi is not installed"

    def start(self, _job: Job, pid: int, folder: Path) -> Running:
        """Begin to count, in this process and no other."""
        if pid != os.getpid():
            return Failed("calls", "yappi counts in its own process only")
        try:
            import yappi
        except ImportError as error:
            return Failed("calls", f"yappi cannot be used: {error}")
        yappi.set_clock_type("cpu")
        yappi.start(builtins=True)
        return Counting(yappi, folder)


class Counting:
    """yappi at work."""

    def __init__(self, yappi: Any, folder: Path) -> None:
        self._yappi, self._folder = yappi, folder
        self._notes: Notes | None = None

    def settle(self, limit_s: float) -> None:
        """It counts from its start on."""

    def stop(self) -> Notes:
        """Stop counting and leave what was counted."""
        if self._notes is None:
            self._yappi.stop()
            self._notes = self._keep()
        return self._notes

    def kill(self) -> None:
        """Stop counting."""
        self._yappi.stop()

    def _keep(self) -> Notes:
        found = [
            Calls(
                function=stat.name,
                file="" if stat.builtin else short(stat.module),
                line=None if stat.builtin else stat.lineno,
                calls=stat.ncall,
                self_ns=round(stat.tsub * 1e9),
                total_ns=round(stat.ttot * 1e9),
            )
            for stat in self._yappi.get_func_stats()
        ]
        mine = sorted((one for one in found if not one.file.endswith(OUR_OWN)), key=lambda one: (-one.calls, one.file, one.function))
        try:
            (self._folder / CALLS).write_bytes(msgspec.json.encode(mine))
        except OSError as error:
            return Notes(not_observed={"calls": f"yappi's counts cannot be kept: {error.strerror or error}"})
        return Notes()


def read(folder: Path) -> tuple[Calls, ...]:
    """What was counted in one trial, most calls first; nothing where it was not asked for.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / CALLS
    if not path.exists():
        return ()
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Calls, ...])
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: damaged: {error}") from error
