"""Hand-made Documents for the report tests: a realistic run of four arms, and its awkward relatives."""

import heapq
import random
from itertools import pairwise

from msgspec.structs import replace

from loopdiag.model.diagnosis import ArmDiagnosis, Diagnosis, Overhead, Point, Witness
from loopdiag.model.document import Document
from loopdiag.model.law import Alternative, Coefficient, Estimate, Law
from loopdiag.model.recording import Environment, Recording, Skipped, TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Payload, Scenario, Service, Sweep, Target, Workload
from loopdiag.model.timeline import Attempt, Connection, Iterations, Phase, Timeline

NS = (25, 50, 100, 200, 400, 600, 800)
ARMS = (
    Arm(client="httpx", loop="asyncio"),
    Arm(client="httpx", loop="uvloop"),
    Arm(client="aiohttp", loop="asyncio"),
    Arm(client="aiohttp", loop="uvloop"),
)
SLOPES_S = {"httpx/asyncio": 4.1e-5, "httpx/uvloop": 3.8e-5, "aiohttp/asyncio": 9.3e-4, "aiohttp/uvloop": 9.0e-4}
VERSIONS = {"httpx": {"httpx": "0.28.1", "httpcore": "1.0.9"}, "aiohttp": {"aiohttp": "3.14.5"}}
EMPTY_LAW = Law(form="not enough", note="needs at least 5 values of N that span a factor of 8; has 2 (50, 100)")

ENVIRONMENT = Environment(
    system="Linux 6.18.44 x86_64",
    python="CPython 3.11.7",
    cpu="Example CPU @ 2.50 GHz",
    cores=2,
    memory_mib=7936,
    clock_resolution_ns=1.0,
    clock_cost_ns=54.2,
    descriptor_limit=1024,
    client_cores=(0,),
    server_cores=(1,),
    load_1min=0.42,
    steal_share=0.003,
    versions={"aiohttp": "3.14.5", "httpx": "0.28.1", "uvloop": "0.23.0"},
    notes=("the machine is virtual: no hardware counters",),
)


def total_s(arm: Arm, n: int) -> float:
    """The planted law of an arm: quadratic for httpx, linear for aiohttp."""
    slope = SLOPES_S[arm.name]
    return 0.06 + (0.0003 * n + slope * n * n if arm.client == "httpx" else slope * n)


def runs(arm: Arm, n: int) -> bool:
    """Whether the cell fitted the budget."""
    return arm.client != "httpx" or n < 800


def scenario() -> Scenario:
    """The blog's experiment."""
    return Scenario(
        name="pokeapi",
        question="I fetch N URLs with asyncio; why does the total time grow with N?",
        arms=ARMS,
        target=Target(
            path="/api/v2/pokemon/{i}",
            tls="ecdsa-p256",
            service=Service(law="normal", mean_ms=50, sd_ms=10),
            payload=Payload(law="table", table="pokeapi", gzip=True),
        ),
        workload=Workload(decode="json"),
        sweep=Sweep(n=NS, repetitions=5, budget_s=240),
    )


def attempts(arm: Arm, n: int, seed: int) -> tuple[list[Attempt], list[Connection]]:
    """All N at once through 100 leases; aiohttp reuses its connections, httpx opens one a request."""
    rng = random.Random(seed)
    free = [(0, number) for number in range(1, 101)]
    made: dict[int, Connection] = {}
    rows, opened = [], 0
    for i in range(1, n + 1):
        created = i * 18_000
        free_at, number = heapq.heappop(free)
        enqueued = created + n * 9_000 + rng.randrange(20_000, 90_000)
        assigned = max(enqueued + 2_000, free_at)
        fresh = arm.client == "httpx" or number not in made
        ready = assigned
        phases = [("start", created + n * 8_000), ("prepare", enqueued), ("pool", assigned)]
        if fresh:
            opened += 1
            tcp = assigned + rng.randrange(200_000, 900_000)
            tls = tcp + rng.randrange(2_000_000, 14_000_000)
            ready = tls + rng.randrange(150_000, 400_000)
            key = opened if arm.client == "httpx" else number
            made[key] = Connection(
                number=key, request=i, requests=1, stamps={"tcp_start": assigned, "tcp_end": tcp, "tls_end": tls}, rtt_us=44
            )
            phases += [("connect", tcp), ("ssl", tls)]
        connection = opened if arm.client == "httpx" else number
        resumed = ready + rng.randrange(20_000, 250_000)
        sent = resumed + rng.randrange(40_000, 160_000)
        first = sent + max(5_000_000, int(rng.gauss(50e6, 10e6)))
        last = first + rng.randrange(50_000, 2_500_000)
        body = last + rng.randrange(10_000, 700_000)
        decoded = body + rng.randrange(150_000, 400_000)
        done = decoded + rng.randrange(5_000, 30_000)
        phases += [
            ("resume", resumed),
            ("send", sent),
            ("wait", first),
            ("receive", last),
            ("handover", body),
            ("decode", decoded),
            ("finish", done),
        ]
        stamps = {
            "created": created, "first_run": created + n * 8_000, "enqueued": enqueued, "assigned": assigned, "resumed": resumed,
            "send_start": resumed + 5_000, "send_end": sent, "rx_kernel": first - 40_000, "first_byte": first, "headers": first + 30_000,
            "last_byte": last, "body": body, "decoded": decoded, "released": body + 4_000, "done": done,
        }  # fmt: skip
        rows.append(
            Attempt(
                request=i,
                connection=connection,
                status=200,
                flags=() if fresh else ("reused",),
                assignments=rng.randrange(1, 6) if arm.client == "httpx" else 1,
                wire_bytes=rng.randrange(4000, 9000),
                stamps=stamps,
                phases=chain(created, phases),
            )
        )
        heapq.heappush(free, (body, number))
    return rows, list(made.values())


def chain(start_ns: int, ends: list[tuple[str, int]]) -> tuple[Phase, ...]:
    """Phases that follow each other without a gap, from their ends."""
    bounds = [start_ns, *(end for _, end in ends)]
    return tuple(Phase(name=name, start_ns=a, end_ns=b) for (name, _), (a, b) in zip(ends, pairwise(bounds), strict=True))


def timeline(arm: Arm, n: int, repetition: int = 0, *, t0_ns: int = 10**9) -> Timeline:
    """One resolved trial."""
    rows, connections = attempts(arm, n, seed=n * 7 + repetition)
    end = max(row.stamps["done"] for row in rows)
    starts = tuple(range(0, end, 400_000))
    return Timeline(
        trial=f"{arm.client}-{arm.loop}-n{n}-timeline-r{repetition}",
        arm=arm.name,
        n=n,
        repetition=repetition,
        t0_ns=t0_ns,
        total_ns=end,
        attempts=tuple(rows),
        connections=tuple(connections),
        iterations=Iterations(
            start_ns=starts,
            poll_ns=tuple(120_000 if at > end // 3 else 10_000 for at in starts),
            run_ns=tuple(280_000 if at > end // 3 else 390_000 for at in starts),
            ready=tuple(at // 400_000 % 9 for at in starts),
        ),
        unattributed_share=0.004,
    )


def trials(repetitions: int = 5) -> tuple[TrialResult, ...]:
    """Every bare and timeline trial that ran."""
    rng, made, at = random.Random(5), [], 10**9
    for repetition in range(-1, repetitions):
        for arm in ARMS:
            for n in NS:
                if not runs(arm, n) or (repetition < 0 and n > 50):
                    continue
                for tier in ("bare", "timeline") if repetition == 0 else ("bare",):
                    seconds = total_s(arm, n) * rng.uniform(0.97, 1.04)
                    spec = TrialSpec(id=f"{len(made):04d}", arm=arm, n=n, tier=tier, repetition=repetition, seed=rng.randrange(10**6))
                    made.append(
                        TrialResult(
                            spec=spec,
                            status="ok",
                            total_s=seconds,
                            t0_ns=at,
                            t1_ns=at + int(seconds * 1e9),
                            succeeded=n,
                            cpu_s=seconds * 0.8,
                        )
                    )
                    at += int(seconds * 1e9) + 300_000_000
    return tuple(made)


def law(arm: Arm) -> Law:
    """The law that the planted totals would be fitted with."""
    slope, quadratic = SLOPES_S[arm.name], arm.client == "httpx"
    top = max(n for n in NS if runs(arm, n))
    grid = [25 * (top / 25) ** (k / 40) for k in range(41)]
    return Law(
        form="a + b*N^2" if quadratic else "a + b*N",
        coefficients=(
            Coefficient(name="a", value=0.06, low=0.052, high=0.067, unit="s"),
            Coefficient(name="b", value=slope, low=slope * 0.97, high=slope * 1.03, unit="s/request^2" if quadratic else "s/request"),
        ),
        exponent=Estimate(value=1.93 if quadratic else 0.94, low=1.88 if quadratic else 0.90, high=1.97 if quadratic else 0.99),
        alternatives=(Alternative(form="a + b*N*log2(N)", error=2.7),),
        curve=tuple((n, total_s(arm, n), total_s(arm, n) * 0.95, total_s(arm, n) * 1.06) for n in grid),
    )


def arm_diagnosis(arm: Arm, bare: list[TrialResult]) -> ArmDiagnosis:
    """One arm of the answer."""
    quadratic = arm.client == "httpx"
    points = [Point(n=n, total_s=tuple(t.total_s for t in bare if t.spec.n == n and t.total_s is not None)) for n in NS if runs(arm, n)]
    slope = 24.5 if quadratic else SLOPES_S[arm.name] * 1e3
    return ArmDiagnosis(
        arm=arm.name,
        client=arm.client,
        loop=arm.loop,
        versions=VERSIONS[arm.client],
        points=tuple(points),
        law=law(arm),
        slope_ms=Estimate(value=slope, low=slope * 0.96, high=slope * (1.09 if quadratic else 1.04), unit="ms/request"),
        connections_per_request=1.0 if quadratic else 0.127,
        reused_share=0.0 if quadratic else 0.873,
        phases_ms={"start": 6.4, "pool": 211.0, "connect": 0.5, "ssl": 8.1, "send": 0.1, "wait": 50.2, "receive": 1.2, "decode": 0.3},
        server_utilisation=0.12 if quadratic else 0.74,
    )


def full(timeline_ns: tuple[int, ...] = (100, 800)) -> Document:
    """The whole run: 4 arms, 7 values of N, timelines, a skipped cell, notes of every kind."""
    ran = trials()
    skipped = tuple(
        Skipped(arm=arm.name, n=n, tier=tier, why="does not fit the arm's share of the budget (60 s)", predicted_s=total_s(arm, n))
        for arm in ARMS
        for n in NS
        for tier in ("bare", "timeline")
        if not runs(arm, n)
    )
    answer = "httpx grows as N² (24 ms a request by N = 600) because it opens a connection for every request; aiohttp grows linearly, by 0.93 ms a request."
    return Document(
        diagnosis=Diagnosis(
            scenario="pokeapi",
            question=scenario().question,
            answer=answer,
            arms=tuple(arm_diagnosis(arm, [t for t in ran if t.spec.arm == arm and t.spec.tier == "bare" and t.usable]) for arm in ARMS),
            overhead=tuple(Overhead(tier="timeline", arm=arm.name, ratio=1.012, low=0.995, high=1.028) for arm in ARMS),
            noise={"repeated_cells": 26.0, "relative_sd_of_repetitions": 0.021, "relative_drift": -0.004},
            witness=tuple(Witness(arm=arm.name, compared=825, agreeing=824, share=824 / 825) for arm in ARMS),
            lost={"attempts": 0, "iterations": 12},
            not_observed=("rx_kernel: libuv reads the socket itself (uvloop)", "dns: the target is an address"),
            not_measured=skipped,
            warnings=("The machine's load was 0.42 when the run began.",),
            environment=ENVIRONMENT,
        ),
        recording=Recording(
            loopdiag="0.1.0",
            started="2026-01-15T09:30:00Z",
            ended="2026-01-15T09:33:41Z",
            scenario=scenario(),
            environment=ENVIRONMENT,
            plan_seed=1,
            trials=ran,
            skipped=skipped,
        ),
        timelines=tuple(
            timeline(arm, n, t0_ns=(1 + k) * 10**9 * 20) for k, (arm, n) in enumerate((a, n) for a in ARMS for n in timeline_ns) if n <= 800
        ),
    )


def small() -> Document:
    """The whole run with little timelines, for tests that need no more."""
    return full(timeline_ns=(25,))


def no_arms() -> Document:
    """A run of which nothing could be used."""
    base = small()
    return Document(diagnosis=replace(base.diagnosis, arms=(), overhead=(), answer=""), recording=replace(base.recording, trials=()))


def not_enough() -> Document:
    """Too few values of N: laws abstain, slopes are missing."""
    base = small()
    arms = tuple(replace(a, law=EMPTY_LAW, slope_ms=None, points=a.points[:2], server_utilisation=None) for a in base.diagnosis.arms)
    return replace(base, diagnosis=replace(base.diagnosis, arms=arms, answer="Two values of N do not carry a law."))


def partial() -> Document:
    """Interrupted: some trials failed, some requests too."""
    base = small()
    spec = base.recording.trials[0].spec
    failed = (
        TrialResult(spec=replace(spec, repetition=0), status="timeout", why="killed after 60 s"),
        TrialResult(spec=replace(spec, repetition=1), status="interrupted", why="Ctrl-C"),
        TrialResult(spec=replace(spec, repetition=2), status="ok", total_s=0.4, errors={"TimeoutError": 3}, succeeded=22),
    )
    arms = (replace(base.diagnosis.arms[0], errors={"TimeoutError": 3, "HTTP 503": 1}), *base.diagnosis.arms[1:])
    return replace(
        base,
        diagnosis=replace(base.diagnosis, partial=True, arms=arms, errors={"TimeoutError": 3, "HTTP 503": 1}),
        recording=replace(base.recording, partial=True, trials=failed, ended=None),
    )


def no_timelines() -> Document:
    """Only bare trials."""
    base = small()
    return replace(base, timelines=(), diagnosis=replace(base.diagnosis, overhead=()))


def troubled() -> Document:
    """A timeline with failures, retries, attempts without phases, broken invariants, and no loop iterations."""
    base = small()
    first = base.timelines[0]
    broken = replace(
        first.attempts[3], status=None, flags=("error", "timed_out"), connection=None, phases=first.attempts[3].phases[:3], wire_bytes=None
    )
    retried = replace(first.attempts[4], number=1, flags=("retried",), status=503)
    blank = Attempt(request=99, stamps={"created": 5_000}, flags=("cancelled",))
    rows = (*first.attempts[:3], broken, retried, *first.attempts[5:], blank)
    changed = replace(
        first, attempts=rows, iterations=None, faults=("request 4: send_end before send_start",), not_observed={"rx_kernel": "no cmsg"}
    )
    empty = replace(base.timelines[1], attempts=(), connections=(), iterations=None)
    return replace(base, timelines=(changed, empty, *base.timelines[2:]))


def hostile() -> Document:
    """Every string from outside tries to leave its place: markup, script ends, console markup, escape codes."""
    base = small()
    evil = "</script><img src=x onerror=alert(1)>[bold red]x[/] \x1b[31m & \"q\" 'r' <!--"
    target = Target(url="https://user:secret@example.test/items?token=hunter2&page=3", path="/{i}")
    arms = (replace(base.diagnosis.arms[0], arm=evil, errors={evil: 1}, warnings=(evil,)), *base.diagnosis.arms[1:])
    diagnosis = replace(
        base.diagnosis,
        answer=evil,
        question=evil,
        scenario=evil,
        arms=arms,
        warnings=(evil,),
        not_observed=(evil,),
        noise={evil: 1.0},
        lost={evil: 2},
    )
    recording = replace(base.recording, scenario=replace(base.recording.scenario, name=evil, target=target), warnings=(evil,))
    lines = (replace(base.timelines[0], arm=evil, faults=(evil,), not_observed={evil: evil}), *base.timelines[1:])
    return Document(diagnosis=diagnosis, recording=recording, timelines=lines)


def many(count: int = 40) -> Document:
    """As many timelines as a long run leaves: the size limit of the page."""
    base = small()
    lines = tuple(timeline(ARMS[k % 4], 800, repetition=k // 4) for k in range(count))
    return replace(base, timelines=lines)


def wordy() -> Document:
    """Skipped cells whose reasons repeat their own name and prediction."""
    base = small()
    cells = tuple(
        Skipped(
            arm="httpx/asyncio",
            n=n,
            tier="bare",
            why=f"httpx/asyncio N = {n}: predicted {s} s, 0.1 s of its share were left",
            predicted_s=s,
        )
        for n, s in ((400, 6.3), (800, 32.0))
    )
    return replace(base, diagnosis=replace(base.diagnosis, not_measured=cells), recording=replace(base.recording, skipped=cells))


EDGES = {
    "small": small,
    "no_arms": no_arms,
    "not_enough": not_enough,
    "partial": partial,
    "no_timelines": no_timelines,
    "troubled": troubled,
    "hostile": hostile,
}
