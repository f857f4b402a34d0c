"""The ledger: every instant of a trial charged to exactly one account, along the critical path.

Accounts are `ACCOUNTS`, and ``loop/<class>`` for every class of `model.flame.CLASSES`.
"""

from loopdiag.model.flame import CLASSES
from loopdiag.model.law import Estimate
from loopdiag.model.value import Value

#: account → what it is charged with; the loop's own time is split by class of code
ACCOUNTS: dict[str, str] = {
    **{f"loop/{code}": f"the client ran: {what}" for code, what in CLASSES.items()},
    "loop/run-queue": "the client's thread was ready, and waited for a core",
    "loop/off-cpu": "the client's thread was off the CPU in the midst of its work: a blocking call, or the GIL",
    "dns": "looking the name up",
    "connect": "setting TCP up",
    "ssl": "the TLS handshake, as far as the peer and the network took",
    "send": "the transport's buffer took the request",
    "server": "waiting for the first byte of the answer",
    "receive": "the body was on its way",
    "executor": "waiting for a thread of an executor, and for its call",
    "pacing": "no request was due: the workload's own schedule",
    "sleep": "a timer of the workload's, or of the user's program",
    "unexplained": "what no evidence shows",
}


class Step(Value, frozen=True, kw_only=True):
    """A stretch of the critical path, on one account of the outside, or "loop" for all of the loop's.

    `least_ns` and `most_ns` bound what its account is charged where a phase is only known as an interval; the steps of a trial leave no gap and
    do not overlap.
    """

    start_ns: int  # since the trial's first stamp
    end_ns: int
    account: str
    request: int | None = None  # the critical one; None: none was under way
    own: bool = True  # "loop": the request's own code ran; False: it was ready, and the loop ran others'
    #: how the path came here from the step after it: "", "pool", "worker", "connection", "stream", "schedule"; in a user's program also "serial" (the request
    #: before it in its task), "semaphore", "lock", "queue", "condition", "event", "task", "batch" (tasks that are waited for together), "executor"
    via: str = ""
    least_ns: int | None = None
    most_ns: int | None = None


class TrialLedger(Value, frozen=True, kw_only=True):
    """One timeline trial; `charges` add up to `total_ns`."""

    trial: str
    arm: str
    n: int
    total_ns: int
    charges: dict[str, int]
    least: dict[str, int] = {}  # bounds, where an account has any
    most: dict[str, int] = {}
    hops: dict[str, int] = {}  # by `Step.via`: of how many waves the total is made
    steps: tuple[Step, ...] = ()  # in order of time
    notes: tuple[str, ...] = ()


class Account(Value, frozen=True, kw_only=True):
    """One account of an arm over N, scaled to the bare trials' totals."""

    account: str
    slope_ms: Estimate  # ms per request; the slopes of all accounts add up to the arm's slope
    low_ms: float | None = None  # the slope where every bound is charged at its least
    high_ms: float | None = None
    points: tuple[tuple[int, float], ...] = ()  # (N, ms of the total)


class ArmLedger(Value, frozen=True, kw_only=True):
    """The ledger of one arm; `why` says why there are no accounts."""

    arm: str
    accounts: tuple[Account, ...] = ()  # largest slope first, "unexplained" last
    hops: dict[str, tuple[tuple[int, float], ...]] = {}  # via → (N, hops a trial)
    residual: float = 0.0  # worst |Σ charges - total| / total over its trials
    trials: tuple[TrialLedger, ...] = ()
    notes: tuple[str, ...] = ()
    why: str | None = None
