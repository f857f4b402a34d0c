"""Hand-made ledgers, critical paths, causes and prescriptions for the report tests: the pokeapi run's answer, and its awkward relatives."""

from itertools import pairwise

from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Evidence, LedgerEntry, Point, Prescription
from loopdiag.model.law import Coefficient, Estimate, Law
from loopdiag.model.ledger import Account, ArmLedger, Step, TrialLedger
from loopdiag.model.timeline import Attempt, Timeline

#: share of the slope by account; the rest is unexplained
HTTPX = {
    "loop/pool": 0.815, "loop/client-library": 0.068, "loop/tls-handshake": 0.046, "loop/task-and-callback": 0.021, "loop/http-parse": 0.012,
    "loop/tls-record": 0.009, "loop/gc": 0.004, "loop/decode-content": 0.003, "loop/user": 0.001, "loop/run-queue": 0.002, "server": 0.009,
    "ssl": 0.002, "receive": 0.001,
}  # fmt: skip
AIOHTTP = {
    "loop/tls-handshake": 0.412, "loop/client-library": 0.233, "loop/task-and-callback": 0.126, "loop/http-parse": 0.068, "loop/tls-record": 0.051,
    "loop/pool": 0.014, "loop/decode-content": 0.021, "loop/gc": 0.009, "server": 0.034, "ssl": 0.012, "receive": 0.004, "connect": -0.006,
}  # fmt: skip
PHASE_ACCOUNTS = {"dns": "dns", "connect": "connect", "ssl": "ssl", "wait": "server", "receive": "receive"}
READY = {"start", "resume", "kernel", "handover"}  # a request was ready, and the loop ran others

DIFF = """--- pokeapi.toml
+++ pokeapi.toml, prescribed
@@ workload @@
 kind = "closed"
-concurrency = "none" # all N at once
+concurrency = 100
@@ pool @@
+keepalive = 100
"""


def estimate(value: float, share: float = 0.03) -> Estimate:
    """A slope with an interval so wide."""
    return Estimate(value=value, low=value * (1 - share), high=value * (1 + share), unit="ms/request")


def shares(client: str) -> dict[str, float]:
    """Account → share of the slope, adding up to 1."""
    known = HTTPX if client == "httpx" else AIOHTTP
    return known | {"unexplained": 1 - sum(known.values())}


def entries(arm: ArmDiagnosis) -> tuple[LedgerEntry, ...]:
    """The arm's accounts in the diagnosis."""
    slope = arm.slope_ms.value if arm.slope_ms else 0.0
    made = [
        LedgerEntry(
            account=name,
            slope_ms=slope * share,
            low=slope * share - abs(slope * share) * 0.08,
            high=slope * share + abs(slope * share) * 0.08,
            share=share,
        )
        for name, share in shares(arm.client).items()
    ]
    return tuple(sorted(made, key=lambda entry: (entry.account == "unexplained", -entry.slope_ms)))


def path(line: Timeline) -> tuple[Step, ...]:
    """Back from the attempt that ended last, through the leases of the pool, to the first stamp."""
    by_start = sorted(line.attempts, key=lambda a: a.phases[0].start_ns)
    here, until, steps = max(by_start, key=lambda a: a.phases[-1].end_ns), line.total_ns, []
    while True:
        freed = before(here, by_start)
        since = freed.stamps["released"] if freed is not None else 0
        steps += reversed(along(here, since, until))
        if freed is None:
            break
        steps[-1] = Step(**{**fields(steps[-1]), "via": "pool"})
        here, until = freed, since
    return tuple(reversed(steps))


def fields(step: Step) -> dict[str, object]:
    """The fields of a step by name."""
    return {name: getattr(step, name) for name in step.__struct_fields__}


def before(attempt: Attempt, others: list[Attempt]) -> Attempt | None:
    """Who gave its connection back last before this one was given one, while it already waited for it."""
    free = [
        other
        for other in others
        if attempt.stamps["enqueued"] < other.stamps.get("released", 0) <= attempt.stamps["assigned"] and other is not attempt
    ]
    return max(free, key=lambda other: other.stamps["released"], default=None)


def along(attempt: Attempt, since: int, until: int) -> list[Step]:
    """The phases of one attempt between two times, as steps; before it began the loop ran."""
    made, at = [], since
    for phase in attempt.phases:
        begin, end = min(max(phase.start_ns, at), until), min(phase.end_ns, until)
        if begin > at:
            made.append(Step(start_ns=at, end_ns=begin, account="loop", request=attempt.request, own=False))
            at = begin
        if end > at:
            account = PHASE_ACCOUNTS.get(phase.name, "loop")
            made.append(Step(start_ns=at, end_ns=end, account=account, request=attempt.request, own=phase.name not in READY))
            at = end
    if until > at:
        made.append(Step(start_ns=at, end_ns=until, account="unexplained"))
    return made


def trial_ledger(line: Timeline) -> TrialLedger:
    """One trial's path and charges."""
    steps = path(line)
    assert steps[0].start_ns == 0
    assert all(a.end_ns == b.start_ns for a, b in pairwise(steps))
    charges: dict[str, int] = {}
    for step in steps:
        name = "loop/other" if step.account == "loop" else step.account
        charges[name] = charges.get(name, 0) + step.end_ns - step.start_ns
    hops = {"pool": sum(step.via == "pool" for step in steps)}
    return TrialLedger(trial=line.trial, arm=line.arm, n=line.n, total_ns=line.total_ns, charges=charges, hops=hops, steps=steps)


def arm_ledger(arm: ArmDiagnosis, timelines: tuple[Timeline, ...]) -> ArmLedger:
    """The arm's accounts over N, scaled to its points, and the paths of its timelines."""
    totals = [(point.n, 1e3 * sum(point.total_s) / len(point.total_s)) for point in arm.points]
    accounts = [
        Account(
            account=entry.account,
            slope_ms=Estimate(value=entry.slope_ms, low=entry.low, high=entry.high, unit="ms/request"),
            points=tuple((n, max(0.0, (entry.share or 0.0) * ms * grown(entry.account, n))) for n, ms in totals),
        )
        for entry in entries(arm)
    ]
    waves = 4.0 if arm.client == "aiohttp" else 3.0
    return ArmLedger(
        arm=arm.arm,
        accounts=tuple(accounts),
        hops={"pool": tuple((n, round(waves * n / 400, 1)) for n, _ in totals)},
        trials=tuple(trial_ledger(line) for line in timelines if line.arm == arm.arm and line.attempts),
        notes=("N = 50 has no timeline trial: its shares are interpolated",),
    )


def grown(account: str, n: int) -> float:
    """How an account's share changes with N: the pool's grows, what is paid once shrinks."""
    return 1.0 + (0.15 if account == "loop/pool" else -0.1) * (n / 800 - 0.5)


def scan(arm: ArmDiagnosis) -> CauseFound:
    """The quadratic scan of the pool."""
    slope = arm.slope_ms.value if arm.slope_ms else 1.0
    return CauseFound(
        cause="library_overhead",
        title="The client library's own code takes the loop's time",
        detail="httpcore pool scan",
        share=0.82,
        low=0.78,
        high=0.85,
        slope_ms=slope * 0.82,
        evidence=(
            Evidence(what="CPU of class pool a request at N = 600", value=20.1, unit="ms"),
            Evidence(what="its power of N", value=1.94, unit=""),
            Evidence(what="requests queued in the pool at most", value=500, unit="requests"),
            Evidence(what="replayed slope with keepalive = 100 alone", value=slope * 1.08, unit="ms/request"),
        ),
        predicted=estimate(slope * 0.17, 0.1),
        effect=estimate(slope * 0.184),
        base=estimate(slope),
        verdict="CONFIRMED",
        changes=("workload.concurrency: none → 100",),
        remedy="Let at most as many requests into the client at once as its pool has connections, with a semaphore in front of it.",
        why="With every connection kept alive but the queue left, the scan grows instead: the change alone does not help.",
    )


def reuse(arm: ArmDiagnosis) -> CauseFound:
    """The connections that the scan evicts, on top of the first change."""
    slope = arm.slope_ms.value if arm.slope_ms else 1.0
    return CauseFound(
        cause="no_connection_reuse",
        title="Every request opens a connection of its own",
        detail="keep-alive eviction: httpcore counts every connection as idle, limit 20",
        share=0.11,
        low=0.07,
        high=0.15,
        slope_ms=slope * 0.11,
        evidence=(
            Evidence(what="connections per request", value=1.0, unit=""),
            Evidence(what="handshake's CPU", value=1.13, unit="ms"),
            Evidence(what="requests on a connection that had served before", value=0.0, unit="share"),
        ),
        predicted=estimate(slope * 0.06, 0.12),
        effect=estimate(slope * 0.052, 0.05),
        base=estimate(slope * 0.184),
        verdict="CONFIRMED",
        changes=("pool.keepalive: 20 (default) → 100",),
        remedy="Keep as many connections alive as the pool may have: max_keepalive_connections = max_connections.",
        why="Measured on top of the change before it; alone it does not help, since it wakes the pool's scan.",
    )


def handshakes(arm: ArmDiagnosis) -> CauseFound:
    """The first wave's handshakes."""
    slope = arm.slope_ms.value if arm.slope_ms else 1.0
    return CauseFound(
        cause="tls_handshake_cpu",
        title="TLS handshakes take the loop's CPU",
        detail="handshakes of the first wave",
        share=0.41,
        low=0.37,
        high=0.46,
        slope_ms=slope * 0.41,
        evidence=(
            Evidence(what="connections opened at N = 800", value=100, unit="connections"),
            Evidence(what="CPU each", value=1.08, unit="ms"),
        ),
        predicted=estimate(slope * 0.6, 0.08),
        effect=estimate(slope * 0.64, 0.05),
        base=estimate(slope),
        verdict="CONFIRMED",
        changes=("target.tls: ecdsa-p256 → off",),
        remedy="Open fewer connections, or resume sessions.",
        why="An experiment: no program can ship without TLS.",
    )


def saturated() -> CauseFound:
    """The honest cost of the work."""
    return CauseFound(
        cause="event_loop_saturated",
        title="The loop is busy, and nothing dominates",
        detail="81 % busy",
        share=0.55,
        low=0.4,
        high=0.68,
        evidence=(Evidence(what="the loop ran", value=0.81, unit="share"),),
        predicted=None,
        verdict="INCONCLUSIVE",
        effect=Estimate(value=0.86, low=0.61, high=1.12, unit="ms/request"),
        changes=("loop: asyncio → uvloop",),
        remedy="Fewer bytes, uvloop, or more processes.",
        why="the interval is wider than the predicted change",
    )


def others() -> tuple[CauseFound, ...]:
    """Causes that did not hold, or were not tried."""
    return (
        CauseFound(
            cause="client_pool_limit",
            title="The pool's limit makes the total come in waves",
            detail="aiohttp limit=100",
            share=0.2,
            low=0.05,
            high=0.35,
            predicted=estimate(0.7),
            effect=estimate(0.96),
            base=estimate(0.93),
            verdict="REFUTED",
            changes=("pool.limit: 100 (default) → 0 (none)",),
            why="without the limit the slope is the same within 3 %: the loop is busy all the time",
        ),
        CauseFound(
            cause="gc_pauses",
            share=0.06,
            low=0.01,
            high=0.1,
            predicted=estimate(0.88),
            verdict="NOT_TRIED",
            why="the budget for verification (100 s) was over",
        ),
        CauseFound(
            cause="server_cpu",
            detail="handshakes of the server",
            side="server",
            share=0.07,
            low=0.02,
            high=0.12,
            verdict="NOT_APPLICABLE",
            why="the server is another program",
        ),
    )


def healthy() -> CauseFound:
    """Nothing grows."""
    return CauseFound(
        cause="none",
        side="none",
        verdict="NOT_APPLICABLE",
        detail="The slope's interval includes 0.",
        evidence=(Evidence(what="slope", value=0.004, unit="ms/request"),),
    )


def prescription(arm: ArmDiagnosis) -> Prescription:
    """The confirmed changes, measured."""
    slope = arm.slope_ms.value if arm.slope_ms else 1.0
    points = [(point.n, 0.07 + slope * 0.052e-3 * point.n) for point in arm.points[1::2]]
    grid = [points[0][0] + k * (points[-1][0] - points[0][0]) / 20 for k in range(21)]
    return Prescription(
        changes=("workload.concurrency: none → 100", "pool.keepalive: 20 (default) → 100"),
        slope_ms=estimate(slope * 0.052, 0.05),
        speedup=1 / 0.052,
        speedup_low=17.8,
        speedup_high=20.9,
        law=Law(
            form="a + b*N",
            coefficients=(
                Coefficient(name="a", value=0.07, low=0.06, high=0.08, unit="s"),
                Coefficient(name="b", value=slope * 0.052e-3, low=None, high=None, unit="s/request"),
            ),
            curve=tuple((n, t, t * 0.96, t * 1.04) for n in grid for t in [0.07 + slope * 0.052e-3 * n]),
        ),
        points=tuple(Point(n=n, total_s=(t * 0.99, t * 1.02)) for n, t in points),
        toml_diff=DIFF,
    )
