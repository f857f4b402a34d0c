"""The child side of a trial: ``python -m loopdiag.lab.worker`` does one Job and ends.

It is an ordinary asyncio program around a client, a loop and a workload, and imports no more than that, so that what is measured is what
a user's program would do.  Set-up is timed apart, from the import of the client's library to the open client; so are warm-up and decoding.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, NamedTuple, overload

import msgspec

from loopdiag.lab.clients import CLIENTS, Client, ClientOptions
from loopdiag.lab.job import DONE, GO, READY, REPORT, Job, WorkerReport
from loopdiag.lab.loops import LOOPS, Clock, Loop, cpu_clock, loop_clock
from loopdiag.lab.planted import slow_look_ups
from loopdiag.lab.workload import Outcome, Work, decode_all, instruments

if TYPE_CHECKING:
    from loopdiag.lab.probes import Running

PR_SET_PDEATHSIG = 1


class Meter(NamedTuple):
    """What the operating system and the collector counted so far."""

    cpu_ns: int
    run_queue_ns: int | None
    collections: int

    @classmethod
    def read(cls, cpu: Clock) -> "Meter":
        """Read all three."""
        return cls(cpu(), _run_queue_ns(), sum(generation["collections"] for generation in gc.get_stats()))


def main() -> None:
    """Do the job that stands on stdin."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # the parent died before the line above
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    if job.cores:
        os.sched_setaffinity(0, job.cores)
    began = time.perf_counter_ns()
    client_class, loop_class = CLIENTS[job.spec.arm.client], LOOPS[job.spec.arm.loop]
    loaded_ns = time.perf_counter_ns() - began
    opened_ns = _warm_up(client_class, loop_class, job) if job.warm_up else None
    debug = job.scenario.workload.plant.debug
    with asyncio.Runner(loop_factory=loop_class.loop_factory, debug=debug) as runner:
        report = runner.run(_measure(client_class(), job, loaded_ns, opened_ns))
    versions = {**report.versions, **client_class.versions(), **loop_class.versions()}
    _write(Path(job.folder) / REPORT, msgspec.json.encode(msgspec.structs.replace(report, versions=versions)))


def _warm_up(client_class: type[Client], loop_class: type[Loop], job: Job) -> int:
    """Make one request on a client and a loop of their own, so that what the library imports on first use is there.

    Returns:
        Nanoseconds that opening the client took: the library's import, the TLS context, the client.
    """

    async def once() -> int:
        client = client_class()
        opened_ns = await _open(client, job)
        with contextlib.suppress(Exception):  # the timed part will tell
            await client.fetch(_urls(job)[0])
        await client.close()
        return opened_ns

    with asyncio.Runner(loop_factory=loop_class.loop_factory, debug=False) as runner:
        return runner.run(once())


async def _open(client: Client, job: Job) -> int:
    """Open `client`; how many nanoseconds that took."""
    began = time.perf_counter_ns()
    await client.open(_options(job))
    return time.perf_counter_ns() - began


async def _measure(client: Client, job: Job, loaded_ns: int, first_opened_ns: int | None) -> WorkerReport:
    """Open the client, wait for the word, run the timed part, decode, report.

    Set-up is the loading of the client's and the loop's file and the first opening of a client in this process, which imports its library.
    """
    loop = asyncio.get_running_loop()
    clock, cpu = loop_clock(loop), cpu_clock(loop)
    marks = instruments() if job.spec.tier == "timeline" else None
    if marks is not None:
        marks.use_clock(clock)
    if delay_ms := job.scenario.workload.plant.dns_ms:
        slow_look_ups(delay_ms)
    opened_ns = await _open(client, job)
    sweep = job.scenario.sweep
    arrivals = Random(f"{sweep.seed}/{job.spec.n}/{job.spec.repetition}")  # the same for every arm and tier
    work = Work(client, _urls(job), job.scenario.workload, clock=clock, arrivals=arrivals, marks=marks)
    setup_ns = loaded_ns + (opened_ns if first_opened_ns is None else first_opened_ns)
    _say(READY)
    if sys.stdin.buffer.readline() != GO:
        raise EOFError("the parent is gone")
    counting = _counting(job)
    before = Meter.read(cpu)
    outcome = await work.run()
    after = Meter.read(cpu)
    notes = counting.stop() if counting is not None else None
    _say(DONE)
    opened = getattr(client, "connections_opened", None)
    await client.close()
    report = _report(job, outcome, before, after, setup_ns, opened)
    return report if notes is None else msgspec.structs.replace(report, not_observed=report.not_observed | notes.not_observed)


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


def _options(job: Job) -> ClientOptions:
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


def _urls(job: Job) -> Urls:
    return Urls(job.url.rstrip("/"), job.scenario.target.path, job.spec.n)


def _run_queue_ns() -> int | None:
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


def _say(line: bytes) -> None:
    os.write(sys.stdout.fileno(), line)


def _write(path: Path, text: bytes) -> None:
    """Write at once or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_bytes(text)
    draft.replace(path)


if __name__ == "__main__":
    main()
