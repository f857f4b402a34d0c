"""The pollers themselves: what one call of select, poll and epoll costs with so many descriptors that are ready and so many that are not.

After libevent's benchmark: pairs of sockets, of which some get a byte before each call.  Timed is the call alone, Python's part of it included, because
that is what a loop in Python pays; what is done with the events is the same for all three.
"""

import resource
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from random import Random

from loopdiag.model.value import Value

SELECT_MOST = 1024  # FD_SETSIZE: select knows no higher descriptor
SPARE = 64  # descriptors that the process itself needs

Wait = Callable[[], int]  # waits for what is ready; how many were


class Cell(Value, frozen=True, kw_only=True):
    """One poller with so many descriptors."""

    poller: str
    active: int  # ready at each call
    idle: int  # registered beside them, never ready


class Cost(Value, frozen=True, kw_only=True):
    """What a cell's calls cost."""

    cell: Cell
    call_ns: tuple[float, ...] = ()  # mean of a repetition's calls, a repetition each
    why: str = ""  # not measured: why

    @property
    def event_ns(self) -> tuple[float, ...]:
        """The same for each ready descriptor."""
        return tuple(call / self.cell.active for call in self.call_ns)


class Pairs:
    """Pairs of connected sockets: of the active ones one end is registered, of the idle ones both."""

    def __init__(self, active: int, idle: int, stack: ExitStack) -> None:
        """Make as many as the largest cell needs; `stack` closes them."""

        def pair() -> tuple[socket.socket, socket.socket]:
            ends = socket.socketpair()
            for end in ends:
                stack.enter_context(end)
                end.setblocking(False)
            return ends

        made = [pair() for _ in range(active)]  # first, so that their numbers are the lowest
        self.ready, self.writers = [one for one, _ in made], [other for _, other in made]
        self.idle = [end.fileno() for _ in range((idle + 1) // 2) for end in pair()][:idle]


def measure(cells: Iterable[Cell], *, repetitions: int = 11, calls: int = 200, seed: int = 1) -> Iterator[Cost]:
    """Measure cells, their repetitions shuffled among all cells, so that a change of the machine meets all alike.

    Args:
        cells: what to measure.
        repetitions: of each cell; the first of all, which warms up, is dropped.
        calls: of each repetition.
        seed: of the shuffle.

    Yields:
        A cost for each cell, in the cells' order; one that this system cannot do says why.
    """
    wanted = list(cells)
    with (
        ExitStack() as stack,
        descriptors(2 * max((c.active for c in wanted), default=0) + max((c.idle for c in wanted), default=0) + SPARE),
    ):
        most = max((c.active for c in wanted), default=0)
        why = {cell: reason for cell in wanted if (reason := unable(cell, most))}
        able = [cell for cell in wanted if cell not in why]
        pairs = Pairs(max((c.active for c in able), default=0), max((c.idle for c in able), default=0), stack)
        seen: dict[Cell, list[float]] = {cell: [] for cell in able}
        turns = [cell for cell in able for _ in range(repetitions)]
        Random(seed).shuffle(turns)
        for cell in able[:1]:
            one(cell, pairs, calls)
        for cell in turns:
            seen[cell].append(one(cell, pairs, calls))
    yield from (Cost(cell=cell, call_ns=tuple(seen.get(cell, ())), why=why.get(cell, "")) for cell in wanted)


def unable(cell: Cell, active: int) -> str:
    """Why the cell cannot be measured here, beside others with so many active descriptors; "" where it can."""
    if not hasattr(select, cell.poller):
        return f"this system has no {cell.poller}"
    most = descriptor_limit()
    needed = 2 * max(cell.active, active) + cell.idle + SPARE
    if cell.poller == "select" and needed > SELECT_MOST:
        return f"select knows descriptors below {SELECT_MOST} only"
    return f"needs {needed} descriptors; the limit is {most} (ulimit -n)" if needed > most else ""


def one(cell: Cell, pairs: Pairs, calls: int) -> float:
    """One repetition; the mean cost of its calls in nanoseconds."""
    ready, writers, clock = pairs.ready[: cell.active], pairs.writers[: cell.active], time.perf_counter_ns
    spent = 0
    with registered(cell.poller, [end.fileno() for end in ready] + pairs.idle[: cell.idle]) as wait:
        for _ in range(calls):
            for end in writers:
                end.send(b"x")
            began = clock()
            found = wait()
            spent += clock() - began
            if found != cell.active:
                raise RuntimeError(f"{cell.poller} told of {found} ready descriptors; {cell.active} were")
            for end in ready:
                end.recv(1)
    return spent / calls


@contextmanager
def registered(poller: str, fds: list[int]) -> Iterator[Wait]:
    """A poller that waits for these descriptors to become readable."""
    if poller == "select":
        yield lambda: len(select.select(fds, (), ())[0])
    elif poller == "poll":
        waiting = select.poll()
        for fd in fds:
            waiting.register(fd, select.POLLIN)
        yield lambda: len(waiting.poll())
    else:
        with select.epoll() as found:
            for fd in fds:
                found.register(fd, select.EPOLLIN)
            most = max(1, len(fds))
            yield lambda: len(found.poll(-1, most))  # asyncio asks for as many, too


def descriptor_limit() -> int:
    """How many descriptors this process may open, at its hard limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Allow this process so many descriptors, as far as its hard limit goes; give back what it had afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        yield
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, descriptor_limit()), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
