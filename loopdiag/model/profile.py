"""Weighted stacks: what a profiler saw of one trial, in the order in which it saw it.

Frames and stacks are numbered once; samples are three parallel columns.  A stack runs from the outermost frame to the innermost.
"""

from typing import Literal

from loopdiag.model.value import Value

#: cpu: on-CPU nanoseconds of the thread; wall: nanoseconds by the clock, waiting included
Clock = Literal["cpu", "wall"]


class Frame(Value, frozen=True, kw_only=True):
    """One function in one file; `file` is shortened to the part below its package root, and is "" for code without one."""

    function: str
    file: str = ""
    line: int | None = None  # of the function's definition; None: not known


class Profile(Value, frozen=True, kw_only=True):
    """The samples of one trial: of one thread, or of all together ("all").

    Times are nanoseconds since the trial's t0 (before it: the set-up).  The weight of sample k is `weight_ns[k]`; the profile's weight is their sum, and
    no pass over stacks changes it.
    """

    trial: str  # its id
    arm: str
    n: int
    repetition: int
    thread: str = "main"
    clock: Clock = "cpu"
    rate_hz: float | None = None  # None: not sampled
    frames: tuple[Frame, ...] = ()
    stacks: tuple[tuple[int, ...], ...] = ()
    at_ns: tuple[int, ...] = ()
    stack: tuple[int, ...] = ()
    weight_ns: tuple[int, ...] = ()
    lost: int = 0  # samples that the profiler could not take
    cpu_ns: int | None = None  # of the client between t0 and t1 in this trial, by the process's own clock

    @property
    def total_ns(self) -> int:
        """The weight of all samples."""
        return sum(self.weight_ns)


class Calls(Value, frozen=True, kw_only=True):
    """How often one function was called in one trial, as yappi counted it; its times carry yappi's distortion and are no measurement of time."""

    function: str
    file: str
    line: int | None
    calls: int
    self_ns: int
    total_ns: int
