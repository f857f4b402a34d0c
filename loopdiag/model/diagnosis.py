"""The answer: per arm its law, slope, ledger, causes and prescription (schema ``loopdiag/diagnosis/1``)."""

from typing import Literal

from loopdiag.model.comparison import Comparison
from loopdiag.model.law import Estimate, Law
from loopdiag.model.program import Place
from loopdiag.model.recording import Environment, Skipped
from loopdiag.model.value import Value

SCHEMA = "loopdiag/diagnosis/1"

Verdict = Literal["CONFIRMED", "REFUTED", "INCONCLUSIVE", "NOT_APPLICABLE", "NOT_TRIED"]
Side = Literal["client", "server", "network", "none"]


class Point(Value, frozen=True, kw_only=True):
    """The totals of one N in bare trials, in seconds, in the order in which they ran."""

    n: int
    total_s: tuple[float, ...]


class LedgerEntry(Value, frozen=True, kw_only=True):
    """One account of the slope; the entries add up to the slope, `unexplained` among them."""

    account: str
    slope_ms: float
    low: float | None = None
    high: float | None = None
    share: float | None = None


class Evidence(Value, frozen=True, kw_only=True):
    """One figure that a cause rests on."""

    what: str
    value: float
    unit: str


class CauseFound(Value, frozen=True, kw_only=True):
    """A cause with its share of the slope, what it predicts and what its intervention did."""

    cause: str
    detail: str = ""
    share: float | None = None
    low: float | None = None
    high: float | None = None
    slope_ms: float | None = None
    offset_ms: Estimate | None = None  # of a step: ms of the total at the largest N, where it has hardly any of the slope
    side: Side = "client"
    evidence: tuple[Evidence, ...] = ()
    predicted: Estimate | None = None
    effect: Estimate | None = None
    verdict: Verdict = "NOT_TRIED"
    remedy: str = ""
    title: str = ""  # of the cause's page
    changes: tuple[str, ...] = ()  # what its intervention changed
    base: Estimate | None = (
        None  # slope beside which `effect` was measured: of the interleaved base trials, or of those with the changes before it
    )
    why: str = ""  # not tried, refuted, inconclusive, or a prediction that was missed: why
    place: Place | None = None  # the line of the program that is to be changed


class LoopLag(Value, frozen=True, kw_only=True):
    """How long the loop kept waiting what was ready, at the largest N: medians over its timeline trials."""

    n: int
    running_share: float  # of the trial, not in its poll
    blocked_ms: float  # in iterations that ran for 10 ms or longer
    blocked: float  # how many of those
    longest_ms: float
    expected_wait_ms: float  # estimate: mean wait of something that arrives at a random moment
    kernel_ms: float | None = None  # kernel receive → first byte, median of the requests; None: no kernel stamps
    first_byte_low_ms: float | None = None  # a first byte was readable at least so long before its callback, likewise
    first_byte_high_ms: float | None = None  # and at most so long


class Prescription(Value, frozen=True, kw_only=True):
    """The confirmed changes together, and what they measured."""

    changes: tuple[str, ...]
    slope_ms: Estimate
    speedup: float  # how many times less one more request costs, over the N that both were measured at
    speedup_low: float | None = None
    speedup_high: float | None = None
    law: Law | None = None
    points: tuple[Point, ...] = ()
    toml_diff: str = ""  # unified, of the scenario's own keys


class ArmDiagnosis(Value, frozen=True, kw_only=True):
    """What is known about one arm."""

    arm: str
    label: str = ""  # what people call it, where that is another name: of a user's program its file
    client: str  # of a user's program: the library that its requests were seen to go through
    loop: str  # likewise
    versions: dict[str, str]
    points: tuple[Point, ...]
    law: Law
    slope_ms: Estimate | None  # None: `law.note` says why; ms per request: least squares over all bare trials of the sweep
    connections_per_request: float | None = None
    reused_share: float | None = None
    phases_ms: dict[str, float] = {}  # median per request at the largest N in the timeline tier
    unattributed_share: float | None = None  # of a request's time that no stamp shows: median over requests, in the worst trial there
    unattributed_p95: float | None = None  # 95th percentile over requests, in the worst trial there
    lag: LoopLag | None = None  # None: the loop's iterations were not observed
    server_utilisation: float | None = None  # the highest of its bare trials
    errors: dict[str, int] = {}
    failed: dict[str, int] = {}  # status → trials that did not end well
    warnings: tuple[str, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    causes: tuple[CauseFound, ...] = ()
    prescription: Prescription | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label or self.arm

    @property
    def failures(self) -> int | None:
        """Requests that failed; None: what fails inside a user's program, which alone has a label, is not counted."""
        return None if self.label and not self.errors else sum(self.errors.values())


class Overhead(Value, frozen=True, kw_only=True):
    """What an instrument tier costs: client CPU of its trials over that of the bare ones, paired by arm and N."""

    tier: str
    arm: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    wall_ratio: float | None = None  # the same for T
    wall_low: float | None = None
    wall_high: float | None = None
    own_estimate: float | None = None  # what the instruments say of themselves, as a share of the client CPU of these trials
    why: str | None = None


class Witness(Value, frozen=True, kw_only=True):
    """How far client timelines agree with the server's own account of the same requests, on the same clock.

    A request agrees where client send <= server received <= server answered <= client first byte.
    """

    arm: str
    compared: int  # requests that both sides saw
    agreeing: int
    share: float | None = None  # agreeing / compared


class Rung(Value, frozen=True, kw_only=True):
    """One client of a ladder: its slope, and what it adds to the one below; the steps add up to the slope of the highest."""

    arm: str
    slope_ms: Estimate  # over the ladder's values of N
    step_ms: Estimate  # the difference to the rung below; of the lowest its slope
    share: float | None = None  # of the highest rung's slope


class LadderFound(Value, frozen=True, kw_only=True):
    """What each layer adds, from the ground up, on one loop."""

    loop: str
    ns: tuple[int, ...] = ()  # which every rung was measured at
    rungs: tuple[Rung, ...] = ()
    why: str = ""  # there are none, or fewer than asked for: why


class Diagnosis(Value, frozen=True, kw_only=True):
    """The whole answer of a run."""

    schema: str = SCHEMA
    scenario: str
    question: str
    partial: bool = False
    answer: str = ""  # one sentence
    arms: tuple[ArmDiagnosis, ...] = ()
    baselines: tuple[ArmDiagnosis, ...] = ()  # the arms of the earlier run that this one is compared with
    comparison: Comparison | None = None  # with it
    overhead: tuple[Overhead, ...] = ()
    witness: tuple[Witness, ...] = ()
    ladders: tuple[LadderFound, ...] = ()
    noise: dict[str, float] = {}
    lost: dict[str, int] = {}
    errors: dict[str, int] = {}
    not_observed: tuple[str, ...] = ()
    not_measured: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    environment: Environment
