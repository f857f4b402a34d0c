"""Hand-made Documents for the report tests: a realistic run of four arms, and its awkward relatives."""

import heapq
import random
from itertools import pairwise

import answer_parts
import flame_parts
from msgspec.structs import replace

from loopdiag.model.diagnosis import (
    ArmDiagnosis,
    CauseFound,
    Diagnosis,
    Evidence,
    LedgerEntry,
    LoopLag,
    Overhead,
    Point,
    Prescription,
    Witness,
)
from loopdiag.model.document import Document
from loopdiag.model.flame import TopRow
from loopdiag.model.law import Alternative, Coefficient, Estimate, Law
from loopdiag.model.ledger import Account, ArmLedger, Step, TrialLedger
from loopdiag.model.profile import Frame, Profile
from loopdiag.model.recording import Environment, Recording, Skipped, TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Payload, Scenario, Service, Sweep, Target, Workload
from loopdiag.model.timeline import Attempt, Connection, Iterations, Jobs, Lag, Pause, Phase, Process, Timeline
from loopdiag.report.page_columns import DIGITS

NS = (25, 50, 100, 200, 400, 600, 800)
ARMS = (
    Arm(client="httpx", loop="asyncio"),
    Arm(client="httpx", loop="uvloop"),
    Arm(client="aiohttp", loop="asyncio"),
    Arm(client="aiohttp", loop="uvloop"),
)
SLOPES_S = {"httpx/asyncio": 4.1e-5, "httpx/uvloop": 3.8e-5, "aiohttp/asyncio": 9.3e-4, "aiohttp/uvloop": 9.0e-4}
LATE_NS = 340_000  # from the kernel's stamp to the first byte's callback, on asyncio
BLOCKED_NS = 24_000_000  # the longest iteration of every timeline
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
            set_up = {"tcp_start": assigned, "tcp_end": tcp, "tls_start": tcp, "tls_end": tls, "made": tls}
            made[key] = Connection(number=key, request=i, stamps=set_up, rtt_us=44, retransmits=0, address_attempts=1, tls_cpu_ns=410_000)
            phases += [("connect", tcp), ("ssl", tls)]
        connection = opened if arm.client == "httpx" else number
        made[connection] = replace(made[connection], requests=made[connection].requests + 1)
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
            *seen_by_kernel(arm, first),
            ("receive", last),
            ("handover", body),
            ("decode", decoded),
            ("finish", done),
        ]
        stamps = {
            "created": created, "first_run": created + n * 8_000, "enqueued": enqueued, "assigned": assigned, "resumed": resumed,
            "send_start": resumed + 5_000, "send_end": sent, **({"rx_kernel": first - LATE_NS} if arm.loop == "asyncio" else {}),
            "first_byte": first, "headers": first + 30_000, "last_byte": last, "body": body, "decoded": decoded, "released": body + 4_000,
            "done": done,
        }  # fmt: skip
        rows.append(
            Attempt(
                request=i,
                connection=connection,
                status=200,
                flags=() if fresh else ("reused",),
                assignments=rng.randrange(1, 6) if arm.client == "httpx" else 1,
                wire_bytes=rng.randrange(4000, 9000),
                lag_low_ns=None if arm.loop == "asyncio" else 12_000,
                lag_high_ns=None if arm.loop == "asyncio" else 310_000,
                hop=0,
                stamps=stamps,
                phases=chain(created, phases),
            )
        )
        heapq.heappush(free, (body + 4_000, number))
        if arm.client == "httpx":
            made[connection] = replace(made[connection], stamps=made[connection].stamps | {"closed": body + 90_000})
    return rows, list(made.values())


def seen_by_kernel(arm: Arm, first: int) -> list[tuple[str, int]]:
    """The wait for the first byte, split by the kernel's stamp where the loop allows one."""
    return [("wait", first - LATE_NS), ("kernel", first)] if arm.loop == "asyncio" else [("wait", first)]


def chain(start_ns: int, ends: list[tuple[str, int]]) -> tuple[Phase, ...]:
    """Phases that follow each other without a gap, from their ends."""
    bounds = [start_ns, *(end for _, end in ends)]
    return tuple(Phase(name=name, start_ns=a, end_ns=b) for (name, _), (a, b) in zip(ends, pairwise(bounds), strict=True))


def timeline(arm: Arm, n: int, repetition: int = 0, *, t0_ns: int = 10**9) -> Timeline:
    """One resolved trial."""
    rows, connections = attempts(arm, n, seed=n * 7 + repetition)
    end = max(row.stamps["done"] for row in rows)
    loop = iterations(end)
    return Timeline(
        trial=f"{arm.client}-{arm.loop}-n{n}-timeline-r{repetition}",
        arm=arm.name,
        n=n,
        repetition=repetition,
        t0_ns=t0_ns,
        total_ns=end,
        attempts=tuple(rows),
        connections=tuple(connections),
        iterations=loop,
        unattributed_share=0.004,
        unattributed_p95=0.013,
        pauses=tuple(
            Pause(start_ns=at, length_ns=(60_000, 180_000, 2_400_000)[k % 3], generation=k % 3)
            for k, at in enumerate(range(9_000_000, end, 31_000_000))
        ),
        jobs=Jobs(
            queued_ns=tuple(range(2_000_000, 14_000_000, 1_000_000)),
            started_ns=tuple(max(2_000_000 + k * 1_000_000, 2_000_000 + (k // 4) * 7_000_000) + 40_000 for k in range(12)),
            ended_ns=tuple(max(2_000_000 + k * 1_000_000, 2_000_000 + (k // 4) * 7_000_000) + 4_000_000 for k in range(12)),
            threads=tuple(min(4, k + 1) for k in range(12)),
        ),
        lag=Lag(
            running_ns=sum(loop.run_ns),
            blocked_ns=BLOCKED_NS,
            blocked=1,
            longest_ns=BLOCKED_NS,
            expected_wait_ns=sum(run * run for run in loop.run_ns) // (2 * end),
            kernel_ns=n * LATE_NS if arm.loop == "asyncio" else None,
        ),
        process=Process(cpu_ns=end * 7 // 10, run_queue_ns=1_300_000, waits=end // 2_000_000, preemptions=3, descriptors=107, threads=6),
        not_observed={} if arm.loop == "asyncio" else {"rx_kernel": "libuv reads the socket itself"},
    )


def iterations(end: int) -> Iterations:
    """A loop that polls little at first and more later, with one iteration of ``BLOCKED_NS`` in the middle."""
    starts, polls, runs, at = [], [], [], 0
    while at < end:
        poll, run = (120_000, 280_000) if at > end // 3 else (10_000, 390_000)
        if at > end // 2 and BLOCKED_NS not in runs:
            run = BLOCKED_NS
        starts.append(at)
        polls.append(poll)
        runs.append(run)
        at += poll + run
    ready = tuple(at // 400_000 % 9 for at in starts)
    return Iterations(start_ns=tuple(starts), poll_ns=tuple(polls), run_ns=tuple(runs), ready=ready)


def multiplexed(streams: int = 60, limit: int = 20) -> Timeline:
    """HTTP/2: all streams share two connections of `limit` streams each; those that open none wait on the opener, then for a stream."""
    arm, rng = ARMS[0], random.Random(3)
    connections, rows = [], []
    for number in (1, 2):
        at = number * 500_000
        set_up = {"dns_start": at, "dns_end": at + 900_000, "tcp_start": at + 900_000, "tcp_end": at + 1_400_000}
        set_up |= {"tls_start": at + 1_400_000, "tls_end": at + 9_000_000, "made": at + 9_100_000}
        connections.append(Connection(number=number, request=number, requests=streams // 2, stamps=set_up, rtt_us=61, retransmits=2))
    free = {number: [connections[number - 1].stamps["made"]] * limit for number in (1, 2)}
    for i in range(1, streams + 1):
        number = 1 + i % 2 if i > 2 else i
        link = connections[number - 1].stamps
        created, assigned = i * 20_000, max(link["dns_start"], i * 20_000 + 300_000)
        stream = max(link["made"] + i * 10_000, heapq.heappop(free[number]))
        sent, first = stream + 90_000, stream + int(rng.gauss(30e6, 6e6))
        last = first + rng.randrange(200_000, 3_000_000)
        heapq.heappush(free[number], last + 3_000)
        opens = link["dns_end"], link["tcp_end"], link["tls_end"]
        own = [*zip(("dns", "connect", "ssl"), opens, strict=True)] if i == number else [("shared", link["made"])]
        life = [("start", created + 100_000), ("prepare", created + 200_000), ("pool", assigned), *own, ("resume", link["made"] + 5_000)]
        life += [
            ("stream", stream),
            ("send", sent),
            ("wait", first - LATE_NS),
            ("kernel", first),
            ("receive", last),
            ("finish", last + 20_000),
        ]
        stamps = {"created": created, "first_run": created + 100_000, "enqueued": created + 200_000, "assigned": assigned}
        stamps |= {"resumed": link["made"] + 5_000, "stream": stream, "send_start": stream + 2_000, "send_end": sent}
        stamps |= {"rx_kernel": first - LATE_NS, "first_byte": first, "last_byte": last, "released": last + 3_000, "done": last + 20_000}
        flags = ("http2",) if i == number else ("shared_connect", "http2")
        rows.append(
            Attempt(request=i, connection=number, status=200, flags=flags, assignments=1, stamps=stamps, phases=chain(created, life))
        )
    end = max(row.stamps["done"] for row in rows)
    facts = replace(timeline(arm, 25), trial="http2", n=streams, total_ns=end, iterations=iterations(end), pauses=())
    return replace(facts, attempts=tuple(rows), connections=tuple(connections), jobs=None)


def shared() -> Document:
    """A run over HTTP/2."""
    base = small()
    return replace(base, timelines=(multiplexed(), *base.timelines[1:]))


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
        lag=LoopLag(
            n=max(NS),
            running_share=0.81,
            blocked_ms=24.0,
            blocked=1,
            longest_ms=24.0,
            expected_wait_ms=0.73,
            kernel_ms=0.34 if arm.loop == "asyncio" else None,
            first_byte_low_ms=0.012,
            first_byte_high_ms=0.31,
        ),
        unattributed_share=0.004,
        unattributed_p95=0.013,
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
            overhead=tuple(Overhead(tier="timeline", arm=arm.name, ratio=1.012, low=0.995, high=1.028, own_estimate=0.008) for arm in ARMS),
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
    arms = tuple(
        replace(a, law=EMPTY_LAW, slope_ms=None, points=a.points[:2], server_utilisation=None, lag=None, unattributed_share=None)
        for a in base.diagnosis.arms
    )
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
    moved = replace(first.attempts[5], number=1, hop=1, flags=("redirected", "reused"))
    blank = Attempt(request=99, stamps={"created": 5_000}, flags=("cancelled",))
    rows = (*first.attempts[:3], broken, retried, moved, *first.attempts[6:], blank)
    changed = replace(
        first,
        attempts=rows,
        iterations=None,
        pauses=(),
        jobs=None,
        lag=None,
        process=None,
        faults=("request 4: send_end before send_start",),
        not_observed={"rx_kernel": "no cmsg"},
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


def flamed() -> Document:
    """A run with profile and calls trials: every kind of flame graph, top rows, calls."""
    base = small()
    seen = tuple(flame_parts.profile(arm.name, n, scale=1.0 if arm.client == "httpx" else 0.4) for arm in ARMS[:3:2] for n in (25, 100))
    pool = flame_parts.profile("httpx/asyncio", 100, thread="asyncio_0", scale=0.01)
    flames = [
        *(flame_parts.slope(arm.name, scale=1.0 if arm.client == "httpx" else 0.4) for arm in ARMS[:3:2]),
        *map(flame_parts.of_trial, seen),
        *map(flame_parts.over_time, seen),
        flame_parts.difference("httpx/asyncio", "aiohttp/asyncio"),
    ]
    spec = TrialSpec(id="calls", arm=ARMS[0], n=100, tier="calls", repetition=0, seed=1)
    cost = Overhead(tier="profile", arm="httpx/asyncio", ratio=1.06, low=1.02, high=1.1)
    return replace(
        base,
        diagnosis=replace(base.diagnosis, overhead=(*base.diagnosis.overhead, cost)),
        recording=replace(base.recording, trials=(*base.recording.trials, TrialResult(spec=spec, status="ok", total_s=4.0))),
        profiles=(*seen, pool),
        flames=tuple(flames),
        top={arm.name: flame_parts.top(1.0 if arm.client == "httpx" else 0.4) for arm in ARMS[:3:2]},
        calls={"httpx/asyncio": flame_parts.counted(100)},
    )


def flames_large() -> Document:
    """One slope graph of 50 000 nodes."""
    return replace(small(), flames=(flame_parts.large(),))


def flames_hostile() -> Document:
    """Frames, files, classes and notes from outside that try to leave their place, and paths that tell of the machine."""
    base, evil = hostile(), "</script><svg/onload=alert(1)>;\n \x1b[31m & \"q\" 'r' <!-- {x} [/]"
    path = (
        Frame(function=evil, file="/home/somebody/secret project/" + evil),
        Frame(function="ok", file="/home/somebody/app/main.py", line=3),
    )
    arm = base.diagnosis.arms[0].arm
    graph = flame_parts.tree({path: 5.0, path[:1]: 2.0}, kind="slope", title=evil, arm=arm, notes=(evil,), samples=7)
    seen = Profile(
        trial=evil, arm=arm, n=3, repetition=0, thread=evil, frames=path, stacks=((0, 1), (0,), ()), at_ns=(0, 5, 9), stack=(0, 1, 2), weight_ns=(700, 400, 400)
    )  # fmt: skip
    row = TopRow(function=evil, file=evil, code=evil, self_us=5.0)
    odd = replace(graph, kind="time", code=(evil,) * 3, start_ns=(-50, 0, 10))
    return replace(base, flames=(graph, odd), profiles=(seen,), top={arm: (row,)}, calls={arm: flame_parts.counted(0)})


def unprofiled() -> Document:
    """Profile trials were asked for and saw nothing."""
    base = small()
    diagnosis = replace(base.diagnosis, not_observed=("profile: py-spy may not read other processes here (kernel.yama.ptrace_scope = 2)",))
    return replace(base, diagnosis=diagnosis)


def explained(timeline_ns: tuple[int, ...] = (25, 200)) -> Document:
    """The run with its answer: ledgers, causes that were verified, prescriptions."""
    base = full(timeline_ns)
    arms = []
    for arm in base.diagnosis.arms:
        if arm.client == "httpx":
            found: tuple[CauseFound, ...] = (answer_parts.scan(arm), answer_parts.reuse(arm))
            prescribed = answer_parts.prescription(arm)
        else:
            found, prescribed = (answer_parts.handshakes(arm), answer_parts.saturated(), *answer_parts.others()), None
        arms.append(replace(arm, ledger=answer_parts.entries(arm), causes=found, prescription=prescribed))
    answer = "httpx/asyncio grows as N² because httpcore scans its pool at each start and end of a request: 82 % of 24.5 ms a request, confirmed (24.5 → 4.51)."
    return replace(
        base,
        diagnosis=replace(base.diagnosis, arms=tuple(arms), answer=answer),
        ledgers=tuple(answer_parts.arm_ledger(arm, base.timelines) for arm in arms),
    )


def explained_large() -> Document:
    """The same with waterfalls of 800 rows."""
    return explained((25, 800))


def healthy() -> Document:
    """Nothing grows; one arm has no ledger, and says why."""
    base = small()
    slope = Estimate(value=0.004, low=-0.011, high=0.019, unit="ms/request")
    arms = tuple(replace(arm, slope_ms=slope, causes=(answer_parts.healthy(),)) for arm in base.diagnosis.arms)
    why = ArmLedger(arm=arms[0].arm, why="its timeline trials lack the column body_ns")
    return replace(base, diagnosis=replace(base.diagnosis, arms=arms, answer="Nothing grows with N."), ledgers=(why,))


def unproved() -> Document:
    """Every cause was refuted or not tried; one arm has none at all."""
    base = explained()
    arms = [replace(arm, causes=answer_parts.others()[:2], prescription=None) for arm in base.diagnosis.arms]
    arms[0] = replace(arms[0], causes=answer_parts.others()[:1])
    arms[1] = replace(arms[1], causes=())
    return replace(base, diagnosis=replace(base.diagnosis, arms=tuple(arms)))


def answers_hostile() -> Document:
    """Causes, accounts, changes and diffs from outside that try to leave their place, and figures that are none."""
    base, evil = hostile(), "</script><img src=x onerror=alert(1)>[bold red]x[/] \x1b[31m & \"q\" 'r' <!-- " + "wide" * 60
    arm, line = base.diagnosis.arms[0], base.timelines[0]
    odd = Estimate(value=-1e200, low=-1e300, high=1e300)
    cause = CauseFound(
        cause=evil, detail=evil, title=evil, share=0.5, low=None, high=1.0, why=evil, changes=(evil,), remedy=evil, verdict="REFUTED", predicted=odd,
        effect=Estimate(value=-3.0), base=odd, evidence=(Evidence(what=evil, value=-1e300, unit=evil),),
    )  # fmt: skip
    diff = f"--- {evil}\n+++ {evil}\n+{evil}\n-{evil}"
    shrinks = (
        LedgerEntry(account=evil, slope_ms=-2.0),
        LedgerEntry(account="loop/pool", slope_ms=26.5),
        LedgerEntry(account="server", slope_ms=0.0),
    )
    arms = (
        replace(
            arm,
            ledger=shrinks,
            causes=(cause, replace(cause, verdict="CONFIRMED", effect=None, share=None)),
            prescription=Prescription(changes=(evil,), slope_ms=odd, speedup=0.0, toml_diff=diff, points=(Point(n=50, total_s=(0.1,)),)),
        ),
        replace(
            base.diagnosis.arms[1],
            ledger=(LedgerEntry(account="server", slope_ms=-1.0),),
            causes=(replace(cause, predicted=None, effect=None),),
        ),
        *base.diagnosis.arms[2:],
    )
    steps = (Step(start_ns=0, end_ns=line.total_ns, account=evil, request=10**6, via=evil),)
    trial = TrialLedger(trial=line.trial, arm=evil, n=1, total_ns=line.total_ns, charges={evil: line.total_ns}, hops={evil: 1}, steps=steps)
    account = Account(account=evil, slope_ms=odd, points=((25, 3.0),))
    ledger = ArmLedger(arm=arm.arm, accounts=(account,), hops={evil: ((25, 1.5),)}, trials=(trial,), notes=(evil,))
    return replace(base, diagnosis=replace(base.diagnosis, arms=arms), ledgers=(ledger, ArmLedger(arm=evil, why=evil)))


def unpacked_numbers(text: str) -> list[int]:
    """The integers of a packed column, as the page's scripts read them."""
    found, value, weight = [], 0, 1
    for digit in map(DIGITS.index, text):
        value += (digit & 31) * weight
        weight *= 32
        if digit < 32:
            found.append(-(value >> 1) if value & 1 else value >> 1)
            value, weight = 0, 1
    return found


EDGES = {
    "explained": explained,
    "healthy": healthy,
    "unproved": unproved,
    "answers_hostile": answers_hostile,
    "small": small,
    "no_arms": no_arms,
    "not_enough": not_enough,
    "partial": partial,
    "no_timelines": no_timelines,
    "troubled": troubled,
    "hostile": hostile,
    "shared": shared,
    "flamed": flamed,
    "flames_hostile": flames_hostile,
    "unprofiled": unprofiled,
}
