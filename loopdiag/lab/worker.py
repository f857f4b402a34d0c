"""The child side of a trial: ``python -m loopdiag.lab.worker`` does one Job and ends.

It is an ordinary asyncio program around a client, a loop and a workload, and imports no more than that, so that what is measured is what
a user's program would do.  Set-up is timed apart, from the import of the client's library to the open client; so are warm-up and decoding.
A loop that is none of asyncio's runs the whole of it in its own way (`runner`).
"""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import msgspec

from loopdiag.lab.clients import CLIENTS, Client
from loopdiag.lab.job import REPORT, Job, WorkerReport
from loopdiag.lab.loops import LOOPS, Loop, cpu_clock, loop_clock, runner_of
from loopdiag.lab.measuring import Timed, arrivals_of, ends_with, options_of, unseen, urls_of
from loopdiag.lab.planted import slow_look_ups
from loopdiag.lab.workload import Work, instruments


def main() -> None:
    """Do the job that stands on stdin."""
    if not ends_with(os.getppid()):
        return
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    if job.cores:
        os.sched_setaffinity(0, job.cores)
    began = time.perf_counter_ns()
    client_class, loop_class = CLIENTS[job.spec.arm.client], LOOPS[job.spec.arm.loop]
    loaded_ns = time.perf_counter_ns() - began
    if (run := runner_of(loop_class)) is not None:
        report = run(client_class, job)
    else:
        opened_ns = _warm_up(client_class, loop_class, job) if job.warm_up else None
        debug = job.scenario.workload.plant.debug
        with asyncio.Runner(loop_factory=loop_class.loop_factory, debug=debug) as runner:
            report = runner.run(_measure(client_class(), job, opened_ns))
    versions = {**report.versions, **client_class.versions(), **loop_class.versions()}
    blind = getattr(client_class, "unseen", None) if job.spec.tier == "timeline" else None
    not_observed = report.not_observed | (unseen(blind) if blind else {})
    report = msgspec.structs.replace(report, setup_s=report.setup_s + loaded_ns / 1e9, versions=versions, not_observed=not_observed)
    _write(Path(job.folder) / REPORT, msgspec.json.encode(report))


def _warm_up(client_class: type[Client], loop_class: type[Loop], job: Job) -> int:
    """Make one request on a client and a loop of their own, so that what the library imports on first use is there.

    Returns:
        Nanoseconds that opening the client took: the library's import, the TLS context, the client.
    """

    async def once() -> int:
        client = client_class()
        opened_ns = await _open(client, job)
        with contextlib.suppress(Exception):  # the timed part will tell
            await client.fetch(urls_of(job)[0])
        await client.close()
        return opened_ns

    with asyncio.Runner(loop_factory=loop_class.loop_factory, debug=False) as runner:
        return runner.run(once())


async def _open(client: Client, job: Job) -> int:
    """Open `client`; how many nanoseconds that took."""
    began = time.perf_counter_ns()
    await client.open(options_of(job))
    return time.perf_counter_ns() - began


async def _measure(client: Client, job: Job, first_opened_ns: int | None) -> WorkerReport:
    """Open the client, wait for the word, run the timed part, decode, report.

    Set-up is the first opening of a client in this process, which imports its library.
    """
    loop = asyncio.get_running_loop()
    clock = loop_clock(loop)
    marks = instruments() if job.spec.tier == "timeline" else None
    if marks is not None:
        marks.use_clock(clock)
    if delay_ms := job.scenario.workload.plant.dns_ms:
        slow_look_ups(delay_ms)
    opened_ns = await _open(client, job)
    work = Work(client, urls_of(job), job.scenario.workload, clock=clock, arrivals=arrivals_of(job), marks=marks)
    timed = Timed(job, cpu=cpu_clock(loop))
    timed.begin()
    outcome = await work.run()
    timed.end()
    opened = getattr(client, "connections_opened", None)
    await client.close()
    return timed.report(outcome, opened_ns if first_opened_ns is None else first_opened_ns, opened)


def _write(path: Path, text: bytes) -> None:
    """Write at once or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_bytes(text)
    draft.replace(path)


if __name__ == "__main__":
    main()
