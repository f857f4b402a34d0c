"""The requests of one trial on a loop that is none of asyncio's: the same coroutines, started by that loop's own means."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from loopdiag.lab.clients import Client
from loopdiag.lab.job import Job, WorkerReport
from loopdiag.lab.loops.blocking import drivers
from loopdiag.lab.measuring import Timed, arrivals_of, options_of, urls_of
from loopdiag.lab.workload import Outcome, Work, instruments, offsets_ns

#: what the instruments know the running request by; each coroutine that is started has a context of its own
REQUEST: ContextVar[object | None] = ContextVar("loopdiag_request", default=None)

Spawn = Callable[..., Any]  # a coroutine function and its arguments


async def whole(
    client_class: type[Client], job: Job, *, pause: Callable[[float], Awaitable[Any]], through: "Callable[[ElsewhereWork], Awaitable[int]]"
) -> WorkerReport:
    """Do the whole job on the loop that runs.

    Args:
        client_class: its clients have coroutines that this loop can run.
        job: the trial.
        pause: waits for so many seconds.
        through: starts the requests by `ElsewhereWork.begin`, waits for all of them, and returns t0.
    """
    marks = instruments() if job.spec.tier == "timeline" else None
    if marks is not None and (driving := drivers()) is not None:
        driving.tasks_by(REQUEST.get)  # before the client's library is imported, which the instruments then watch
    opened_ns = await _warm(client_class, job)
    client = client_class()
    await client.open(options_of(job))
    work = ElsewhereWork(client, job, marks, pause)
    timed = Timed(job)
    timed.begin()
    t0 = await through(work)
    outcome = work.outcome(t0)
    timed.end()
    await client.close()
    return timed.report(outcome, opened_ns)


async def _warm(client_class: type[Client], job: Job) -> int:
    """Open a client of its own, and make a request where the job says so; nanoseconds that opening it took, the library's import included."""
    began = time.perf_counter_ns()
    client = client_class()
    await client.open(options_of(job))
    opened_ns = time.perf_counter_ns() - began
    if job.warm_up:
        with contextlib.suppress(Exception):  # the timed part will tell
            await client.fetch(urls_of(job)[0])
    await client.close()
    return opened_ns


class ElsewhereWork(Work):
    """As `Work`; `begin` starts the requests, and whoever has waited for them asks for the `outcome`.

    Args:
        client: an open client.
        job: the trial; its workload has no plants, which are asyncio's.
        marks: where each request says when it was due, created and done; None in the bare tier.
        pause: waits for so many seconds.
    """

    def __init__(self, client: Client, job: Job, marks: ModuleType | None, pause: Callable[[float], Awaitable[Any]]) -> None:
        clock = time.perf_counter_ns
        super().__init__(client, urls_of(job), job.scenario.workload, clock=clock, arrivals=arrivals_of(job), marks=marks)
        self._wait = pause

    async def begin(self, spawn: Spawn) -> int:
        """Start the requests by `spawn`; t0, read just before the first one is started."""
        clock, count = self._clock, len(self._urls)
        if self._workload.kind == "open":
            return await self._when_due(spawn)
        if self._workload.concurrency:
            numbers = iter(range(1, count + 1))
            t0 = clock()
            for _ in range(min(self._workload.concurrency, count)):
                spawn(self._worker, numbers)
            return t0
        t0 = clock()
        for number in range(1, count + 1):
            self._spawn(spawn, number, clock())
        return t0

    def outcome(self, t0_ns: int) -> Outcome:
        """What the timed part left; all requests have ended, just now."""
        return Outcome(t0_ns=t0_ns, t1_ns=self._clock(), errors=dict(self._errors), bodies=self._bodies)

    async def _when_due(self, spawn: Spawn) -> int:
        offsets = offsets_ns(self._workload, len(self._urls), self._arrivals)
        t0 = self._clock()
        for number, offset in enumerate(offsets, 1):
            if (early := t0 + offset - self._clock()) > 0:
                await self._wait(early / 1e9)
            self._spawn(spawn, number, t0 + offset)
        return t0

    def _spawn(self, spawn: Spawn, number: int, due_ns: int) -> None:
        if self._marks is None:
            spawn(self._request, number)
        else:
            spawn(self._marked, number, due_ns, self._clock())

    def _marked(self, number: int, due_ns: int, created_ns: int) -> Coroutine[Any, Any, None]:
        return self._named(super()._marked(number, due_ns, created_ns))

    async def _named(self, request: Coroutine[Any, Any, None]) -> None:
        REQUEST.set(object())
        await request

    async def _pause(self, seconds: float) -> None:
        await self._wait(seconds)
