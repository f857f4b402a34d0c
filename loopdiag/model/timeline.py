"""One request attempt as phases, one connection, one loop iteration: the resolved, printable form.

All times are nanoseconds since the trial's first stamp (`Timeline.t0_ns` on the machine's monotonic clock).
"""

from loopdiag.model.program import Activity
from loopdiag.model.value import Value


class Phase(Value, frozen=True, kw_only=True):
    """A stretch of an attempt; phases of one attempt do not overlap and leave no gap."""

    name: str  # one of events.PHASES
    start_ns: int
    end_ns: int


class Attempt(Value, frozen=True, kw_only=True):
    """One attempt of one request.  `stamps` holds what was observed, and nothing else."""

    request: int
    number: int = 0  # of the attempt: 0, then 1, … for retries and redirects
    hop: int | None = None  # how many redirects led to it; None: not observed
    connection: int | None = None
    status: int | None = None
    flags: tuple[str, ...] = ()
    assignments: int | None = None
    wire_bytes: int | None = None
    lag_low_ns: int | None = None  # the first byte was readable at least so long before its callback
    lag_high_ns: int | None = None  # and at most so long; None: not observed
    server_received_ns: int | None = None  # the embedded target's own stamps, on the same clock: it had the request
    server_answered_ns: int | None = None  # and it handed the answer's first byte to its transport
    server_ended_ns: int | None = None  # and the last one
    stamps: dict[str, int] = {}
    phases: tuple[Phase, ...] = ()


class Connection(Value, frozen=True, kw_only=True):
    """One connection and how it was set up."""

    number: int
    request: int | None = None  # the request that began it
    requests: int = 0
    stamps: dict[str, int] = {}
    address_attempts: int | None = None
    tls_cpu_ns: int | None = None
    rtt_us: int | None = None
    retransmits: int | None = None
    record_cpu_ns: int | None = None  # decrypting and encrypting records


class Iterations(Value, frozen=True, kw_only=True):
    """The loop's iterations as parallel columns (nanoseconds)."""

    start_ns: tuple[int, ...] = ()
    poll_ns: tuple[int, ...] = ()
    run_ns: tuple[int, ...] = ()
    ready: tuple[int, ...] = ()
    slept_ns: tuple[int, ...] = ()  # of `poll_ns`: in polls that waited; empty: not told, see `analysis.loop_time`


class Pause(Value, frozen=True, kw_only=True):
    """One collection of the garbage collector."""

    start_ns: int
    length_ns: int
    generation: int


class Jobs(Value, frozen=True, kw_only=True):
    """Calls in executors as parallel columns (nanoseconds); a call waits in the queue from `queued_ns` to `started_ns`."""

    queued_ns: tuple[int, ...] = ()
    started_ns: tuple[int, ...] = ()
    ended_ns: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()  # that the executor had when the call was queued


class Lag(Value, frozen=True, kw_only=True):
    """How long the loop kept its callbacks waiting, over the whole trial (nanoseconds)."""

    running_ns: int  # not in its poll
    blocked_ns: int  # in iterations that ran for 10 ms or longer
    blocked: int  # how many of those
    longest_ns: int
    expected_wait_ns: int  # estimate: mean wait of something that arrives at a random moment, Σ run² / (2·wall)
    kernel_ns: int | None = None  # Σ over attempts of kernel receive → first byte; None: no kernel stamps


class Process(Value, frozen=True, kw_only=True):
    """What the operating system counted for the loop's thread between the first and the last sample of the trial; None: not observed."""

    cpu_ns: int | None = None
    run_queue_ns: int | None = None  # runnable, but not running
    waits: int | None = None  # voluntary context switches
    preemptions: int | None = None
    descriptors: int | None = None  # open at most, as far as sampled
    threads: int | None = None  # Python's, at most
    first_ns: int | None = None  # when the first sample was taken, since the trial began
    last_ns: int | None = None  # and the last one


class Timeline(Value, frozen=True, kw_only=True):
    """One trial, resolved."""

    trial: str
    arm: str
    n: int
    repetition: int
    t0_ns: int
    total_ns: int
    attempts: tuple[Attempt, ...] = ()
    connections: tuple[Connection, ...] = ()
    iterations: Iterations | None = None
    unattributed_share: float | None = None  # median over requests
    unattributed_p95: float | None = None  # 95th percentile over requests
    pauses: tuple[Pause, ...] = ()
    jobs: Jobs | None = None
    lag: Lag | None = None
    process: Process | None = None
    cpu_ns: int | None = None  # of all threads of the client, over the whole trial
    run_queue_ns: int | None = None  # the client was runnable, but not running, likewise
    faults: tuple[str, ...] = ()  # broken invariants, one line each
    left_out: dict[str, int] = {}  # table → rows for which a very large trial has no object here
    activity: Activity | None = None  # of a user's own program
    not_observed: dict[str, str] = {}
