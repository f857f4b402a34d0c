"""A machine run on virtual time: what N requests would take with these costs, limits and waits.

One loop works through its ready callbacks, one at a time, in the order in which they became ready; between two batches it looks at the outside, as
a real loop polls.  Everything that is not the loop (resolver threads, network, server, executor) goes on meanwhile.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from loopdiag.analysis.machine import Machine
from loopdiag.analysis.replay_pool import StreamPool, pool
from loopdiag.analysis.replay_server import Event, Server, serve

Call = Callable[[int], None]


@dataclass(frozen=True)
class Replayed:
    """One replayed trial; times in seconds of virtual time, before `Machine.factor`.

    Attributes:
        total_s: from the first start to the last end.
        busy_s: that the loop ran.
        server_busy_s: that the server's cores ran, summed.
        opened: connections.
        in_flight: requests that held a connection, at most.
        queued: requests that waited for the pool, at most.
        scanned: Σ over starts and ends of requests of connections x (queued requests + 1), and what idle connections cost beyond that: what `Machine.scan` is
            multiplied by.
        waits: how often the loop had nothing to do.
    """

    total_s: float
    busy_s: float
    server_busy_s: float
    opened: int
    in_flight: int
    queued: int
    scanned: float
    waits: int


def run(machine: Machine, n: int, *, seed: int = 0) -> Replayed:
    """Run `n` requests.

    Args:
        machine: costs and limits.
        n: requests, at least 1.
        seed: of the order in which think times come.

    Returns:
        The same for the same arguments, whatever the computer.
    """
    trial = _Trial(machine, n, seed)
    trial.go()
    return Replayed(
        total_s=trial.ended,
        busy_s=trial.busy,
        server_busy_s=trial.server.busy,
        opened=trial.opened,
        in_flight=trial.pool.most_active,
        queued=trial.pool.most_queued,
        scanned=trial.pool.scanned,
        waits=trial.waits,
    )


class _Trial:
    """The state of one run; methods that take a request's number are what the loop or the outside does for it."""

    def __init__(self, machine: Machine, n: int, seed: int) -> None:
        self.machine, self.n = machine, n
        self.now = self.busy = self.ended = 0.0
        self.ready: deque[tuple[Call, int]] = deque()
        self.outside: list[
            tuple[float, int, Event | None, Call | None, int]
        ] = []  # (when, tie-break, the outside's, or the loop's, request)
        self.numbered = self.waits = 0
        self.server = Server(machine, n, seed, self.at, self.answered)
        self.pool = pool(machine, n, self)
        self.opened = 0
        self.awaiting: list[int] = []  # requests that wait for the one look-up
        self.resolvers = [0.0] * max(1, machine.lookups_at_once)
        self.known = self.asked = False  # the address, where it is looked up once
        self.threads = [0.0] * max(1, machine.threads)
        self.created = 0
        share = min(1.0, max(0.0, machine.sending))
        self.before, self.sending = machine.start * (1 - share), machine.start * share
        self.after = machine.finish + machine.pause + (machine.grow + machine.pause_grow) * n
        self.secure = bool(machine.open_tls or machine.handshake or machine.server_handshake)

    # the loop

    def go(self) -> None:
        """Create the requests and run until nothing is left to do."""
        self.spend(self.machine.once)
        self.create()
        ready, outside = self.ready, self.outside
        idle = False
        while ready or outside:
            if not ready and outside[0][0] > self.now:
                self.now, idle = outside[0][0], True
            while outside and outside[0][0] <= self.now:
                when, _, event, woken, i = heappop(outside)
                if event is not None:
                    event(when, i)
                elif woken is not None:
                    ready.append((woken, i))
            if idle and ready:
                idle = False
                self.waits += 1
                self.spend(self.machine.wake)
            for _ in range(len(ready)):
                call, i = ready.popleft()
                call(i)

    def spend(self, seconds: float) -> None:
        """Run on the loop for so long."""
        self.now += seconds
        self.busy += seconds

    def at(self, when: float, event: Event, i: int) -> None:
        """Have the outside do something."""
        self.numbered += 1
        heappush(self.outside, (when, self.numbered, event, None, i))

    def soon(self, call: Call, i: int) -> None:
        """Have the loop do something as soon as it can."""
        self.ready.append((call, i))

    def wake(self, when: float, call: Call, i: int) -> None:
        """Have the loop do something once the outside is ready for it."""
        self.numbered += 1
        heappush(self.outside, (when, self.numbered, None, call, i))

    # arrivals

    def create(self) -> None:
        interval = self.machine.interval
        if interval is not None:
            self.created = self.n
            for i in range(self.n):
                self.wake(i * interval, self.begin, i)
            return
        self.created = min(self.n, self.machine.workers or self.n)
        for i in range(self.created):
            self.soon(self.begin, i)

    def begin(self, i: int) -> None:
        self.spend(self.before)
        self.pool.enter(i)

    def end(self, i: int) -> None:
        """The request's own end; its worker takes the next one."""
        del i
        self.ended = max(self.ended, self.now)
        if self.created < self.n:
            self.created += 1
            self.begin(self.created - 1)

    # connections

    def open(self, i: int) -> None:
        """Look the name up, then dial."""
        self.opened += 1
        lookup = self.machine.lookup
        if not lookup or self.known:
            self.soon(self.dial, i)
        elif self.machine.cached and self.asked:
            self.awaiting.append(i)
        else:
            self.asked = True
            self.spend(self.machine.lookup_cpu)
            self.wake(serve(self.resolvers, self.now, lookup), self.found, i)

    def found(self, i: int) -> None:
        """The name is looked up; with a cache, for all who wait for it."""
        if self.machine.cached and not self.known:
            self.known = True
            for other in self.awaiting:
                self.soon(self.dial, other)
            self.awaiting.clear()
        self.dial(i)

    def dial(self, i: int) -> None:
        self.spend(self.machine.open_tcp)
        self.wake(self.now + self.machine.connect, self.greet if self.secure else self.made, i)

    def greet(self, i: int) -> None:
        """The client's half of the handshake before the server's."""
        machine = self.machine
        self.spend(machine.open_tls / 2)
        self.at(self.now + machine.handshake / 2, self.server_greets, i)

    def server_greets(self, when: float, i: int) -> None:
        self.wake(self.server.handshake(when) + self.machine.handshake / 2, self.shake, i)

    def shake(self, i: int) -> None:
        self.spend(self.machine.open_tls / 2)
        self.soon(self.made, i)

    def made(self, i: int) -> None:
        """The connection is there."""
        if isinstance(self.pool, StreamPool):
            self.pool.made()
        self.send(i)

    # the exchange

    def send(self, i: int) -> None:
        self.spend(self.sending)
        self.at(self.now, self.server.arrive, i)

    def answered(self, when: float, i: int, *, refused: bool) -> None:
        """The server's answer is on its way."""
        if refused:
            self.wake(when, self.turned_away, i)
        else:
            self.wake(when + self.machine.gap, self.finish, i)

    def finish(self, i: int) -> None:
        self.spend(self.after)
        self.pool.leave(i)
        self.spend(self.machine.block)
        if self.machine.thread:
            self.wake(serve(self.threads, self.now, self.machine.thread), self.end, i)
        else:
            self.end(i)

    def turned_away(self, i: int) -> None:
        self.spend(self.after)
        self.pool.leave(i)
        self.wake(self.now + (self.machine.retry_after or 0.0), self.begin, i)
