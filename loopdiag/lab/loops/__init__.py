"""Event loops: one file each, and the clocks that a trial on that loop is measured by.

What is no loop of asyncio's is a *runner*: threads, processes, other libraries' loops, or no loop at all.  It does a whole job in its own way.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from loopdiag.lab.built_in import BuiltIn
from loopdiag.registry import Registry

if TYPE_CHECKING:
    from loopdiag.lab.job import Job, WorkerReport

Clock = Callable[[], int]


#: does a whole job with a client of this class: set-up, the parent's word, the timed part
Run = Callable[[type[Any], "Job"], "WorkerReport"]


class Loop(Protocol):
    """A loop in the scenario's terms; a runner has `runner` (a static method, a `Run`) instead of `loop_factory`."""

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


class BuiltInLoop(BuiltIn):
    """A loop that needs nothing but Python."""

    virtual = False


LOOPS: Registry[type[Loop]] = Registry(
    "loop",
    {
        "asyncio": "loopdiag.lab.loops.asyncio:AsyncioLoop",
        "uvloop": "loopdiag.lab.loops.uvloop:UvloopLoop",
        "virtual": "loopdiag.lab.loops.virtual:VirtualLoop",
        "sync": "loopdiag.lab.loops.sync:SyncLoop",
        "threads": "loopdiag.lab.loops.threads:ThreadsLoop",
        "processes": "loopdiag.lab.loops.processes:ProcessesLoop",
        "trio": "loopdiag.lab.loops.trio:TrioLoop",
        "twisted": "loopdiag.lab.loops.twisted:TwistedLoop",
        "curl": "loopdiag.lab.loops.curl:CurlLoop",
        "own": "loopdiag.lab.loops.own:OwnLoop",
    },
)


def runner_of(loop_class: type[Loop]) -> Run | None:
    """How a job is done where the loop is none of asyncio's; None where it is."""
    run: Run | None = getattr(loop_class, "runner", None)
    return run


def loop_clock(loop: asyncio.AbstractEventLoop) -> Clock:
    """The clock that `loop` lives by, in nanoseconds: its own where its time is virtual, else the machine's monotonic one."""
    clock: Clock = getattr(loop, "now_ns", time.perf_counter_ns)
    return clock


def cpu_clock(loop: asyncio.AbstractEventLoop) -> Clock:
    """CPU spent so far, in nanoseconds: what was spent in virtual time, else the process's."""
    clock: Clock = getattr(loop, "spent_ns", time.process_time_ns)
    return clock
