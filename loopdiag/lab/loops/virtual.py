"""A loop on virtual time: where a real loop would wait, the clock jumps to the next timer; only `spend` makes running code cost time."""

import asyncio
import selectors

from loopdiag.lab.loops import BuiltInLoop

EPOCH_NS = 10**12  # virtual time starts at 1000 s: a time of 0 means "not observed" in recordings


class VirtualLoop(BuiltInLoop):
    """The virtual loop as a part of the registry."""

    virtual = True

    @staticmethod
    def loop_factory() -> asyncio.AbstractEventLoop:
        """Make a loop."""
        return VirtualTimeLoop()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop with a clock of its own and a selector that never blocks."""

    def __init__(self) -> None:
        self._virtual_ns = EPOCH_NS
        self._spent_ns = 0
        super().__init__(_JumpingSelector(self))
        self._clock_resolution = 1e-9  # a timer runs at its nanosecond, not up to a tick before

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual_ns / 1e9

    def now_ns(self) -> int:
        """Virtual nanoseconds."""
        return self._virtual_ns

    def spent_ns(self) -> int:
        """Nanoseconds spent by `spend` so far: the CPU time of this world."""
        return self._spent_ns

    def spend(self, cost_ns: int) -> None:
        """Let the running code cost time: everything after it happens later."""
        self._virtual_ns += cost_ns
        self._spent_ns += cost_ns

    def jump(self, wait_s: float) -> None:
        """Let time pass while nothing runs."""
        self._virtual_ns += round(wait_s * 1e9)


class _JumpingSelector(selectors.DefaultSelector):
    """Looks without waiting; time that would have been waited for passes at once."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now, having let `timeout` pass if nothing is.

        Raises:
            RuntimeError: nothing is ready, no timer is due ever: real time would be waited for.
        """
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("virtual time stands still: nothing is ready and no timer is set")
        self._loop.jump(timeout)
        return ready
