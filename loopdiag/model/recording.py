"""What a run leaves behind: the plan, every trial with its fate, the environment."""

from typing import Literal

from loopdiag.model.program import Made, Place
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.value import Value

SCHEMA = "loopdiag/run/1"
SYSTEM_WORDS = 3  # of `Environment.system`

Tier = Literal["bare", "timeline", "profile", "calls"]
Status = Literal["ok", "failed", "timeout", "crashed", "interrupted", "repeated"]


class TrialSpec(Value, frozen=True, kw_only=True):
    """One cell to run: a fresh process with this arm, N and instrument tier."""

    id: str
    arm: Arm
    n: int
    tier: Tier
    repetition: int  # from 0; -1 is a warm-up, discarded in every fit
    seed: int


class TrialResult(Value, frozen=True, kw_only=True):
    """What one trial measured.  Times in seconds or nanoseconds of the machine's monotonic clock, as named.

    `total_s` runs from the creation of the first task to the end of the last response; None where the trial failed.
    """

    spec: TrialSpec
    status: Status
    why: str | None = None  # one line, where the status is not ok
    total_s: float | None = None
    setup_s: float | None = None  # import of the client, TLS context, client object; outside `total_s`
    t0_ns: int | None = None
    t1_ns: int | None = None
    cpu_s: float | None = None  # of the client process between t0 and t1
    decode_s: float | None = None  # decoding after the timed part
    errors: dict[str, int] = {}  # kind → how many requests ended so
    succeeded: int = 0
    body_bytes: int = 0
    connections_opened: int | None = None  # as the server accepted them; None: not observed
    server_cpu_s: float | None = None  # of the server process between t0 and t1
    server_utilisation: float | None = None  # server_cpu_s / total_s / the cores it may use
    run_queue_s: float | None = None  # the client was runnable but not running (schedstat)
    rss_peak_kib: int | None = None
    gc_collections: int | None = None
    lost: dict[str, int] = {}  # table → rows that found no room
    not_observed: dict[str, str] = {}  # column or instrument → why
    counters: dict[str, int] = {}  # what the instruments counted: pool scans and their time
    histograms: dict[str, tuple[int, ...]] = {}  # what → counts by power of two nanoseconds
    costs_ns: dict[str, int] = {}  # instrument → what it says that it cost the client, in nanoseconds
    warnings: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    process_s: float | None = None  # a program: from the start of its process to its end, where `total_s` is of its loop
    exit_code: int | None = None  # a program's; negative: the signal that killed it
    span: Literal["loop", "process"] | None = (
        None  # what `total_s` is of: from the first loop's start to the last one's end, or the whole program without a loop
    )

    places: tuple[Place, ...] = ()  # of a program: lines that its tables name by number; 0 stands for an unknown one
    made: tuple[Made, ...] = ()  # of a program: what it made
    peers: tuple[str, ...] = ()  # of a program: hosts and addresses that it connected to
    knobs_acted: dict[str, int] = {}  # of a program: knob that was turned → how often it changed something
    knobs_idle: dict[str, str] = {}  # and of those that never did: why

    @property
    def usable(self) -> bool:
        """Whether the total may be fitted: it ended well, is no warm-up, and no request failed."""
        return self.status == "ok" and self.spec.repetition >= 0 and not self.errors


class Skipped(Value, frozen=True, kw_only=True):
    """A cell that was planned and not run, and why."""

    arm: str
    n: int
    tier: Tier
    why: str
    predicted_s: float | None = None


class Environment(Value, frozen=True, kw_only=True):
    """The machine and its software, as far as they bear on the measurement."""

    system: str  # its name, release and architecture, with a blank between them
    python: str
    cpu: str
    cores: int
    memory_mib: int | None
    clock_resolution_ns: float
    clock_cost_ns: float
    descriptor_limit: int | None  # of the process that starts the trials; None: unlimited, or not known
    client_cores: tuple[int, ...] = ()  # where the trials were pinned; empty: not pinned
    server_cores: tuple[int, ...] = ()
    load_1min: float | None = None
    steal_share: float | None = None  # of all CPU time during the run
    versions: dict[str, str] = {}
    notes: tuple[str, ...] = ()

    @property
    def architecture(self) -> str | None:
        """Of the machine, as its kernel calls it ("x86_64", "aarch64"); None: not known."""
        words = self.system.split(" ")
        return words[-1] or None if len(words) == SYSTEM_WORDS else None


class Recording(Value, frozen=True, kw_only=True):
    """A run: resolved scenario, environment and every trial, in the order in which they ran."""

    schema: str = SCHEMA
    loopdiag: str
    started: str  # UTC, ISO 8601
    scenario: Scenario
    environment: Environment
    plan_seed: int
    trials: tuple[TrialResult, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    partial: bool = False  # interrupted, or stopped by a fault
    interrupted: bool = False  # by Ctrl-C or SIGTERM
    ended: str | None = None
