"""One request attempt as phases, one connection, one loop iteration: the resolved, printable form.

All times are nanoseconds since the trial's first stamp (`Timeline.t0_ns` on the machine's monotonic clock).
"""

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
    connection: int | None = None
    status: int | None = None
    flags: tuple[str, ...] = ()
    assignments: int | None = None
    wire_bytes: int | None = None
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


class Iterations(Value, frozen=True, kw_only=True):
    """The loop's iterations as parallel columns (nanoseconds)."""

    start_ns: tuple[int, ...] = ()
    poll_ns: tuple[int, ...] = ()
    run_ns: tuple[int, ...] = ()
    ready: tuple[int, ...] = ()


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
    faults: tuple[str, ...] = ()  # broken invariants, one line each
    not_observed: dict[str, str] = {}
