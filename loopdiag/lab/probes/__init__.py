"""Probes: other people's profilers, one file each, that watch the code of a whole trial.  Their tiers are never fitted.

A probe stands outside the trial's process and is started by its parent, or inside and is started by the worker; either way between
``ready`` and ``go``, and it is stopped after ``done``.  Whatever goes wrong with it costs the profile, never the trial.
"""

from pathlib import Path
from typing import Protocol

from loopdiag.lab.job import Job
from loopdiag.model.recording import Tier
from loopdiag.model.value import Value
from loopdiag.registry import Registry


class Notes(Value, frozen=True, kw_only=True):
    """What is to be said of one trial's profile, as `TrialResult` tells it."""

    not_observed: dict[str, str] = {}
    warnings: tuple[str, ...] = ()


class Running(Protocol):
    """A probe that watches one process."""

    def settle(self, limit_s: float) -> None:
        """Wait until it watches, at most `limit_s` seconds; raises nothing."""

    def stop(self) -> Notes:
        """End it, leave its files in the trial's folder, say what is to be said; a second time only says it again."""

    def kill(self) -> None:
        """End it at once, without files; does nothing where it has ended."""


class Probe(Protocol):
    """A profiler in the plan's terms."""

    def __init__(self, command: tuple[str, ...] = ()) -> None:
        """`command`: what to run where the probe is a program; empty: the real one."""

    #: the trials that it watches
    tier: Tier
    #: whether it runs in the trial's own process
    inside: bool
    #: what it does to the client, in a few words; `benchmarks/profile_tier.py` measures it, and every recording does
    cost: str

    @staticmethod
    def available() -> str | None:
        """Return None, or why it cannot be used here."""

    def start(self, job: Job, pid: int, folder: Path) -> Running:
        """Begin to watch process `pid`, which does `job`; `folder` is the trial's.  Raises nothing: what failed is told by `stop`."""


class Failed:
    """A probe that could not be started."""

    def __init__(self, what: str, why: str) -> None:
        self._notes = Notes(not_observed={what: why})

    def settle(self, limit_s: float) -> None:
        """There is nothing to wait for."""

    def stop(self) -> Notes:
        """Say why."""
        return self._notes

    def kill(self) -> None:
        """There is nothing to end."""


PROBES: Registry[type[Probe]] = Registry(
    "probe",
    {
        "pyspy": "loopdiag.lab.probes.pyspy:PySpy",
        "yappi": "loopdiag.lab.probes.yappi:Yappi",
    },
)
#: which probe watches the trials of a tier: started by the trial's parent, or by the worker
OUTSIDE: dict[Tier, str] = {"profile": "pyspy"}
INSIDE: dict[Tier, str] = {"calls": "yappi"}
