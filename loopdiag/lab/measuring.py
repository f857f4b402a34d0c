"""What a worker measures, on whatever loop: the clocks at both ends of the timed part, and the report that is made of them."""

import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, NamedTuple, overload

import msgspec

from loopdiag.instruments.schema import ATTEMPT_STAMPS
from loopdiag.lab.clients import ClientOptions
from loopdiag.lab.job import DONE, GO, READY, Job, WorkerReport
from loopdiag.lab.loops import Clock
from loopdiag.lab.workload import Outcome, decode_all

if TYPE_CHECKING:
    from loopdiag.lab.probes import Running


PR_SET_PDEATHSIG = 1


class Meter(NamedTuple):
    """What the operating system and the collector counted so far."""

    cpu_ns: int
    run_queue_ns: int | None
    collections: int


class Timed:
    """The timed part of a trial: what is counted from the parent's word to the last response.

    Args:
        job: the trial.
        cpu: CPU spent so far, in nanoseconds, by all that works for the client.
        waits: time for which the one thread that makes the requests was runnable, but not running; or why that is not observed.
    """

    def __init__(self, job: Job, *, cpu: Clock = time.process_time_ns, waits: Callable[[], int | None] | str | None = None) -> None:
        self._job, self._cpu, self._waits = job, cpu, run_queue_ns if waits is None else waits
        self._counting: Running | None = None
        self._before = self._after = Meter(0, None, 0)

    def begin(self) -> None:
        """Say that the worker is ready, and wait for the word.

        Raises:
            EOFError: the parent is gone.
        """
        say(READY)
        if sys.stdin.buffer.readline() != GO:
            raise EOFError("the parent is gone")
        self._counting = _counting(self._job)
        self._before = self._read()

    def end(self) -> None:
        """The last response is in."""
        self._after = self._read()
        self._notes = self._counting.stop() if self._counting is not None else None
        say(DONE)

    def report(self, outcome: Outcome, setup_ns: int, opened: int | None = None) -> WorkerReport:
        """What was measured; `opened`: connections, where the client itself knows."""
        made = _report(self._job, outcome, self._before, self._after, setup_ns, opened)
        unseen = {"run_queue_s": self._waits} if isinstance(self._waits, str) else {}
        told = self._notes.not_observed if self._notes is not None else {}
        return msgspec.structs.replace(made, not_observed=made.not_observed | unseen | told)

    def _read(self) -> Meter:
        waited = None if isinstance(self._waits, str) else self._waits()
        return Meter(self._cpu(), waited, sum(generation["collections"] for generation in gc.get_stats()))


def _counting(job: Job) -> "Running | None":
    """Start the probe that this job's tier wants inside the process; most want none."""
    if job.spec.tier != "calls":
        return None
    from loopdiag.lab.probes import INSIDE, PROBES

    return PROBES[INSIDE[job.spec.tier]]().start(job, os.getpid(), Path(job.folder))


def _report(job: Job, outcome: Outcome, before: Meter, after: Meter, setup_ns: int, opened: int | None) -> WorkerReport:  # noqa: PLR0913, PLR0917 - each is one measurement
    errors, decode_s = dict(outcome.errors), None
    workload = job.scenario.workload
    # decoding afterwards is no part of T: the timeline tier measures it, and the bare trials, which only measure T, leave the time to more trials
    if workload.decode == "json" and workload.decode_when == "after" and job.spec.tier == "timeline":
        began = time.perf_counter_ns()
        errors |= decode_all(outcome.bodies)
        decode_s = (time.perf_counter_ns() - began) / 1e9
    waited = None if before.run_queue_ns is None or after.run_queue_ns is None else (after.run_queue_ns - before.run_queue_ns) / 1e9
    return WorkerReport(
        t0_ns=outcome.t0_ns,
        t1_ns=outcome.t1_ns,
        total_s=(outcome.t1_ns - outcome.t0_ns) / 1e9,
        setup_s=setup_ns / 1e9,
        cpu_s=(after.cpu_ns - before.cpu_ns) / 1e9,
        run_queue_s=waited,
        rss_peak_kib=_rss_peak_kib(),
        gc_collections=after.collections - before.collections,
        errors=errors,
        succeeded=sum(body is not None for body in outcome.bodies),
        body_bytes=sum(len(body) for body in outcome.bodies if body is not None),
        decode_s=decode_s,
        connections_opened=opened,
        not_observed={"run_queue_s": "the kernel keeps no /proc/self/schedstat"} if waited is None else {},
    )


#: stamps that a worker knows without any instrument
OUTSIDE = frozenset({"due", "created", "first_run", "decoded", "done"})


def unseen(why: str) -> dict[str, str]:
    """What of requests is not observed, in `WorkerReport`'s terms, where nothing sees into them, with the reason."""
    return {f"attempts.{name}": why for name in ATTEMPT_STAMPS if name not in OUTSIDE}


def options_of(job: Job) -> ClientOptions:
    """What the trial's clients are opened with."""
    scenario = job.scenario
    return ClientOptions(
        method=scenario.workload.method,
        http=scenario.target.http,
        timeout_s=scenario.workload.timeout_s,
        pool=scenario.pool,
        ca_file=job.ca_file,
        user_agent=job.user_agent,
        service=scenario.target.service,
        payload=scenario.target.payload,
        fake=scenario.fake,
        seed=job.spec.seed,
        look_ups=scenario.workload.plant.dns_ms > 0,
    )


def arrivals_of(job: Job) -> Random:
    """What draws the gaps of a Poisson workload: the same for every arm and tier."""
    return Random(f"{job.scenario.sweep.seed}/{job.spec.n}/{job.spec.repetition}")


class Urls(Sequence[str]):
    """The addresses of `n` requests, each made when it is asked for: a million would take more memory than anything else here."""

    def __init__(self, base: str, path: str, n: int) -> None:
        """`path` has ``{i}`` where the request's number stands, from 1."""
        first, *rest = path.split("{i}")
        self._parts, self._n = (base + first, *rest), n

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._n))]
        return str(range(1, self._n + 1)[index]).join(self._parts)


def urls_of(job: Job) -> Urls:
    """The addresses of the trial's requests."""
    return Urls(job.url.rstrip("/"), job.scenario.target.path, job.spec.n)


def run_queue_ns() -> int | None:
    """How long this thread was runnable but not running so far; None where the kernel does not count it."""
    try:
        with open("/proc/self/schedstat", "rb") as file:  # noqa: PTH123 - a Path costs more than the read, and this stands beside the clock
            return int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _rss_peak_kib() -> int:
    """The most memory this program held: VmHWM, because ru_maxrss keeps the parent's from before the exec."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return getrusage(RUSAGE_SELF).ru_maxrss


def ends_with(parent: int) -> bool:
    """Have the kernel kill this process when the thread that started it ends; False where `parent`, that thread's process, is gone already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def say(line: bytes) -> None:
    """Tell the parent one line."""
    os.write(sys.stdout.fileno(), line)
