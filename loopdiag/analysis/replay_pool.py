"""The replay's connection pools: one that hands each connection on, and httpcore's, which looks at every connection for every request.

httpcore (1.0) makes a pass over its pool at each start and each end of a request.  It closes idle connections while there are more than `keepalive` of *all*
kinds, asks the system of each idle one whether it is still there, and gives the first idle connection to *every* queued request: one of them
sends on it, the others find it taken, and make another pass each.  On a loop others' passes come in between, before it is taken; a thread goes on with it at once.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from typing import Protocol

from loopdiag.analysis.machine import Machine

UNBOUNDED = float("inf")
#: what looking at an idle connection costs httpcore beyond a busy one, in looks at a busy one: asking the system, and a third of one for each connection
PROBE, COUNT = 20, 1 / 3
#: and what a request that finds its connection taken costs, beside its pass
TAKEN = 250


class Loop(Protocol):
    """What a pool needs of the trial."""

    def spend(self, seconds: float) -> None:
        """Run on the loop for so long."""

    def soon(self, call: Callable[[int], None], i: int) -> None:
        """Have the loop do something as soon as it can."""

    def open(self, i: int) -> None:
        """Open a connection for the request, and send on it."""

    def send(self, i: int) -> None:
        """Send on the connection that the request has."""


class Pool:
    """First come, first served; an idle connection goes to the first in the queue.

    Attributes:
        active: requests that hold a connection; most_active: at most.
        most_queued: requests that waited, at most.
        scanned: looks at connections, as `Replayed.scanned`.
    """

    def __init__(self, machine: Machine, n: int, loop: Loop) -> None:
        self.machine, self.loop = machine, loop
        self.active = self.most_active = self.most_queued = 0
        self.scanned = 0.0
        self.limit, self.keepalive, self.reusable = (_bound(bound) for bound in (machine.limit, machine.keepalive, machine.reusable))
        self._queue: deque[int] = deque()
        self._idle: deque[int] = deque()  # requests that each idle connection has served
        self._served = [0] * n  # by the connection that a request is on, this one included

    def enter(self, i: int) -> None:
        """Request `i` wants a connection."""
        self._queue.append(i)
        self._assign()

    def leave(self, i: int) -> None:
        """Request `i` needs its connection no longer."""
        self.active -= 1
        if self._served[i] < self.reusable and len(self._idle) < self.keepalive:
            self._idle.append(self._served[i])
        self._assign()

    def _assign(self) -> None:
        queue, idle = self._queue, self._idle
        self._look((self.active + len(idle)) * (len(queue) + 1))
        while queue and (idle or self.active < self.limit):
            i = queue.popleft()
            self.active += 1
            if idle:
                self._served[i] = idle.popleft() + 1
                self.loop.soon(self.loop.send, i)
            else:
                self._served[i] = 1
                self.loop.open(i)
        self._count(len(queue))

    def _look(self, connections: float) -> None:
        self.scanned += connections
        self.loop.spend(self.machine.scan * connections)

    def _count(self, queued: int) -> None:
        self.most_active = max(self.most_active, self.active)
        self.most_queued = max(self.most_queued, queued)


class StreamPool(Pool):
    """HTTP/2: all requests on one connection, so many at once."""

    def __init__(self, machine: Machine, n: int, loop: Loop) -> None:
        super().__init__(machine, n, loop)
        self._streams = machine.streams or 1
        self._made: bool | None = None  # None: not even begun
        self._awaiting: list[int] = []

    def leave(self, i: int) -> None:
        """The request's stream is free."""
        del i
        self.active -= 1
        self._assign()

    def made(self) -> None:
        """The connection is there."""
        self._made = True
        for i in self._awaiting:
            self.loop.soon(self.loop.send, i)
        self._awaiting.clear()

    def _assign(self) -> None:
        self._look(bool(self._made) * (len(self._queue) + 1))
        while self._queue and self.active < self._streams:
            i = self._queue.popleft()
            self.active += 1
            if self._made:
                self.loop.soon(self.loop.send, i)
            elif self._made is None:
                self._made = False
                self.loop.open(i)
            else:
                self._awaiting.append(i)
        self._count(len(self._queue))


class ScanningPool(Pool):
    """httpcore's."""

    def __init__(self, machine: Machine, n: int, loop: Loop) -> None:
        super().__init__(machine, n, loop)
        self._waiting: list[int] = []  # in order of arrival
        self._free: list[int] = []  # numbers of idle connections, oldest first
        self._open = 0
        self._of = [0] * n  # request → its connection
        self._uses: list[int] = []  # connection → requests that it has served
        self._locks: list[_Lock] = []
        self._states: list[_Lock] = []

    def enter(self, i: int) -> None:
        """Request `i` wants a connection."""
        insort(self._waiting, i)
        self._pass(i)

    def leave(self, i: int) -> None:
        """Request `i` needs its connection no longer."""
        self.active -= 1
        if self._uses[self._of[i]] < self.reusable:
            insort(self._free, self._of[i])
        else:
            self._open -= 1
        self._pass(None)

    def _pass(self, own: int | None) -> None:
        """Look at everything, on behalf of request `own`, which goes on at once; others are woken."""
        waiting, free = self._waiting, self._free
        self._count(len(waiting))
        self._look(self._open * (len(waiting) + 1) + len(free) * (PROBE + COUNT * self._open))
        if free and self._open > self.keepalive:
            closed = min(len(free), self._open - int(self.keepalive))
            del free[:closed]
            self._open -= closed
        if free:
            given, self._waiting = waiting, []
            for i in given:
                self._of[i] = free[0]
                if i != own:
                    self.loop.soon(self._claim, i)
            if own is not None:
                self._claim(own)
            return
        while waiting and self._open < self.limit:
            i = waiting.pop(0)
            self._of[i] = len(self._uses)
            self._uses.append(1)
            self._locks.append(_Lock())
            self._states.append(_Lock())
            self._open += 1
            self.active += 1
            self._count(len(waiting))
            self.loop.open(i)

    # a request takes two locks of its connection, and lets the loop go round at each; only then the connection is busy

    def _claim(self, i: int) -> None:
        if self.machine.blocking:
            self._seize(i)
        elif self._locks[self._of[i]].enter(i):
            self.loop.soon(self._check, i)

    def _check(self, i: int) -> None:
        connection = self._of[i]
        if (after := self._locks[connection].leave()) is not None:
            self.loop.soon(self._check, after)
        if not self._idle_still(connection):
            self._lose(i)
        elif self._states[connection].enter(i):
            self.loop.soon(self._take, i)

    def _take(self, i: int) -> None:
        connection = self._of[i]
        if (after := self._states[connection].leave()) is not None:
            self.loop.soon(self._take, after)
        self._seize(i)

    def _seize(self, i: int) -> None:
        """The connection is the request's, if it is idle still."""
        connection = self._of[i]
        if not self._idle_still(connection):
            self._lose(i)
            return
        self._free.remove(connection)
        self._uses[connection] += 1
        self.active += 1
        self._count(len(self._waiting))
        self.loop.send(i)

    def _lose(self, i: int) -> None:
        """The connection went to another request, or was closed: ask again."""
        self._look(TAKEN)
        self.enter(i)

    def _idle_still(self, connection: int) -> bool:
        at = bisect_left(self._free, connection)
        return at < len(self._free) and self._free[at] == connection


class _Lock:
    """Who holds it, and who waits for it, in order."""

    __slots__ = ("_held", "_waiting")

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[int] = deque()

    def enter(self, i: int) -> bool:
        """Whether `i` has it at once; else it waits."""
        if self._held:
            self._waiting.append(i)
            return False
        self._held = True
        return True

    def leave(self) -> int | None:
        """Who has it next; None: nobody."""
        if self._waiting:
            return self._waiting.popleft()
        self._held = False
        return None


def pool(machine: Machine, n: int, loop: Loop) -> Pool:
    """The machine's pool, for a trial of `n` requests."""
    if machine.streams is not None:
        return StreamPool(machine, n, loop)
    return ScanningPool(machine, n, loop) if machine.counts_all else Pool(machine, n, loop)


def _bound(limit: int | None) -> float:
    return UNBOUNDED if limit is None else limit
