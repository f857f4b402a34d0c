"""A pool of processes, each with a client of its own, of which each makes one request at a time: ``ProcessPoolExecutor``."""

import multiprocessing
import os
import time
from concurrent.futures import Future, ProcessPoolExecutor, wait
from functools import partial
from multiprocessing.queues import SimpleQueue
from types import ModuleType

import msgspec

from loopdiag.errors import Unavailable
from loopdiag.lab.blocking_work import BlockingWork, Made, handed_out, outcome, workers
from loopdiag.lab.clients import BlockingClient
from loopdiag.lab.job import Job, WorkerReport
from loopdiag.lab.loops import BuiltInLoop
from loopdiag.lab.loops.blocking import drivers, opened
from loopdiag.lab.measuring import Timed, ends_with, options_of, unseen, urls_of
from loopdiag.lab.probes.cpu_clock import process_cpu_ns

ELSEWHERE = "the requests are made in processes of their own, which nobody watches"

#: of a pool's process: what makes its requests
_mine: list[BlockingWork] = []


class ProcessesLoop(BuiltInLoop):
    """Eight processes, or as many as the scenario's concurrency says."""

    @staticmethod
    def available() -> str | None:
        """Return None where processes can be forked, or that they cannot."""
        return None if "fork" in multiprocessing.get_all_start_methods() else "this system cannot fork"

    @staticmethod
    def runner(client_class: type[BlockingClient], job: Job) -> WorkerReport:
        """Do the whole job; processes and their clients are set-up, and their CPU counts."""
        driving = drivers() if job.spec.tier == "timeline" else None
        began = time.perf_counter_ns()
        client, _ = opened(client_class, job)  # imports the library, once for all
        client.close()
        forking, count = multiprocessing.get_context("fork"), workers(job.scenario.workload)
        ready: SimpleQueue[int | str] = forking.SimpleQueue()
        with ProcessPoolExecutor(count, mp_context=forking, initializer=_open, initargs=(client_class, job, ready, os.getpid())) as pool:
            pool.submit(os.getpid)  # starts them all
            pids = [_pid(ready.get()) for _ in range(count)]
            setup_ns = time.perf_counter_ns() - began

            def cpu_ns() -> int:
                return time.process_time_ns() + sum(map(process_cpu_ns, pids))

            timed = Timed(job, cpu=cpu_ns, waits=ELSEWHERE)
            timed.begin()
            t0, t1, futures = _fetch(job, pool, driving)
            timed.end()
        report = timed.report(outcome(t0, t1, (future.result() for future in futures)), setup_ns)
        hidden = unseen(ELSEWHERE) if job.spec.tier == "timeline" else {}
        return msgspec.structs.replace(report, not_observed=report.not_observed | hidden)


def _open(client_class: type[BlockingClient], job: Job, ready: "SimpleQueue[int | str]", parent: int) -> None:
    """In a process of the pool: open its client."""
    if not ends_with(parent):  # a killed worker ends no pool: each of its processes keeps the others' pipes open
        raise EOFError("the worker is gone")
    try:
        client = client_class()
        client.open(options_of(job))
    except Exception as error:
        ready.put(str(error))
        raise
    _mine.append(BlockingWork(client, urls_of(job), job.scenario.workload, None))
    ready.put(os.getpid())


def _pid(said: int | str) -> int:
    """What a process said when it was ready: its id, or why it is not."""
    if isinstance(said, str):
        raise Unavailable(said)
    return said


def _one(number: int) -> Made:
    """In a process of the pool: make one request."""
    return _mine[0].request(number)


def _fetch(job: Job, pool: ProcessPoolExecutor, driving: ModuleType | None) -> tuple[int, int, list[Future[Made]]]:
    """The timed part: t0, t1, and what the requests left."""
    futures: list[Future[Made]] = []
    rows: list[int] = []

    def submit(number: int, due_ns: int, created_ns: int) -> None:
        future = pool.submit(_one, number)
        futures.append(future)
        if driving is not None:
            rows.append(row := driving.opened(number, due_ns, created_ns))
            future.add_done_callback(partial(_ended, driving, row))

    t0 = handed_out(job, submit)
    wait(futures)
    return t0, time.perf_counter_ns(), futures


def _ended(driving: ModuleType, row: int, future: "Future[Made]") -> None:
    """In the timeline tier: a request's result has come back."""
    driving.stamped(row, done=time.perf_counter_ns())
    if future.result()[1] is not None:
        driving.flagged(row, "error")
