"""libcurl's own kind of loop: epoll and one timer, which tell the multi handle what to work on (``socket_action``)."""

import json
import select
import time
from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from types import ModuleType
from typing import TYPE_CHECKING, Any

from loopdiag.lab.clients import REFUSALS, Answer
from loopdiag.lab.job import Job, WorkerReport
from loopdiag.lab.loops import BuiltInLoop
from loopdiag.lab.loops.blocking import drivers
from loopdiag.lab.loops.curl_stamps import UNSEEN, Stamps
from loopdiag.lab.measuring import Timed, arrivals_of, options_of, urls_of
from loopdiag.lab.workload import Outcome, failure, offsets_ns

if TYPE_CHECKING:
    from loopdiag.lab.clients.curl import CurlClient, Transfer

READY_IN = select.EPOLLIN | select.EPOLLPRI | select.EPOLLHUP | select.EPOLLERR
#: pycurl.POLL_IN, POLL_OUT and POLL_INOUT as epoll's masks
MASKS = {1: select.EPOLLIN, 2: select.EPOLLOUT, 3: select.EPOLLIN | select.EPOLLOUT}


class CurlLoop(BuiltInLoop):
    """epoll and CurlMulti.socket_action."""

    @staticmethod
    def runner(client_class: "type[CurlClient]", job: Job) -> WorkerReport:
        """Do the whole job."""
        driving = drivers() if job.spec.tier == "timeline" else None
        if driving is not None:
            driving.unseen(UNSEEN)
        began = time.perf_counter_ns()
        first = client_class()
        first.open(options_of(job))
        setup_ns = time.perf_counter_ns() - began
        if job.warm_up:
            Transfers(first, job, None).warm_up()
        first.close()
        client = client_class()
        client.open(options_of(job))
        transfers, timed = Transfers(client, job, driving), Timed(job)
        timed.begin()
        outcome = transfers.run()
        timed.end()
        client.close()
        return timed.report(outcome, setup_ns)


class Poller:
    """Waits for what the multi handle wants to hear of."""

    def __init__(self, multi: Any) -> None:
        import pycurl

        self._multi, self._epoll = multi, select.epoll()
        self._deadline: float | None = None
        self._in, self._out = pycurl.CSELECT_IN, pycurl.CSELECT_OUT
        self._timeout, self._remove = pycurl.SOCKET_TIMEOUT, pycurl.POLL_REMOVE
        self._watched: set[int] = set()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def _watch(self, what: int, fd: int, _multi: Any, _mine: Any) -> None:
        if what == self._remove:
            if fd in self._watched:
                self._watched.discard(fd)
                self._epoll.unregister(fd)
        elif fd in self._watched:
            self._epoll.modify(fd, MASKS[what])
        else:
            self._watched.add(fd)
            self._epoll.register(fd, MASKS[what])

    def _set_timer(self, after_ms: int) -> None:
        self._deadline = None if after_ms < 0 else time.monotonic() + after_ms / 1e3

    def step(self, most_s: float | None) -> None:
        """Wait for the next event, at most so long (None: as long as it takes), and let the multi handle work on it."""
        wait = most_s
        if self._deadline is not None:
            left = max(0.0, self._deadline - time.monotonic())
            wait = left if wait is None else min(left, wait)
        for fd, mask in self._epoll.poll(wait):
            self._multi.socket_action(fd, (self._in if mask & READY_IN else 0) | (self._out if mask & select.EPOLLOUT else 0))
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            self._multi.socket_action(self._timeout, 0)

    def close(self) -> None:
        """Close it; the multi handle is asked for no more."""
        self._epoll.close()


class Transfers:
    """The requests of one trial.

    Args:
        client: an open client.
        job: the trial.
        driving: where requests are told; None in the bare tier.
    """

    def __init__(self, client: "CurlClient", job: Job, driving: ModuleType | None) -> None:
        self._client, self._workload, self._n = client, job.scenario.workload, job.spec.n
        self._urls, self._arrivals, self._poller = urls_of(job), arrivals_of(job), Poller(client.multi)
        self._stamps = None if driving is None else Stamps(driving)
        self._decode = json.loads if self._workload.decode == "json" and self._workload.decode_when == "inside" else None
        self._bodies: list[bytes | None] = [None] * self._n
        self._errors: Counter[str] = Counter()
        self._again: list[tuple[int, int, int]] = []  # when, which request, its tries so far: after a refusal
        self._rows: dict[int, int] = {}  # of requests that are asked again
        self._in_flight = self._ended = 0

    def warm_up(self) -> None:
        """Make the first request, whatever becomes of it."""
        self._start(1, 0, 0)
        while not self._client.ended():
            self._poller.step(1.0)
        self._poller.close()

    def run(self) -> Outcome:
        """Make the requests; t0 is read just before the first one begins."""
        bound, clock = self._workload.concurrency or self._n, time.perf_counter_ns
        offsets = offsets_ns(self._workload, self._n, self._arrivals) if self._workload.kind == "open" else None
        t0 = clock()
        coming = self._coming(t0, offsets)
        due = next(coming, None)
        while self._ended < self._n:
            while due is not None and self._in_flight < bound and due[0] <= clock():
                self._start(due[1], due[0], 0)
                due = next(coming, None)
            while self._again and self._again[0][0] <= clock():
                _, number, tries = heappop(self._again)
                self._start(number, 0, tries)
            self._poller.step(self._most_s(due if self._in_flight < bound else None))
            for transfer, found in self._client.ended():
                self._end(transfer, found)
        t1 = clock()
        self._poller.close()
        return Outcome(t0_ns=t0, t1_ns=t1, errors=dict(self._errors), bodies=self._bodies)

    def _coming(self, t0: int, offsets: list[int] | None) -> Iterator[tuple[int, int]]:
        """When each request is due, and which it is; 0 where that is as soon as may be."""
        for number in range(1, self._n + 1):
            yield (0 if offsets is None else t0 + offsets[number - 1]), number

    def _most_s(self, due: tuple[int, int] | None) -> float | None:
        """How long to wait at most: until something is to be started."""
        times = [when for when, *_ in (*([due] if due else ()), *self._again[:1])]
        return max(0.0, (min(times) - time.perf_counter_ns()) / 1e9) if times else None

    def _start(self, number: int, due_ns: int, tries: int) -> None:
        stamps = self._stamps
        transfer = self._client.start(self._urls[number - 1], number, stamps=stamps is not None)
        transfer.tries, self._in_flight = tries, self._in_flight + 1
        if stamps is not None:
            transfer.row = self._rows.pop(number, 0) or stamps.begin(number, due_ns)

    def _end(self, transfer: "Transfer", found: Answer | str) -> None:
        number = transfer.number
        self._in_flight -= 1
        if isinstance(found, Answer) and found.status in REFUSALS and transfer.tries < self._workload.retries:
            heappush(self._again, (time.perf_counter_ns() + round(found.retry_after_s * 1e9), number, transfer.tries + 1))
            self._rows[number] = transfer.row
            self._client.free(transfer)
            return
        self._ended += 1
        wrong = found if isinstance(found, str) else self._wrong(found)
        if wrong is not None:
            self._errors[wrong] += 1
        elif isinstance(found, Answer):
            self._bodies[number - 1] = found.body
        if self._stamps is not None:
            self._stamps.end(transfer, wrong, whole=isinstance(found, Answer))
        self._client.free(transfer)

    def _wrong(self, answer: Answer) -> str | None:
        """The kind of failure that an answer is; None: it is none."""
        if answer.status >= 400:
            return f"status-{answer.status // 100}xx"
        try:
            if self._decode is not None:
                self._decode(answer.body)
        except ValueError as error:
            return failure(error, {})
        return None
