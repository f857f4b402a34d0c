"""Evidence made by hand: a machine whose truth is known is replayed, and everything that causes read is written as a recording of it would show it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from loopdiag.analysis import what_if
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.occupancy import Occupancy
from loopdiag.analysis.replay import Replayed, run
from loopdiag.analysis.scaling import fit_law
from loopdiag.analysis.slope import slope
from loopdiag.causes.changes import change
from loopdiag.model.flame import TopRow
from loopdiag.model.law import Estimate
from loopdiag.model.ledger import Account, ArmLedger
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.timeline import Attempt, Connection, Iterations, Jobs, Lag, Pause, Phase, Process, Timeline

NS = (10, 20, 40, 80, 160)
MS = 1e-3
MS_NS = 1_000_000
ByN = Callable[[int], float]


def scenario(client: str = "aiohttp", loop: str = "asyncio", **settings: object) -> Scenario:
    """A scenario of one arm; keys are written with "__" for the dot."""
    base = Scenario(name="planted", arms=(Arm(client=client, loop=loop),))
    made = change(base, {key.replace("__", "."): value for key, value in settings.items()})
    return made.scenario if made is not None else base


@dataclass(frozen=True)
class Truth:
    """What is planted.

    Attributes:
        machine: what is replayed, and what a calibration would have found.
        scenario: that asks for it.
        ns: values of N.
        cpu: class of code → N → seconds of the loop's CPU; the rest of the loop's time is the client library's and the loop's.
        phases: phase → N → ms, of each attempt.
        thread_ms, threads: each request's call in an executor.
        dns_ms: each connection's look-up.
        paused: share of each trial in collections.
        refused: attempts with status 429 for each request.
        fitted: whether there is a machine in the evidence; else the ledger stands in.
        accounts: account → share of the slope, of the ledger.
        top: rows of the profile.
        scatter: of repetitions, as a share of the total.
        slowed: the loop waits for a core for so long, as a share of its CPU.
    """

    machine: Machine
    scenario: Scenario = field(default_factory=scenario)
    ns: Sequence[int] = NS
    cpu: Mapping[str, ByN] = field(default_factory=dict)
    phases: Mapping[str, ByN] = field(default_factory=dict)
    thread_ms: float = 0.0
    threads: int = 6
    dns_ms: float = 0.0
    paused: float = 0.0
    refused: float = 0.0
    fitted: bool = True
    accounts: Mapping[str, float] = field(default_factory=dict)
    top: tuple[TopRow, ...] = ()
    scatter: float = 0.01
    slowed: float = 0.0


def evidence(truth: Truth) -> Evidence:
    """All that a recording of the truth would show."""
    totals = {n: what_if.totals(truth.machine, [n])[n] for n in truth.ns}
    points = {n: [total * (1 - truth.scatter), total, total * (1 + truth.scatter)] for n, total in totals.items()}
    runs = {n: run(truth.machine, n) for n in truth.ns}
    over = slope(points)
    assert over is not None
    return Evidence(
        arm=truth.scenario.arms[0],
        scenario=truth.scenario,
        points=points,
        law=fit_law(points),
        slope=over,
        bare=tuple(_bare(truth, n, runs[n], total, at) for n in truth.ns for at, total in enumerate(points[n])),
        timelines=tuple(_timeline(truth, n, runs[n], round(totals[n] * 1e9)) for n in truth.ns),
        ledger=_ledger(truth, over),
        occupancy={n: _occupancy(truth, n, runs[n]) for n in truth.ns},
        class_cpu={code: {n: seconds(n) for n in truth.ns} for code, seconds in _codes(truth, runs).items()},
        top=truth.top,
        machine=truth.machine if truth.fitted else None,
        missing={} if truth.fitted else {"machine": "the replay does not reproduce the run"},
    )


def _codes(truth: Truth, runs: Mapping[int, Replayed]) -> dict[str, ByN]:
    def rest(n: int) -> float:
        return max(1e-6, runs[n].busy_s - sum(seconds(n) for seconds in truth.cpu.values()))

    return {**truth.cpu, "client-library": lambda n: 0.4 * rest(n), "task-and-callback": lambda n: 0.6 * rest(n)}


def _bare(truth: Truth, n: int, replayed: Replayed, total_s: float, repetition: int) -> TrialResult:
    arm = truth.scenario.arms[0]
    return TrialResult(
        spec=TrialSpec(id=f"{n}-{repetition}", arm=arm, n=n, tier="bare", repetition=repetition, seed=1),
        status="ok",
        total_s=total_s,
        cpu_s=_computed(truth, n, replayed),
        succeeded=n,
        body_bytes=1000 * n,
        connections_opened=replayed.opened,
        server_cpu_s=replayed.server_busy_s,
        server_utilisation=replayed.server_busy_s / total_s / truth.machine.server_threads,
    )


def _computed(truth: Truth, n: int, replayed: Replayed) -> float:
    """CPU of the loop: what it ran, less what it was blocked for and waited for a core."""
    return max(1e-6, (replayed.busy_s - truth.machine.block * n) / (1 + truth.slowed))


def _occupancy(truth: Truth, n: int, replayed: Replayed) -> Occupancy:
    waiting = replayed.queued / 2
    return Occupancy(
        n=n,
        in_flight=replayed.in_flight,
        in_flight_mean=replayed.in_flight / 2,
        queued=max(0, replayed.queued - 1) if truth.machine.limit is not None else 0,  # each one passes the queue
        queued_mean=waiting,
        connections=min(replayed.opened, replayed.in_flight),
        opened=replayed.opened,
        reused=1 - replayed.opened / n,
        idle_in_queue=0.5 if replayed.queued > 1 else 0.0,
    )


def _timeline(truth: Truth, n: int, replayed: Replayed, total_ns: int) -> Timeline:
    running = round(replayed.busy_s * 1e9)
    cpu = round(_computed(truth, n, replayed) * 1e9)
    blocked = round(truth.machine.block * n * 1e9)
    refusals = round(truth.refused * n)
    attempts = [_attempt(truth, n, request, 200) for request in range(n)] + [
        _attempt(truth, n, request, 429) for request in range(refusals)
    ]
    return Timeline(
        trial=f"timeline-{n}",
        arm=truth.scenario.arms[0].name,
        n=n,
        repetition=0,
        t0_ns=0,
        total_ns=total_ns,
        attempts=tuple(attempts),
        connections=tuple(_connection(truth, number) for number in range(replayed.opened)),
        iterations=Iterations(start_ns=(0,), poll_ns=(total_ns - running,), run_ns=(running,), ready=(0,)),
        pauses=(Pause(start_ns=0, length_ns=round(truth.paused * total_ns), generation=2),) if truth.paused else (),
        jobs=_jobs(truth, n),
        lag=Lag(running_ns=running, blocked_ns=0, blocked=0, longest_ns=running // n, expected_wait_ns=0),
        process=Process(
            cpu_ns=cpu,
            run_queue_ns=max(0, running - cpu - blocked),
            waits=1 + (n if blocked else 0),
            first_ns=0,
            last_ns=total_ns,
        ),
    )


def _attempt(truth: Truth, n: int, request: int, status: int) -> Attempt:
    phases, at = [], 0
    for name, length in truth.phases.items():
        phases.append(Phase(name=name, start_ns=at, end_ns=at + round(length(n) * MS_NS)))
        at = phases[-1].end_ns
    return Attempt(request=request, status=status, phases=tuple(phases))


def _connection(truth: Truth, number: int) -> Connection:
    stamps = {"dns_start": 0, "dns_end": round(truth.dns_ms * MS_NS)} if truth.dns_ms else {}
    return Connection(number=number, stamps=stamps, tls_cpu_ns=round(truth.machine.open_tls * 1e9) or None)


def _jobs(truth: Truth, n: int) -> Jobs | None:
    if not truth.thread_ms:
        return None
    each = round(truth.thread_ms * MS_NS)
    started = tuple(each * (call // truth.threads) for call in range(n))
    return Jobs(queued_ns=(0,) * n, started_ns=started, ended_ns=tuple(begin + each for begin in started), threads=(truth.threads,) * n)


def _ledger(truth: Truth, over: Estimate) -> ArmLedger | None:
    if not truth.accounts:
        return None
    return ArmLedger(
        arm=truth.scenario.arms[0].name,
        accounts=tuple(
            Account(
                account=name, slope_ms=Estimate(value=share * over.value, low=0.95 * share * over.value, high=1.05 * share * over.value)
            )
            for name, share in truth.accounts.items()
        ),
    )


# One truth for each cause.  CPU of a request is 0.1 ms where nothing else is said: small beside what is planted.

QUIET = Machine(start=0.05 * MS, finish=0.05 * MS, think=(100 * MS,))
HEALTHY = Truth(machine=replace(QUIET, think=(800 * MS,)), phases={"wait": lambda _: 800.0})
TLS = {"target__tls": "ecdsa-p256"}


def _waves(client: str = "aiohttp", **settings: object) -> Scenario:
    return scenario(client, pool__limit=10, **settings)


PLANTED: dict[str, Truth] = {
    "client_pool_limit": Truth(machine=replace(QUIET, limit=10), scenario=_waves(), phases={"wait": lambda _: 100.0}),
    "client_semaphore": Truth(
        machine=replace(QUIET, workers=10), scenario=scenario(workload__concurrency=10), phases={"wait": lambda _: 100.0}
    ),
    "serialized_awaits": Truth(
        machine=replace(QUIET, workers=1, think=(10 * MS,)), scenario=scenario(workload__concurrency=1), phases={"wait": lambda _: 10.0}
    ),
    "client_pacing": Truth(
        machine=replace(QUIET, interval=10 * MS),
        scenario=scenario(workload__kind="open", workload__rate_per_s=100.0),
        phases={"wait": lambda _: 100.0},
    ),
    "h2_stream_limit": Truth(
        machine=replace(QUIET, streams=10),
        scenario=scenario("httpx", target__http="2", target__tls="ecdsa-p256", target__service__max_streams=10),
        phases={"stream": lambda n: max(0.0, 5.0 * (n - 10)), "wait": lambda _: 100.0},
    ),
    "executor_saturated": Truth(
        machine=replace(QUIET, thread=30 * MS, threads=6),
        scenario=scenario(workload__plant__thread_ms=30.0),
        thread_ms=30.0,
        phases={"wait": lambda _: 100.0},
    ),
    "blocking_call": Truth(
        machine=replace(QUIET, block=5 * MS), scenario=scenario(workload__plant__block_ms=5.0), phases={"wait": lambda _: 100.0}
    ),
    "cpu_in_loop": Truth(
        machine=replace(QUIET, finish=2.05 * MS, plant=2 * MS),
        scenario=scenario(workload__plant__cpu_us=2000.0),
        cpu={"user": lambda n: n * 2 * MS},
        phases={"wait": lambda _: 100.0},
    ),
    "quadratic_scan": Truth(
        machine=replace(QUIET, grow=0.04 * MS),
        scenario=scenario(workload__plant__scan_us=40.0),
        cpu={"user": lambda n: n * n * 0.04 * MS},
        phases={"wait": lambda _: 100.0},
        top=(TopRow(function="scan", file="planted.py", code="user", self_us=5000.0, exponent=2.0),),
    ),
    "gc_pauses": Truth(
        machine=replace(QUIET, pause=2 * MS),
        scenario=scenario(workload__plant__garbage=5000),
        cpu={"gc": lambda n: n * 2 * MS},
        paused=0.5,
        phases={"wait": lambda _: 100.0},
    ),
    "library_overhead": Truth(
        machine=replace(QUIET, limit=20, keepalive=20, scan=0.01 * MS, think=(5 * MS,)),
        scenario=scenario("httpx", pool__limit=20),
        cpu={"pool": lambda n: 0.01 * MS * 20 * max(1, n - 20) * n / 2 * 1.2},
        phases={"wait": lambda _: 5.0},
    ),
    "asyncio_debug": Truth(
        machine=replace(QUIET, start=1 * MS, finish=1 * MS),
        scenario=scenario(workload__plant__debug=True),
        phases={"wait": lambda _: 100.0},
        top=(TopRow(function="extract_stack", file="/usr/lib/python3.11/traceback.py", code="other", self_us=1500.0),),
    ),
    "event_loop_saturated": Truth(machine=replace(QUIET, start=1 * MS, finish=1 * MS), phases={"wait": lambda _: 100.0}),
    "no_connection_reuse": Truth(
        machine=replace(QUIET, workers=20, reusable=1, open_tcp=0.3 * MS, open_tls=1 * MS, server_handshake=0.5 * MS, think=(5 * MS,)),
        scenario=scenario(workload__concurrency=20, target__service__keep_alive=False, **TLS),
        cpu={"tls-handshake": lambda n: n * 1 * MS},
        phases={"wait": lambda _: 5.0},
    ),
    "tls_handshake_cpu": Truth(
        machine=replace(QUIET, open_tls=0.5 * MS, server_handshake=6 * MS),
        scenario=scenario(target__tls="rsa-4096", pool__limit=0),
        cpu={"tls-handshake": lambda n: n * 0.5 * MS},
        phases={"ssl": lambda n: 6.0 * n / 2, "wait": lambda _: 100.0},
    ),
    "dns_resolution": Truth(
        machine=replace(QUIET, lookup=50 * MS, lookups_at_once=6),
        scenario=scenario("httpx", workload__plant__dns_ms=50.0),
        dns_ms=50.0,
        phases={"dns": lambda n: 50.0 * n / 12, "wait": lambda _: 100.0},
    ),
    "nagle_delayed_ack": Truth(
        machine=replace(QUIET, workers=4, gap=40 * MS, think=(10 * MS,)),
        scenario=scenario(workload__concurrency=4, target__service__gap_ms=40.0),
        phases={"wait": lambda _: 10.0, "receive": lambda _: 40.0},
    ),
    "bandwidth": Truth(
        machine=replace(QUIET, link=5 * MS),
        scenario=scenario(target__service__bytes_per_s=200_000.0),
        phases={"wait": lambda _: 100.0, "receive": lambda n: 2.5 * n},
    ),
    "server_concurrency_limit": Truth(
        machine=replace(QUIET, server_limit=5), scenario=scenario(target__service__concurrency=5), phases={"wait": lambda n: 10.0 * n}
    ),
    "server_cpu": Truth(
        machine=replace(QUIET, server_cpu=10 * MS), scenario=scenario(target__service__cpu_us=10_000.0), phases={"wait": lambda n: 5.0 * n}
    ),
    "rate_limited": Truth(
        machine=replace(QUIET, server_rate=50.0),
        scenario=scenario(target__service__rate_per_s=50.0, target__service__retry_after_s=0.2, workload__retries=50),
        refused=2.0,
        phases={"wait": lambda _: 100.0},
    ),
    "none": HEALTHY,
}

#: planted → others that are as true: what is planted in one shows only where requests wait for one another
ALSO_TRUE: dict[str, set[str]] = {
    "nagle_delayed_ack": {"client_semaphore"},
    "no_connection_reuse": {"client_semaphore"},
}
#: causes that share the first place with another, by the nature of what is planted
NOT_FIRST = {"nagle_delayed_ack"}
