"""Calls at exact times of the monotonic clock.

A loop's own timers have whole milliseconds (and uvloop's may come up to one early), which would show in every think time.  A timerfd
has nanoseconds; where the system has none, the loop's timer is set again until the time has really come.
"""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from heapq import heappop, heappush
from time import perf_counter_ns as clock
from typing import Protocol

CLOCK_MONOTONIC, NONBLOCK_CLOEXEC, ABSOLUTE = 1, os.O_NONBLOCK | os.O_CLOEXEC, 1
NS = 1_000_000_000


class Alarm(Protocol):
    """Calls back once, at a set time or a little after it."""

    def set(self, due_ns: int) -> None:
        """Replace the time that was set."""
        ...

    def close(self) -> None:
        """Give the alarm's resources back."""
        ...


class Deadlines:
    """A queue of calls, each due at a time of ``perf_counter_ns``; none is made early."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        try:
            self._alarm: Alarm = TimerFd(loop, self._fire)
        except (AttributeError, OSError):
            self._alarm = LoopAlarm(loop, self._fire)

    def at(self, due_ns: int, call: Callable[[], None]) -> None:
        """Have `call` called at `due_ns`; calls that are due together are made in the order in which they were asked for."""
        self._count += 1
        heappush(self._queue, (due_ns, self._count, call))
        if self._queue[0][1] == self._count:
            self._alarm.set(due_ns)

    def close(self) -> None:
        """Forget all calls."""
        self._queue.clear()
        self._alarm.close()

    def _fire(self) -> None:
        queue = self._queue
        while queue and queue[0][0] <= clock():
            heappop(queue)[2]()
        if queue:
            self._alarm.set(queue[0][0])


class TimerFd:
    """The system's timer as a descriptor.

    Raises:
        AttributeError: the C library has no timerfd.
        OSError: the system gives none.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._fd = libc.timerfd_create(CLOCK_MONOTONIC, NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._loop, self._call = loop, call
        loop.add_reader(self._fd, self._ring)

    def set(self, due_ns: int) -> None:
        """Replace the time; one that has passed rings at once."""
        self._settime(self._fd, ABSOLUTE, struct.pack("@4l", 0, 0, *divmod(max(1, due_ns), NS)), None)

    def close(self) -> None:
        """Close the descriptor."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _ring(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set again between the loop's poll and now
            return
        self._call()


class LoopAlarm:
    """The loop's own timer; it may ring early, and is then set again by the queue."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop, self._call = loop, call
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due_ns: int) -> None:
        """Replace the time."""
        self.close()
        self._timer = self._loop.call_later(max(0, due_ns - clock()) / NS, self._call)

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
