"""What a loop's thread does where one iteration takes long: a thread of our own looks at it every few milliseconds, while it lasts.

A look takes the thread's innermost frame (`sys._current_frames`), whether it runs or sleeps, and the system call that it sleeps in, where the kernel tells.  The row
is written by the loop itself, when the iteration is over; an iteration in which C code kept the interpreter's lock has one look, at its end, or none.
While a loop waits for its sockets nobody looks at it.  A loop's looks end with its run.

What looking costs is bounded: whoever looks spends a small share of the time, and while nothing is long sleeps until the loop wakes it after an iteration that was.
"""

import os
import struct
import sys
import threading
import time
from _thread import get_ident, get_native_id, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, ModuleType
from typing import Any

from . import places
from .context import Rows
from .dropping import Drop
from .loops import Watched, loops_of
from .recorder import now
from .schema import MASK, TICK_SHIFT

NAME = "stalls"
LONG_NS = 5_000_000
#: between two looks while one iteration lasts, up to the third if it lasts very long; where none does, twice as long each time, up to the second: a wake-up takes 0.1 ms
#: of CPU, which would be much of what a program takes that mostly waits
EVERY_NS, SELDOM_NS, LONGEST_NS = 5_000_000, 100_000_000, 50_000_000
DOZES_NS = 4 * EVERY_NS  # a pause from which the end of a long iteration wakes
SHARE = 8  # of the time that an iteration has lasted, before it is looked at again
#: CPU of the looking: so much at once, since a short run has to be looked at, too; then a part of the process's CPU where threads run (a look at one takes 0.1 to 0.4 ms, most of
#: it to get the interpreter's lock, and the thread waits meanwhile), and of the time where they sleep: a tenth and a sixth of what watching may cost
AT_ONCE_NS, PART_OF_CPU, PART_OF_TIME = 2_000_000, 300, 200
REST_NS = 250_000_000  # nobody is out of sight for longer, whatever it cost
LATE_NS = 3_000_000  # whoever wakes up later than that has waited for the interpreter's lock
#: a program of 32 bits has numbers of its own for system calls, which the name of the machine's architecture does not tell
WIDE = sys.maxsize > MASK
SAME_NS = 1_000_000  # two readings of when one iteration began differ by less

pack_into = struct.Struct("<Q8I").pack_into  # of schema.STALL

#: what the innermost line was doing: (place, leaf, system call plus 1)
Sight = tuple[int, int, int]


class Watch:
    """One loop, while it runs."""

    __slots__ = ("_clock", "_cpu_at", "_cpu_ns", "_folder", "began", "busy", "ident", "looks", "number", "running", "sights")

    def __init__(self, number: int, busy: "Callable[[int], int]") -> None:
        self.number, self.busy = number, busy
        self.ident = get_ident()
        self._folder = f"/proc/self/task/{get_native_id()}/"
        self._clock = time.pthread_getcpuclockid(self.ident)
        self._cpu_ns = self._cpu_at = 0
        self.began = self.looks = self.running = 0
        self.sights: dict[Sight, int] = {}

    def begin(self, began: int) -> None:
        """The looks that follow are of the iteration that began then."""
        self.began, self.looks, self.running, self.sights = began, 0, 0, {}
        self._cpu_at = 0

    def runs(self, waited: bool) -> "tuple[bool, int]":
        """Whether the thread is on a CPU, or would be, and the system call that it sleeps in plus 1; 0: none, or the kernel does not tell.

        To look makes a thread that runs Python wait for the interpreter's lock.  What tells it from one that sleeps is the CPU that it has used since the last
        look; at the first one, that whoever looks had to wait for that lock.  The kernel is asked only of one that has not run: each question gives the lock
        away, and to get it back from a thread that runs takes longer than all the rest.
        """
        cpu, at = time.clock_gettime_ns(self._clock), now()
        used = waited if not self._cpu_at else 2 * (cpu - self._cpu_ns) > at - self._cpu_at
        self._cpu_ns, self._cpu_at = cpu, at
        if used:
            return True, 0
        runs, call = _told_by_kernel(self._folder)
        # where the iteration is over, what the thread does now is something else
        return (runs, 0) if runs or self.busy(now()) <= LONG_NS else (False, call)


def _told_by_kernel(folder: str) -> "tuple[bool, int]":
    """Of the thread whose folder this is: whether it is on a CPU or would be, and the system call that it is in plus 1."""
    try:
        word = _read(folder + "syscall").split()[0]
    except (OSError, IndexError):  # a kernel that does not tell the call
        return _read(folder + "stat").rpartition(b") ")[2][:1] == b"R", 0
    return word == b"running", int(word) + 1 & MASK if WIDE and word.isdigit() else 0


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # as an `open` that allocates nothing and asks less
    try:
        return os.read(file, 256)
    finally:
        os.close(file)


class Budget:
    """What may be spent: a little at once, and then one part of what `clock` tells."""

    def __init__(self, part: int, clock: "Callable[[], int]") -> None:
        self._part, self._clock, self._since_ns = part, clock, clock()
        self.spent_ns = 0

    def owed_ns(self) -> int:
        """How far the clock has to come before more may be spent; not positive: it has."""
        return (self.spent_ns - AT_ONCE_NS) * self._part - (self._clock() - self._since_ns)


class Waited:
    """Whether this thread had to wait for the interpreter's lock when it came out of a pause: it slept twice, or, where that is not told, came late."""

    def __init__(self) -> None:
        try:
            from resource import RUSAGE_THREAD, getrusage
        except ImportError:  # a Python without it
            self._sleeps: Callable[[], int] | None = None
        else:
            self._sleeps = lambda: getrusage(RUSAGE_THREAD).ru_nvcsw
        self._slept = self._due = 0

    def before(self, pause_ns: int) -> None:
        """A pause of this length begins."""
        self._due = now() + pause_ns
        self._slept = self._sleeps() if self._sleeps is not None else 0

    def after(self) -> bool:
        """It is over."""
        return now() - self._due > LATE_NS if self._sleeps is None else self._sleeps() - self._slept > 1


class Monitor:
    """The looking thread and the loops that it looks at."""

    def __init__(self, rows: Rows, give_up: "Callable[[BaseException], None]") -> None:
        self._rows, self._give_up = rows, give_up
        self._watches: dict[int, Watch] = {}  # by the loop's number
        self._lock = threading.Lock()  # a loop's pointers are not asked while it is being closed
        self._process = os.getpid()
        self._running = False
        self._longest_ns = 0  # of the iterations that last
        self._nap = threading.Lock()  # held; let go to wake whoever looks
        self._nap.acquire()
        self._dozes = False
        self._budgets = (
            Budget(PART_OF_TIME, now),
            Budget(PART_OF_CPU, time.process_time_ns),
        )  # of rounds that found nothing run, and of the others
        self.looks = self.spent_ns = self._ran = 0

    def begin(self, watch: Watch) -> None:
        """A loop's run begins, in this thread."""
        if os.getpid() != self._process:
            return  # a forked child has no such thread, and whoever held the lock is not there
        with self._lock:
            self._watches[watch.number] = watch
            if not self._running:
                self._running = True
                start_new_thread(self._run, ())

    def end(self, number: int) -> None:
        """It is over."""
        if os.getpid() == self._process:
            with self._lock:
                self._watches.pop(number, None)

    def stalled(self, number: int, began: int, ended: int) -> None:
        """The iteration from `began` to `ended` was a long one: write its row."""
        watch = self._watches.get(number)
        place = leaf = call = looks = running = 0
        if watch is not None and watch.looks and abs(watch.began - began) < SAME_NS:
            looks, running, sights = watch.looks, watch.running, dict(watch.sights)  # whoever looks may be about to note one more
            place, leaf, call = most_seen(sights)
        if watch is not None:
            watch.begin(0)
        if self._dozes:
            self._dozes = False
            with suppress(RuntimeError):  # another loop was quicker
                self._nap.release()
        length = min((ended - began) >> TICK_SHIFT, MASK)
        self._rows.stalls.open_with(pack_into, began, length, looks, running, place, leaf, call, number, 0)

    def _run(self) -> None:
        before_ns, pause_ns, waited = time.thread_time_ns(), EVERY_NS, False
        asleep = Waited()
        try:
            while True:
                looks, ran = self.looks, self._ran
                if not self._round(waited=waited):
                    return
                lasting = self.looks > looks
                pause_ns = min(max(EVERY_NS, self._longest_ns // SHARE), LONGEST_NS) if lasting else min(2 * pause_ns, SELDOM_NS)
                before_ns, spent_ns = (at_ns := time.thread_time_ns()), at_ns - before_ns
                self.spent_ns += spent_ns
                budget = self._budgets[self._ran > ran]
                budget.spent_ns += spent_ns
                owed_ns = budget.owed_ns()
                self._dozes = not lasting and pause_ns >= DOZES_NS and owed_ns < pause_ns
                asleep.before(pause := max(pause_ns, min(owed_ns, REST_NS)))
                if self._nap.acquire(timeout=pause / 1e9):
                    pause_ns = EVERY_NS
                self._dozes = False
                waited = asleep.after()
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            self._watches.clear()
            self._give_up(error)

    def _round(self, *, waited: bool) -> bool:
        """Look at each loop once; whether there is one."""
        self._longest_ns = 0
        with self._lock:
            watches = tuple(self._watches.values())
            if not watches:
                self._running = False
            for watch in watches:
                at = now()
                busy = watch.busy(at)
                self._longest_ns = max(self._longest_ns, busy)
                if busy > LONG_NS:
                    self._look(watch, at - busy, waited=waited)
        return bool(watches)

    def _look(self, watch: Watch, began: int, *, waited: bool) -> None:
        if abs(watch.began - began) > SAME_NS:
            watch.begin(began)
        frame = sys._current_frames().get(watch.ident)
        if frame is None:
            return
        place, leaf = places.of_frame(frame), _leaf(frame)
        frame = None
        running, call = watch.runs(waited)
        sight = (place, leaf, call)
        watch.sights[sight] = watch.sights.get(sight, 0) + 1
        watch.running += running
        self._ran += running
        watch.looks += 1
        self.looks += 1


def _leaf(frame: "FrameType | None") -> int:
    """The innermost line that is not ours."""
    while frame is not None:
        if not frame.f_code.co_filename.startswith(places.OURS):
            return places.of_line(frame)
        frame = frame.f_back
    return 0


def most_seen(sights: "dict[Sight, int]") -> Sight:
    """The program's line that most looks saw, and the innermost line and the system call that most of those saw; zeros where none is noted."""
    by_place: dict[int, int] = {}
    for (place, _, _), count in sights.items():
        by_place[place] = by_place.get(place, 0) + count
    best = max(by_place, key=lambda place: by_place[place], default=0)
    return max((sight for sight in sights if sight[0] == best), key=lambda sight: sights[sight], default=(0, 0, 0))


def install(rows: Rows, module: ModuleType) -> None:
    """Look at every loop that `module` makes."""
    give_up = Drop(rows, NAME)
    monitor = _monitor(rows, give_up)

    def attach(_loop: Any, watched: Watched) -> None:
        if give_up.done:
            return
        rows.stalls  # noqa: B018 - opened now, which takes milliseconds, and not in the midst of the program

        def stalled(began: int, ended: int) -> None:
            monitor.stalled(watched.number, began, ended)

        def begin() -> None:
            if watched.busy is not None and not give_up.done:
                watched.long_ns, watched.stalled = LONG_NS, stalled
                monitor.begin(Watch(watched.number, watched.busy))

        def end() -> None:
            monitor.end(watched.number)

        watched.begin.append((NAME, begin))
        watched.end.append((NAME, end))

    loops_of(rows, module).first_run.append((NAME, attach))


def _monitor(rows: Rows, give_up: Drop) -> Monitor:
    """The one of this process."""
    found: Monitor | None = vars(rows).get("monitor")
    if found is None:
        made = found = rows.monitor = Monitor(rows, give_up)  # type: ignore[attr-defined] # of programs alone
        rows.costs[NAME] = lambda: (1, float(made.spent_ns))
    return found
