"""What the operating system counts for the loop's thread: CPU, run-queue wait, context switches; and the process's descriptors and threads.

Sampled between two iterations, at most every 100 ms, and where the loop's run begins and ends.  A source that fails is asked no more.
"""

import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .calibration import each_ns, ignore, opened, priced, scratch_table
from .context import Rows
from .dropping import Drop
from .loops import Watched, loops_of
from .recorder import now
from .schema import MASK, SAMPLE, words

W = words(SAMPLE)
CPU, RUN_QUEUE = W["cpu_ns"] >> 1, W["run_queue_ns"] >> 1  # in 64-bit words
WAITS, PREEMPTIONS, DESCRIPTORS, THREADS, LOOP = W["waits"], W["preemptions"], W["descriptors"], W["threads"], W["loop"]

EVERY_NS = 100_000_000
SHORT_NS = 10_000_000  # a run that begins or ends so soon after a sample needs no other
NEVER = 1 << 63
LISTING_SHARE = 1000  # listing the descriptors may take one thousandth of the time

SCHEDSTAT = "/proc/thread-self/schedstat"
DESCRIPTOR_FOLDER = "/proc/self/fd"


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Sample every loop's thread."""
    give_up = Drop(rows, "samples")

    def attach(loop: Any, watched: Watched) -> None:
        if give_up.done:
            return
        watched.sampler = sampler = Sampler(rows.samples, watched.number, rows.dropped, give_up)
        watched.begin.append(("samples", sampler.begin))
        watched.end.append(("samples", sampler.end))
        watched.close.append(("samples", sampler.close))

    loops_of(rows, module).first_run.append(("samples", attach))
    rows.costs["samples"] = lambda: priced(opened(rows.samples), _cost)
    return {}


class Sampler:
    """Samples of one loop's thread.

    Attributes:
        due: when the next one is due, in nanoseconds of the process's clock.
    """

    __slots__ = (
        "_broken",
        "_dropped",
        "_file",
        "_give_up",
        "_listing_due",
        "_number",
        "_open",
        "_quads",
        "_sources",
        "_taken",
        "_words",
        "due",
    )

    def __init__(self, table: Any, number: int, dropped: "dict[str, str]", give_up: "Callable[[Exception], None]") -> None:
        self._open, self._words, self._quads = table.open, table.words, table.quads
        self._number, self._dropped, self._give_up = number, dropped, give_up
        self.due = NEVER
        self._taken = self._listing_due = 0
        self._file = -1
        self._broken = False
        self._sources: list[tuple[str, Callable[[int], None]]] = [
            ("samples.run_queue_ns", self._processor),
            ("samples.waits", self._switches),
            ("samples.descriptors", self._descriptors),
            ("samples.threads", self._threads),
        ]

    def begin(self) -> None:
        """A run of the loop begins, in this thread."""
        self.close()  # the file is the thread's, and this may be another one
        if now() - self._taken > SHORT_NS:
            self.take()
        elif not self._broken:
            self.due = self._taken + EVERY_NS

    def end(self) -> None:
        """The run ends."""
        if now() - self._taken > SHORT_NS:
            self.take()
        self.due = NEVER

    def take(self) -> None:
        """Write a sample."""
        if self._broken:
            return
        try:
            row = self._open()
            self._taken = now()
            self.due = self._taken + EVERY_NS
            self._words[row + LOOP] = self._number
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            self.due, self._broken = NEVER, True
            self._give_up(error)
            return
        for source in tuple(self._sources):
            name, ask = source
            try:
                ask(row)
            except Exception as error:  # noqa: BLE001 - likewise, each source for itself
                self._sources.remove(source)
                self._dropped.setdefault(name, f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Close the file that is kept open."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __del__(self) -> None:
        self.close()

    def _processor(self, row: int) -> None:
        """CPU and run-queue wait, as one reading: either both are there or none is.  The thread's clock is exact, schedstat's CPU is a tick old."""
        if self._file < 0:
            self._file = os.open(SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        self._quads[(row >> 1) + RUN_QUEUE] = int(os.pread(self._file, 64, 0).split()[1])
        self._quads[(row >> 1) + CPU] = time.thread_time_ns()

    def _switches(self, row: int) -> None:
        from resource import RUSAGE_THREAD, getrusage

        used = getrusage(RUSAGE_THREAD)
        self._words[row + WAITS] = used.ru_nvcsw & MASK
        self._words[row + PREEMPTIONS] = used.ru_nivcsw & MASK

    def _descriptors(self, row: int) -> None:
        """How many are open: the kernel tells since 6.2; before, they are listed, as seldom as that takes a thousandth of the time."""
        count = os.stat(DESCRIPTOR_FOLDER).st_size
        if not count and self._taken >= self._listing_due:
            begun = now()
            count = len(os.listdir(DESCRIPTOR_FOLDER)) - 1  # the listing's own
            self._listing_due = self._taken + LISTING_SHARE * (now() - begun)
        self._words[row + DESCRIPTORS] = count & MASK

    def _threads(self, row: int) -> None:
        self._words[row + THREADS] = sys.modules["threading"].active_count()


def _cost() -> float:
    """Nanoseconds a sample."""
    sampler = Sampler(scratch_table(), 0, {}, ignore)
    try:
        return each_ns(sampler.take, 8)
    finally:
        sampler.close()
