"""How long a program's event loops ran, from the first one's start to the last one's end, and what that took; in every tier, for next to nothing.

The readings lie in a mapped file of 64-bit words, ``span.bin``, which outlives a process that is killed.
"""

import gc
import mmap
import os
import time
from collections.abc import Callable
from typing import Any

from .on_import import on_import
from .patching import replace

#: the file's words, in its order: of the process's begin (of its main script), the first loop's start, the last loop's end, the process's end; a time of 0 was not reached
MOMENTS = ("begun", "loop_start", "loop_end", "ended")
READINGS = ("at_ns", "cpu_ns", "run_queue_ns", "collections")  # run_queue_ns is one more than what it was; 0: not known
SIZE = mmap.PAGESIZE
BEGUN, LOOP_START, LOOP_END, ENDED = (len(READINGS) * moment for moment in range(len(MOMENTS)))

#: where the loops' classes are
LOOPS = (("asyncio.base_events", "BaseEventLoop"), ("uvloop", "Loop"))


class Span:
    """The readings of one process.

    Args:
        folder: where ``span.bin`` goes.
        hold: called once, before the first loop starts.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: str, hold: "Callable[[], None]") -> None:
        file = os.open(os.path.join(folder, "span.bin"), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, SIZE)
            self._map = mmap.mmap(file, SIZE)
        finally:
            os.close(file)
        self._words = memoryview(self._map).cast("Q")
        self._hold = hold
        self._schedstat = -1
        self._started = False
        self._process = os.getpid()

    def watch(self) -> None:
        """Read at the begin of the program's own code, and at the loops' starts and ends from now on."""
        for module, name in LOOPS:
            on_import(module, lambda found, name=name: self._attach(getattr(found, name, None)))  # type: ignore[misc] # mypy cannot type a lambda's default
        self.read(BEGUN)

    def again(self) -> None:
        """The program begins only now: it was held."""
        self.read(BEGUN)

    def in_child(self, sign: "Callable[[], None]") -> None:
        """This is a forked child, whose parent has the file: `sign` is called when it runs a loop."""
        self._hold, self._started = sign, False

    def finish(self) -> None:
        """Read at the process's end."""
        self.read(ENDED)

    def read(self, moment: int) -> None:
        """Read the clocks; of a forked child nothing, the file is its parent's."""
        if os.getpid() != self._process:
            return
        words = self._words
        words[moment + 1] = time.process_time_ns()
        words[moment + 2] = self._run_queue_ns()
        words[moment + 3] = sum(generation["collections"] for generation in gc.get_stats())
        words[moment] = time.perf_counter_ns()

    def _run_queue_ns(self) -> int:
        """How long the thread that asked first, a loop's where there is one, was runnable but not running so far, plus 1; 0: not known."""
        if self._schedstat < 0:
            return 0
        try:
            return int(os.pread(self._schedstat, 64, 0).split()[1]) + 1
        except (OSError, IndexError, ValueError):
            return 0

    def _attach(self, loop_class: Any) -> None:
        if loop_class is not None:
            replace(loop_class, "run_forever", self._make_run)

    def _make_run(self, before: "Callable[..., Any]") -> "Callable[..., Any]":
        def run_forever(self_: Any) -> Any:
            if self_.is_running() or self_.is_closed():
                return before(self_)  # it says itself what is wrong
            if not self._started:
                self._start()
            try:
                return before(self_)
            finally:
                self.read(LOOP_END)

        return run_forever

    def _start(self) -> None:
        self._started = True
        self._hold()
        if os.getpid() != self._process:
            return
        try:
            self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._schedstat = -1
        self.read(LOOP_START)
