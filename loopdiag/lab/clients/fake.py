"""A client whose truth is known: a pool, a connect time, a service time and loop CPU of stated cost, without a socket.

On the virtual loop a trial is exact to the nanosecond.  For the closed workload, all N at once, with constant service time s, loop CPU p
per request, connect time c, and a pool limit L, and without scan or noise::

    T = c + max(N·p + s,                          the loop is busy throughout, or
                ⌈N/L⌉·(p + s) + ((N-1) mod L)·p)  every lease is

Where the server closes each connection, this holds if c = 0 or N ≤ L (a busy loop begins the next connect late).  With scan q per request
in flight, no limit and c = 0::

    T = N·p + q·N·(N+1)/2 + s

`exact_total_ns` computes both.  Noise multiplies the loop CPU of a whole trial by one factor, 1 + noise·z with z standard normal.
"""

import asyncio
import math
import sys
import time
from collections import deque
from collections.abc import Mapping
from random import Random
from types import MappingProxyType, ModuleType

from loopdiag.errors import Unavailable
from loopdiag.lab.built_in import BuiltIn
from loopdiag.lab.clients import Answer, ClientOptions
from loopdiag.lab.loops import loop_clock
from loopdiag.model.scenario import Payload, Plant, Pool, Scenario, Service

DEFAULT_LIMIT = 100  # as the real clients have
LEAST_NOISE_FACTOR = 0.05  # a loop is never faster than free


class FakeClient(BuiltIn):
    """A connection pool on whatever loop runs: it spends loop time and waits, as it was told."""

    kinds: Mapping[str, str] = MappingProxyType({})
    loops = frozenset({"virtual", "asyncio", "uvloop"})

    def __init__(self) -> None:
        self.connections_opened = 0
        self._in_flight = 0
        self._idle: deque[int] = deque()
        self._slots: asyncio.Semaphore | None = None
        self._marks: ModuleType | None = None

    async def open(self, options: ClientOptions) -> None:
        """Set the pool up.

        Raises:
            Unavailable: the service or payload asks for what only the embedded target can do.
        """
        if faults := _unsupported(options.service, options.payload):
            raise Unavailable(*faults)
        self._service = options.service
        self._random = Random(options.seed)
        factor = max(LEAST_NOISE_FACTOR, 1 + options.fake.noise * self._random.gauss(0, 1))
        self._cpu_ns = options.fake.cpu_us * 1000 * factor
        self._scan_ns = options.fake.scan_us * 1000 * factor
        self._connect_ns = round(options.fake.connect_us * 1000)
        self._timeout_ns = round(options.timeout_s * 1e9)
        limit = pool_limit(options.pool)
        self._slots = asyncio.Semaphore(limit) if limit else None
        self._body = b'"' + b"x" * max(0, options.payload.mean_bytes - 2) + b'"'
        loop = asyncio.get_running_loop()
        self._now = loop_clock(loop)
        self._spend = getattr(loop, "spend", _spin)
        package = sys.modules.get("loopdiag_instruments")
        self._marks = package.marks if package else None

    async def fetch(self, url: str) -> Answer:  # noqa: ARG002 - every address gets the same answer
        """Pretend one request: wait for a lease, connect, spend the loop's time, wait for the service.

        Raises:
            TimeoutError: connecting and serving take longer than the request's time-out.
        """
        self._in_flight += 1
        try:
            self._stamp("enqueued")
            if self._slots is None:
                return await self._leased()
            async with self._slots:
                return await self._leased()
        finally:
            self._in_flight -= 1

    async def close(self) -> None:
        """Close nothing."""

    async def _leased(self) -> Answer:
        self._stamp("assigned")
        served_ns = self._draw_ns()
        if served_ns + self._connect_ns > self._timeout_ns:
            await asyncio.sleep(self._timeout_ns / 1e9)
            raise TimeoutError("the fake server is slower than the request's time-out")
        link = self._idle.popleft() if self._idle else await self._connect()
        if self._marks:
            self._marks.reuse(link)
        self._stamp("resumed", "send_start")
        self._spend(round(self._cpu_ns + self._scan_ns * self._in_flight))
        self._stamp("send_end")
        if served_ns:
            await asyncio.sleep(served_ns / 1e9)
        if self._service.keep_alive:
            self._idle.append(link)
        self._stamp("first_byte", "headers", "last_byte", "released", "body")
        if self._marks:
            self._marks.answered(200, len(self._body))
        return Answer(200, self._body)

    async def _connect(self) -> int:
        """Open a connection; its number for the instruments."""
        begun = self._now()
        self.connections_opened += 1
        if self._connect_ns:
            await asyncio.sleep(self._connect_ns / 1e9)
        link: int = self._marks.connection(begun, self._now()) if self._marks else self.connections_opened
        return link

    def _draw_ns(self) -> int:
        """Draw one service time from the scenario's law."""
        mean, sd = self._service.mean_ms, self._service.sd_ms
        if self._service.law == "constant" or not mean:
            return round(mean * 1e6)
        if self._service.law == "normal":
            return max(0, round(self._random.gauss(mean, sd) * 1e6))
        variance = math.log(1 + (sd / mean) ** 2)
        return round(self._random.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance)) * 1e6)

    def _stamp(self, *names: str) -> None:
        if self._marks:
            for name in names:
                self._marks.stamp(name)


def pool_limit(pool: Pool) -> int:
    """How many leases there are; 0: no limit.  A scenario has one host, so the smaller of the two limits holds."""
    limit = DEFAULT_LIMIT if pool.limit is None else pool.limit
    return min((bound for bound in (limit, pool.limit_per_host) if bound), default=0)


def exact_total_ns(scenario: Scenario, n: int) -> int | None:
    """The exact total of `n` requests on the virtual loop by the formulas above; None where they do not hold."""
    service, fake, work = scenario.target.service, scenario.fake, scenario.workload
    if service.law != "constant" or fake.noise or work.kind != "closed" or work.concurrency or work.plant != Plant() or n < 1:
        return None
    limit = pool_limit(scenario.pool)
    each, served, connect = round(fake.cpu_us * 1000), round(service.mean_ms * 1e6), round(fake.connect_us * 1000)
    if fake.scan_us:
        if connect or 0 < limit < n:
            return None
        return sum(round(fake.cpu_us * 1000 + fake.scan_us * 1000 * k) for k in range(1, n + 1)) + served
    if connect and not service.keep_alive and 0 < limit < n:
        return None
    waves, last = (1, n - 1) if not limit else (-(-n // limit), (n - 1) % limit)
    return connect + max(n * each + served, waves * (each + served) + last * each)


def _unsupported(service: Service, payload: Payload) -> list[str]:
    """What of a scenario's target the fake client cannot play, one line each."""
    faults = []
    if service.law == "table":
        faults.append("client 'fake' knows the service laws constant, normal and lognormal; target.service.law is 'table'")
    limits = ("concurrency", "rate_per_s", "requests_per_connection", "bytes_per_s", "max_streams")
    faults += [f"client 'fake' does not know target.service.{name}" for name in limits if getattr(service, name) is not None]
    faults += [
        f"client 'fake' does not know target.service.{name}" for name in ("accept_ms", "handshake_ms", "cpu_us") if getattr(service, name)
    ]
    if payload.law != "constant":
        faults.append(f"client 'fake' knows the payload law constant; target.payload.law is {payload.law!r}")
    return faults


def _spin(cost_ns: int) -> None:
    """Spend real time of the thread that runs the loop."""
    end = time.perf_counter_ns() + cost_ns
    while time.perf_counter_ns() < end:
        pass
