"""The floor: non-blocking sockets, ``select.epoll``, an HTTP/1.1 reader of our own and OpenSSL, without any loop, task or library.

Every socket is registered once, edge-triggered, for both directions.  A read that fills less than its buffer has emptied the socket (epoll(7)).
"""

import json
import select
import time
from collections import Counter, deque
from collections.abc import Mapping
from types import ModuleType

from loopdiag.errors import Unavailable
from loopdiag.lab.built_in import BuiltIn
from loopdiag.lab.clients import ClientOptions, error_kind, tls_context
from loopdiag.lab.clients.fake import pool_limit
from loopdiag.lab.clients.ladder.connection import Connection
from loopdiag.lab.clients.ladder.origins import MOST_HOPS, Idle, Requests, onward
from loopdiag.lab.clients.ladder.replies import KINDS, BadAnswer, Reply, answer_of
from loopdiag.lab.clients.ladder.sockets import Request, Sockets
from loopdiag.lab.measuring import Urls
from loopdiag.lab.workload import Outcome
from loopdiag.model.scenario import Plant, Workload


class EpollClient(Sockets, BuiltIn):
    """A pool of sockets on one ``select.epoll``."""

    loops = frozenset({"own"})
    kinds: Mapping[str, str] = KINDS

    @staticmethod
    def available() -> str | None:
        """Return None, or that the system has no epoll."""
        return None if hasattr(select, "epoll") else "this system has no epoll; Linux has"

    def begin(self, options: ClientOptions) -> None:
        """Make the TLS context, the poller and an empty pool.

        Raises:
            Unavailable: HTTP/2.
        """
        if options.http != "1.1":
            raise Unavailable(f"epoll speaks HTTP/1.1 only; the scenario asks for HTTP/{options.http}")
        self.prepare(options.method, tls_context(options.ca_file))
        self._options, self._limit, self._requests = options, pool_limit(options.pool), Requests("epoll", options)
        self._idle: Idle[Connection[Request]] = Idle(options.pool)
        self._waiting: deque[Request] = deque()
        self._deadlines: deque[Request] = deque()
        self._leased = 0

    def end(self) -> None:
        """Close everything."""
        self.close_all()

    def run(self, urls: Urls, workload: Workload, *, marks: ModuleType | None = None) -> Outcome:
        """Make the requests: all at once, or so many at a time as the workload says; t0 is read just before the first, t1 after the last.

        Raises:
            Unavailable: the workload asks for arrivals, retries or plants, which this client does not know.
        """
        if workload.kind == "open" or workload.retries or workload.plant != Plant():
            raise Unavailable("the client epoll knows closed workloads without retries and plants only")
        count = len(urls)
        self._urls, self.marks, self._numbers = urls, marks, iter(range(1, count + 1))
        self._decode = workload.decode == "json" and workload.decode_when == "inside"
        self._bodies: list[bytes | None] = [None] * count
        self._errors: Counter[str] = Counter()
        self._left, self._to_begin = count, min(count, workload.concurrency or count)
        t0 = time.perf_counter_ns()
        while self._left:
            self._pump()
            self._turn()
        return Outcome(t0_ns=t0, t1_ns=time.perf_counter_ns(), errors=dict(self._errors), bodies=self._bodies)

    # -- the loop

    def _pump(self) -> None:
        """Begin what may begin, and give leases to those who wait longest."""
        while True:
            while self._to_begin:
                self._to_begin -= 1
                if (number := next(self._numbers, None)) is not None:
                    self._begin(number)
            if not self._waiting or (self._limit and self._leased >= self._limit):
                return
            request = self._waiting.popleft()
            request.leased = True
            self._leased += 1
            self._serve(request)

    def _turn(self) -> None:
        """Wait for the next events or the next deadline, and handle them."""
        while self._deadlines and self._deadlines[0].over:
            self._deadlines.popleft()
        if not self._deadlines:
            return
        wait_s = self._deadlines[0].deadline - time.monotonic()
        self.wait(max(0.0, wait_s))
        if wait_s <= 0:
            self._expire(self._deadlines[0])

    def _expire(self, request: Request) -> None:
        """End a request whose time is up, wherever it is."""
        if request.over:
            return
        if request.link is None:
            self._waiting.remove(request)
        else:
            request.link.abort()
        self.failed(request, TimeoutError("the request took longer than its time-out"))

    # -- requests

    def _begin(self, number: int) -> None:
        if self.marks is not None:
            created = time.perf_counter_ns()
            self.marks.begin(number, created, created)
        request = Request(number, self._urls[number - 1], time.monotonic() + self._options.timeout_s)
        self._deadlines.append(request)
        self._ask(request)

    def _ask(self, request: Request) -> None:
        """Let the request wait for a lease."""
        if self.marks is not None:
            if request.row:
                self.marks.resume(request.row)
            request.row = self.marks.attempt()
        try:
            request.origin, request.text = self._requests.to(request.url)
        except (BadAnswer, ValueError) as error:
            self.failed(request, error)
            return
        self._waiting.append(request)

    def _serve(self, request: Request) -> None:
        """Send the request over an idle connection, or over one that is opened for it."""
        if self.marks is not None:
            self.marks.at(request.row, "assigned")
        link = self._idle.take(request.origin, time.monotonic())
        if link is None:
            self.connect(request)
            return
        link.request, request.link = request, link
        try:
            self.send(link, request)
        except Exception as error:  # noqa: BLE001 - whatever breaks is this request's end
            self.broken(link, error)

    def answered(self, link: Connection[Request], reply: Reply, request: Request) -> None:
        """Give the connection back; then the request is done, or goes on where it was sent."""
        if self.marks is not None:
            for name in ("last_byte", "body", "released"):
                self.marks.at(request.row, name)
        link.request = request.link = None
        if reply.reusable:
            self._idle.keep(request.origin, link, time.monotonic())
        else:
            self.drop(link)
        self._release(request)
        location = reply.head.location
        if location is None:
            self._done(request, reply)
        elif request.hops == MOST_HOPS:
            self.failed(request, BadAnswer(f"more than {MOST_HOPS} redirects"))
        else:
            request.hops += 1
            request.url = onward(request.url, location)
            self._ask(request)

    def _done(self, request: Request, reply: Reply) -> None:
        """Keep the body, or count the failure, as every workload does."""
        try:
            status, body, _ = answer_of(reply)
            if status >= 400:
                self._errors[f"status-{status // 100}xx"] += 1
            else:
                if self._decode:
                    json.loads(body)
                    if self.marks is not None:
                        self.marks.at(request.row, "decoded")
                self._bodies[request.number - 1] = body
        except Exception as error:  # noqa: BLE001 - a failed request is counted, it never ends the trial
            self._errors["decode" if isinstance(error, ValueError) else error_kind(error, KINDS)] += 1
            if self.marks is not None:
                self.marks.resume(request.row)
                self.marks.failed()
        self._over(request)

    def _release(self, request: Request) -> None:
        """Take the lease back, if it had one."""
        self._leased -= request.leased
        request.leased = False

    def failed(self, request: Request, error: Exception) -> None:
        """Count the failure."""
        self._release(request)
        self._errors[error_kind(error, KINDS)] += 1
        if self.marks is not None:
            self.marks.broken(request.row, error)
        self._over(request)

    def _over(self, request: Request) -> None:
        request.over = True
        self._left -= 1
        self._to_begin += 1
        if self.marks is not None:
            self.marks.resume(request.row)
            self.marks.end()
