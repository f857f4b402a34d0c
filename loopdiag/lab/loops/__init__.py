"""Event loops: one file each, and the clocks that a trial on that loop is measured by."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from loopdiag.registry import Registry

Clock = Callable[[], int]


class Loop(Protocol):
    """A loop in the scenario's terms."""

    #: time passes as the program says, not as the machine does; real clients cannot run on it
    virtual: bool

    @staticmethod
    def available() -> str | None:
        """Return None, or why this loop cannot be used here."""

    @staticmethod
    def versions() -> dict[str, str]:
        """Return the version of the library behind it."""

    @staticmethod
    def loop_factory() -> asyncio.AbstractEventLoop:
        """Make a loop, for ``asyncio.Runner(loop_factory=...)``."""


LOOPS: Registry[type[Loop]] = Registry(
    "loop",
    {
        "asyncio": "loopdiag.lab.loops.asyncio:AsyncioLoop",
        "uvloop": "loopdiag.lab.loops.uvloop:UvloopLoop",
        "virtual": "loopdiag.lab.loops.virtual:VirtualLoop",
    },
)


def loop_clock(loop: asyncio.AbstractEventLoop) -> Clock:
    """The clock that `loop` lives by, in nanoseconds: its own where its time is virtual, else the machine's monotonic one."""
    clock: Clock = getattr(loop, "now_ns", time.perf_counter_ns)
    return clock


def cpu_clock(loop: asyncio.AbstractEventLoop) -> Clock:
    """CPU spent so far, in nanoseconds: what was spent in virtual time, else the process's."""
    clock: Clock = getattr(loop, "spent_ns", time.process_time_ns)
    return clock
