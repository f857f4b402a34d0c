"""What the views of a program return: typed values, as `analysis/program_views.py` makes them of one timeline.

Times are nanoseconds, places the program's own lines; None where a line is not known.
"""

from dataclasses import dataclass

from loopdiag.model.program import Place


@dataclass(frozen=True)
class Behind:
    """A primitive that requests waited for before they were made.

    Attributes:
        kind: of `model.program.WAITS`: "semaphore", "lock", "limiter", "queue-get", "condition", "event", "barrier" …
        number: of the primitive, counted from 1 by kind.
        value: of a semaphore or limiter its bound, of a lock 1, of a queue the number of tasks that take from it; 0: none.
        place: the line at which most of its waits began.
        waits: how many waits there were, of tasks that made a request next.
        share: of the trial's requests, those that passed it: that waited, and for each bound the ones that found it free; at most 1.
        in_flight: of the requests of the tasks that waited for it, at most so many were under way at a time (from the call of the client until done).
    """

    kind: str
    number: int
    value: int
    place: Place | None
    waits: int
    share: float
    in_flight: int


@dataclass(frozen=True)
class Chain:
    """The longest row of requests that one task (or thread) made one after the other, each after the one before was done.

    Attributes:
        requests: their numbers, in order.
        share: of the trial's requests.
        place: the line that made most of them.
        at_once: of all requests of the trial, how many were under way at a time, at most.
        thread: whether a thread made them, and not a task.
    """

    requests: tuple[int, ...]
    share: float
    place: Place | None
    at_once: int
    thread: bool = False


@dataclass(frozen=True)
class Batches:
    """Requests in batches: each batch begins when the slowest of the one before is done, because one task waits for all of them.

    Attributes:
        sizes: requests in each batch, in order of time.
        place: the line that waits for a batch ("await asyncio.gather(*batch)").
        kind: of that wait: "gather", "wait", "task", …
        slack: how much of the trial's total would be saved if no request waited for the others of its batch: Σ over batches (slowest - mean) / total.
        share: of the trial's requests that are in batches.
    """

    sizes: tuple[int, ...]
    place: Place | None
    kind: str
    slack: float
    share: float


@dataclass(frozen=True)
class Sleep:
    """A line that sleeps (asyncio's or AnyIO's sleep).

    Attributes:
        place: the line.
        count: how often.
        median_ns: of one.
        at_once: at most so many at a time.
        on_path_ns: how much of the critical path they are.
    """

    place: Place | None
    count: int
    median_ns: int
    at_once: int
    on_path_ns: int


@dataclass(frozen=True)
class Executor:
    """Calls in executors, of one line of the program (`place` None: of all that no wait tells the line of).

    Attributes:
        place: the line that awaits them.
        calls: how many; per_request: over the trial's requests.
        waiting_ns: from the await to its end, all of them; queued_ns: of all calls in executors, until a thread took them; ran_ns: in their threads.
        threads: of the executor at most; busy: calls that ran at a time, at most.
        with_requests: share of the calls that made a request in their thread.
    """

    place: Place | None
    calls: int
    per_request: float
    waiting_ns: int
    queued_ns: int
    ran_ns: int
    threads: int
    busy: int
    with_requests: float


@dataclass(frozen=True)
class Stalled:
    """Callbacks that held the loop's thread for long, by the program's line that they sat in.

    Attributes:
        place: the program's innermost line; leaf: the innermost of all.
        count: stretches; total_ns: of them together.
        blocked_ns: of it, off the CPU (a blocking call); cpu_ns: computing.  Both None where nobody looked.
        syscall: number of the system call that most of the blocked looks saw; -1: none, or not known.
        per_request: stretches over the trial's requests.
    """

    place: Place | None
    leaf: Place | None
    count: int
    total_ns: int
    blocked_ns: int | None
    cpu_ns: int | None
    syscall: int
    per_request: float


@dataclass(frozen=True)
class Many:
    """A thing that the program made: `count` at the line, over the trial's requests `per_request`."""

    what: str  # as in model.program.Made
    place: Place | None
    count: int
    per_request: float
    value: int
    cpu_ns: int | None


@dataclass(frozen=True)
class Connects:
    """How TCP connections were set up.

    Attributes:
        count: with both stamps; median_ns, longest_ns: of a set-up.
        fallback: those that took 200 to 320 ms longer than a round trip, with another address tried as far as is known: the other family is tried after 250 ms.
        repeated_syn: those that took about 1, 3 or 7 s longer: the first packet was lost, as a full listening queue does.
        several_addresses: those for which more than one address was tried.
        retransmits: segments sent again, of all; None: not observed.
    """

    count: int
    median_ns: int
    longest_ns: int
    fallback: int
    repeated_syn: int
    several_addresses: int
    retransmits: int | None


@dataclass(frozen=True)
class Gil:
    """How long the loop's thread could have run, and did not, while other threads of the same process computed.

    Attributes:
        others_cpu_ns: CPU of the process's other threads.
        waited_ns: at most so long for the GIL: running callbacks, but neither on the CPU nor waiting for a core, and no longer than the others computed.
    """

    others_cpu_ns: int
    waited_ns: int
