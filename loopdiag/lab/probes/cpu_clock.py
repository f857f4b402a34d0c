"""How much CPU a process had spent at every moment: its CPU clock, read all the while from outside."""

import os
import threading
import time
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

CPU_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED in Linux: what it ran, to the nanosecond, also while it runs
PERIOD_S = 0.002
SHAKY_NS = 200_000  # a reading that took longer was interrupted, and its time is not known


def process_cpu_ns(pid: int) -> int:
    """CPU that a process has spent, over all its threads, in nanoseconds.

    Raises:
        OSError: there is no such process, or this system keeps no such clock.
    """
    return time.clock_gettime_ns((~pid << 3) | CPU_CLOCK_OF_PROCESS)


class CpuClock(threading.Thread):
    """Reads the CPU clock of a process every 2 ms from a thread of its own, until it is stopped or the process is gone.

    Args:
        pid: the process.
        cores: where the thread may run; empty: anywhere.
    """

    def __init__(self, pid: int, cores: Sequence[int] = ()) -> None:
        super().__init__(name="cpu-clock", daemon=True)
        self.at_ns, self.cpu_ns = array("q"), array("q")  # of the monotonic clock; of the process's
        self._pid, self._cores = pid, cores
        self._over = threading.Event()

    def run(self) -> None:
        """Read until the end."""
        if self._cores:
            os.sched_setaffinity(0, self._cores)  # of this thread
        try:
            while True:
                over = self._over.is_set()
                self._read()
                if over:
                    return
                self._over.wait(PERIOD_S)
        except OSError:
            return

    def _read(self) -> None:
        before = time.monotonic_ns()
        cpu = process_cpu_ns(self._pid)
        after = time.monotonic_ns()
        if after - before > SHAKY_NS and self.at_ns:
            return
        if len(self.cpu_ns) > 1 and self.cpu_ns[-2] == self.cpu_ns[-1] == cpu:
            self.at_ns[-1] = after  # an idle stretch needs its ends only
            return
        self.at_ns.append((before + after) // 2)
        self.cpu_ns.append(cpu)

    def stop(self) -> None:
        """Read once more, and end."""
        self._over.set()
        if self.is_alive():
            self.join()


class CpuCurve:
    """The readings as a function of time, linear in between.

    Args:
        at_ns: times, not descending; at least two.
        cpu_ns: CPU spent by then, not descending.
    """

    def __init__(self, at_ns: Sequence[int], cpu_ns: Sequence[int]) -> None:
        # times ascend strictly, so that each has one value
        kept = [0, *(i for i in range(1, len(at_ns)) if at_ns[i] > at_ns[i - 1])]
        self._at, self._cpu = [at_ns[i] for i in kept], [cpu_ns[i] for i in kept]

    def at(self, moment_ns: int) -> int:
        """CPU spent by `moment_ns`; before the first reading as much as then, and after the last likewise."""
        i = bisect_right(self._at, moment_ns)
        if i == 0 or i == len(self._at):
            return self._cpu[0 if i == 0 else -1]
        (a, b), (c, d) = self._at[i - 1 : i + 1], self._cpu[i - 1 : i + 1]
        return c + (d - c) * (moment_ns - a) // (b - a)

    def when(self, spent_ns: int) -> int:
        """When that much had been spent and more was about to be: of an idle stretch, its end."""
        i = bisect_right(self._cpu, spent_ns)
        if i == 0 or i == len(self._cpu):
            return self._at[0 if i == 0 else -1]
        (a, b), (c, d) = self._at[i - 1 : i + 1], self._cpu[i - 1 : i + 1]
        return a + (b - a) * (spent_ns - c) // (d - c)

    def ascends(self) -> bool:
        """Whether no clock goes backwards."""
        return all(a <= b for column in (self._at, self._cpu) for a, b in pairwise(column))
