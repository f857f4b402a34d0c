"""Programs with one fault each, made by hand at several N, as evidence for the causes: timelines, occupancy and a real ledger, without a fitted machine."""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from msgspec.structs import replace
from path_parts import life, ns
from program_parts import Program, batched, paced, semaphored, serial, threaded

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.ledger import arm_ledger
from loopdiag.analysis.occupancy import occupancy
from loopdiag.analysis.scaling import fit_law
from loopdiag.analysis.slope import slope
from loopdiag.model.program import Made, Place
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.scenario import Program as Command
from loopdiag.model.timeline import Connection, Lag, Process, Timeline

NS = (8, 16, 32, 64)
OWN = Arm(client="program", loop="own")
SCENARIO = Scenario(name="client", arms=(OWN,), program=Command(argv=("python", "client.py", "{n}")))
Build = Callable[[int], Timeline]


def evidence(build: Build, **parts: Any) -> Evidence:
    """What the timelines of N = 8 … 64 say, with totals of bare trials that scatter by a hundredth."""
    lines = [replace(build(n), n=n, trial=f"timeline-{n}") for n in NS]
    points = {line.n: [line.total_ns / 1e9 * (1 + 0.01 * step) for step in (-1, 0, 1)] for line in lines}
    over = slope(points)
    assert over is not None
    cpu: Mapping[str, Mapping[int, float]] = parts.get("class_cpu") or {"client-library": {line.n: 1e-4 * line.n for line in lines}}
    shares = {n: {code: seconds[n] / sum(each[n] for each in cpu.values()) for code, seconds in cpu.items()} for n in NS}
    named = {
        "arm": OWN, "scenario": SCENARIO, "points": points, "law": fit_law(points), "slope": over, "timelines": tuple(lines),
        "ledger": arm_ledger(OWN.name, lines, points, shares), "occupancy": {line.n: occupancy(line) for line in lines}, "class_cpu": cpu,
        "bare": tuple(_bare(n, total, sum(each[n] for each in cpu.values())) for n in NS for total in points[n]),
        "missing": {"machine": "made by hand"}, "seen": Arm(client="aiohttp", loop="asyncio"),
    }  # fmt: skip
    return Evidence(**{**named, **parts})


def _bare(n: int, total_s: float, cpu_s: float) -> TrialResult:
    spec = TrialSpec(id=f"{n}", arm=OWN, n=n, tier="bare", repetition=0, seed=1)
    return TrialResult(spec=spec, status="ok", total_s=total_s, cpu_s=min(cpu_s, total_s), succeeded=n)


def gathered(n: int, each_ms: float, wave: int = 1000, at: int = 20) -> Program:
    """N tasks of one gather, each with one request in line 15; requests of a wave are under way together."""
    waves = -(-n // wave)
    program = Program(total=each_ms * waves)
    main = program.task(0, each_ms * waves)
    for k in range(n):
        begin = each_ms * (k // wave)
        program.fetch(program.task(begin, begin + each_ms, main, at=at), (begin, begin + each_ms), at=15)
    program.wait(main, "gather", (0, each_ms * waves), waker=n + 1, at=21)
    program.asleep = [(each_ms * k, each_ms * (k + 1) - 0.1) for k in range(waves)]
    return program


def polled(n: int) -> Timeline:
    """N requests of 6 ms in turn, each looked for every 50 ms in line 20 until it is done; every second look finds it."""
    program = Program(total=100.0 * n)
    main = program.task(0, 100 * n)
    for k in range(n):
        begin = 100.0 * k
        program.fetch(program.task(begin, begin + 56, main, at=18), (begin + 50, begin + 56), at=12)
        for look in (0, 50):
            program.wait(main, "sleep", (begin + look, begin + look + 50), value=50_000, at=20)
    program.asleep = [(50.0 * k, 50.0 * k + 49.9) for k in range(2 * n)]
    return program.timeline()


def locked_beside(n: int) -> Timeline:
    """N requests of 10 ms at once; after its answer each task takes the lock of line 30 for 5 ms, in which it only waits."""
    program = Program(total=10.0 + 5 * n)
    main = program.task(0, 10 + 5 * n)
    makers = [program.task(0, 15 + 5 * k, main, at=20) for k in range(n)]
    for k, task in enumerate(makers):
        program.fetch(task, (0, 10), at=15)
        if k:
            program.wait(task, "lock", (10, 10 + 5 * k), waker=makers[k - 1], at=30)
        program.wait(task, "sleep", (10 + 5 * k, 15 + 5 * k), value=5000, at=31)
    program.asleep = [(0, 9.9)] + [(10.0 + 5 * k, 14.9 + 5 * k) for k in range(n)]
    return program.timeline()


def blocked(n: int) -> Timeline:
    """N requests at once; each answer is followed by 8 ms of time.sleep in line 13, on the loop's thread."""
    program = Program(total=10.0 + 8 * n)
    main = program.task(0, 10 + 8 * n)
    for k in range(n):
        program.fetch(program.task(0, 10 + 8 * (k + 1), main, at=20), (0, 10), at=15)
        program.stalls.append((10 + 8.0 * k, 8.0, 4, 0, 13, 230))
    program.asleep = [(0, 9.9)]
    line = _clocked(program, loop_ms=0.2 * n, waits=2 * n)
    return _with_text(line, 13, "time.sleep(0.008)")


def contended(n: int, *, awaited: bool = False) -> Timeline:
    """N requests at once; each callback waits 4 ms for the interpreter, which another thread holds throughout, for calls that each task waits for or by itself."""
    program = Program(total=10.0 + 4 * n)
    main = program.task(0, 10 + 4 * n)
    for k in range(n):
        end = 10.0 + 4 * (k + 1)
        task = program.task(0, end, main, at=20)
        program.fetch(task, (0, 10), at=15)
        if awaited:
            program.jobs.append((end - 4, end - 4, end, 1))
            program.wait(task, "executor", (end - 4, end), number=k + 1, at=16)
    program.asleep = [(0, 9.9)]
    return _clocked(program, loop_ms=0.2 * n, waits=2 * n, others_ms=10.0 + 3.8 * n)


def hopping(n: int) -> Timeline:
    """Each answer is cut into 20 fields, each of which goes through a thread for a few microseconds (line 16)."""
    program = Program(total=10.0 + 4 * n)
    main = program.task(0, 10 + 4 * n)
    for k in range(n):
        end = 10 + 4.0 * (k + 1)
        task = program.task(0, end, main, at=20)
        program.fetch(task, (0, 10), at=15)
        for hop in range(20):
            begin = end - 4 + 0.2 * hop
            program.jobs.append((begin, begin + 0.1, begin + 0.11, 6))
            program.wait(task, "executor", (begin, begin + 0.2), number=len(program.jobs), at=16)
    program.asleep = [(0, 9.9)]
    return _clocked(program, loop_ms=2.0 * n, waits=20 * n, others_ms=1.5 * n)


def leaking(n: int) -> Timeline:
    """Answers are kept unread, so that one more connection comes back every 200 ms only: eight requests at a time."""
    wave = 8
    waves = -(-n // wave)
    program = Program(total=200.0 * waves)
    main = program.task(0, 200 * waves)
    for k in range(n):
        turn = 200.0 * (k // wave)
        program.fetch(program.task(0, turn + 10, main, at=20), (turn, turn + 10), at=15)
        kept = program.attempts[-1]
        marks = {"enqueued": 0, "assigned": ns(turn), "send_start": ns(turn), "headers": ns(turn + 10), "released": ns(turn + 200)}
        first, *_ = kept.phases
        phases = (
            replace(first, name="pool", start_ns=0, end_ns=ns(turn)),
            replace(first, name="wait", start_ns=ns(turn), end_ns=ns(turn + 10)),
        )
        stamps = {"created": 0, "done": ns(turn + 10), **marks}
        program.attempts[-1] = replace(kept, status=200, stamps=stamps, phases=phases if turn else phases[1:])
    program.asleep = [(200.0 * k, 200.0 * k + 199.9) for k in range(waves)]
    return program.timeline()


def contexts(n: int) -> Timeline:
    """Each request makes a client, whose TLS context takes 20 ms (line 10)."""
    program = gathered(n, 20.0, wave=1)
    program.made = (Made(what="tls-context", place=10, count=n, cpu_ns=19_000_000 * n), Made(what="session", place=10, count=n))
    return program.timeline()


def redirected(n: int) -> Timeline:
    """A request of 10 ms is answered by a redirect, and followed by another of 10 ms; two at a time."""
    program = semaphored(n, 2)
    again = [replace(attempt, hop=0) for attempt in program.attempts]
    program.attempts = again + [replace(attempt, number=1, hop=1) for attempt in again]
    return program.timeline()


def refusing(n: int) -> Timeline:
    """From N = 32 on, half of the requests are refused, and made again by their tasks after a sleep of a second for each 32."""
    again = n // 2 if n >= 32 else 0
    waits = n // 32 if again else 0
    program = Program(total=20.0 + 1000.0 * waits)
    main = program.task(0, program.total)
    for k in range(n):
        late = k < again
        task = program.task(0, program.total if late else 10, main, at=20)
        program.fetch(task, (0, 10), at=15, status=429 if late else 200)
        if late:
            program.wait(task, "sleep", (10, 10 + 1000 * waits), value=1_000_000 * waits, at=18)
            program.fetch(task, (10 + 1000 * waits, program.total), at=15, status=200)
    program.wait(main, "gather", (0, program.total), waker=2, at=21)
    program.asleep = [(0, 9.9), (10.1, program.total - 10.1)] if again else [(0, 9.9)]
    return program.timeline()


def resolving(n: int) -> Timeline:
    """N requests at once, whose names take 20 ms each to look up; then each task waits for a call of 10 ms in an executor of one thread (line 18)."""
    program = Program(total=30.0 + 10 * n)
    main = program.task(0, program.total)
    for k in range(n):
        end = 40.0 + 10 * k
        task = program.task(0, end, main, at=20)
        program.fetch(task, (0, 30), at=15)
        whole = program.attempts[-1].phases[-1]
        phases = (replace(whole, name="dns", start_ns=0, end_ns=ns(20)), replace(whole, start_ns=ns(20)))
        program.attempts[-1] = replace(program.attempts[-1], phases=phases)
        program.jobs.append((30.0, end - 10, end, 1))
        program.wait(task, "executor", (30, end), number=k + 1, at=18)
    program.jobs += [(0.0, 0.1, 19.9, 5)] * n
    program.wait(main, "gather", (0, program.total), waker=n + 1, at=21)
    program.asleep = [(0.1, 29.9)] + [(30.1 + 10 * k, 39.9 + 10 * k) for k in range(n)]
    links = tuple(Connection(number=k, request=k, stamps={"dns_start": 0, "dns_end": ns(20)}) for k in range(1, n + 1))
    return program.timeline(connections=links)


def paced_and_polled(n: int) -> Timeline:
    """After a sleep of 100 ms in line 5, a request of 6 ms that is looked for every 50 ms in line 20, the second time with success; and so on."""
    program = Program(total=200.0 * n)
    main = program.task(0, program.total)
    for k in range(n):
        begin = 200.0 * k + 100
        program.wait(main, "sleep", (begin - 100, begin), value=100_000, at=5)
        program.fetch(program.task(begin, begin + 56, main, at=18), (begin + 50, begin + 56), at=12)
        for look in (0, 50):
            program.wait(main, "sleep", (begin + look, begin + look + 50), value=50_000, at=20)
    program.asleep = [(50.0 * k, 50.0 * k + 49.9) for k in range(4 * n)]
    return program.timeline()


def shaking(n: int) -> Timeline:
    """N connections at once to a server of one core, whose handshakes take 5 ms each; the first one that is done is answered after all of them, and last."""
    program = Program(total=20.0 + 5 * n)
    main = program.task(0, program.total)
    for k in range(n):
        end = program.total - 0.01 * k
        program.fetch(program.task(0, end, main, at=20), (0, end), at=15)
        bounds = (0.1, 5.0 * (k + 1), 5.0 * (k + 1) + 0.1, end)
        names = ("prepare", "ssl", "send", "wait")
        whole = program.attempts[-1].phases[0]
        phases = [replace(whole, name=name, start_ns=ns(a), end_ns=ns(b)) for name, a, b in zip(names, (0, *bounds), bounds, strict=False)]
        program.attempts[-1] = replace(program.attempts[-1], phases=tuple(phases))
    program.wait(main, "gather", (0, program.total), waker=2, at=21)
    program.asleep = [(0.2, program.total - 0.2)]
    links = tuple(Connection(number=k, request=k, stamps={}, tls_cpu_ns=ns(0.8)) for k in range(1, n + 1))
    return program.timeline(connections=links)


def connecting(took_ms: float, addresses: int, retransmits: int) -> Build:
    """Two requests at a time, each of which opens a connection that takes so long (line 15)."""

    def build(n: int) -> Timeline:
        program = semaphored(n, 2)
        links = tuple(
            Connection(
                number=k, request=k, stamps={"tcp_start": 0, "tcp_end": ns(took_ms)}, address_attempts=addresses, retransmits=retransmits
            )
            for k in range(1, n + 1)
        )
        waited = [
            replace(attempt, phases=tuple(replace(phase, name="connect") for phase in attempt.phases)) for attempt in program.attempts
        ]
        program.attempts = waited
        return program.timeline(connections=links)

    return build


def looking(n: int) -> Timeline:
    """One task takes N answers one by one, and waits in line 19 for all that are left each time; 40 µs for each task that it looks at."""
    program = Program(total=10.0 + 0.02 * n * n)
    main = program.task(0, program.total)
    for _ in range(n):
        program.fetch(program.task(0, 10, main, at=17), (0, 10), at=15)
    at = 0.0
    for left in range(n, 0, -1):
        after = max(10.0, at) + 0.04 * left * n / (n + 1)
        program.wait(main, "wait", (at, after), waker=2, number=n - left + 1, value=left, at=19)
        at = after
    program.asleep = [(0, 9.9)]
    return program.timeline()


def _clocked(program: Program, *, loop_ms: float, waits: int, others_ms: float = 0.0) -> Timeline:
    """With the clocks of the loop's thread, and of the process."""
    line = program.timeline()
    assert line.iterations is not None
    running = sum(line.iterations.run_ns)
    lag = Lag(running_ns=running, blocked_ns=0, blocked=0, longest_ns=8_000_000, expected_wait_ns=0)
    process = Process(cpu_ns=ns(loop_ms), run_queue_ns=0, waits=waits, first_ns=0, last_ns=line.total_ns)
    return replace(line, lag=lag, process=process, cpu_ns=ns(loop_ms + others_ms))


def _with_text(line: Timeline, number: int, text: str) -> Timeline:
    """With the text of one line of code."""
    assert line.activity is not None
    places = list(line.activity.places)
    places[number] = Place(file=places[number].file, line=number, text=text)
    return replace(line, activity=replace(line.activity, places=tuple(places)))


def _cpu(per_request_ms: float, code: str = "task-and-callback") -> dict[str, dict[int, float]]:
    return {code: {n: per_request_ms * 1e-3 * n for n in NS}}


def _looked_at() -> dict[str, dict[int, float]]:
    return {"task-and-callback": {n: 1e-4 * n + 2e-5 * n * n for n in NS}}


def starved(n: int, computing_ms: float = 0.0) -> Timeline:
    """N tasks, sixteen of which find a descriptor at a time; the others fail at once, and try again after a sleep of 30 ms; at the end the loop computes."""
    waves = -(-n // 16)
    served = 30.0 * (waves - 1) + 10
    program = Program(total=served + computing_ms * n)
    main = program.task(0, program.total)
    for k in range(n):
        wave = k // 16
        task = program.task(0, 30 * wave + 10, main, at=20)
        for tried in range(wave):
            _fail(program, task, 30.0 * tried, at=15)
            program.wait(task, "sleep", (30 * tried, 30 * (tried + 1)), value=30_000, at=17)
        program.fetch(task, (30 * wave, 30 * wave + 10), at=15)
    program.wait(main, "gather", (0, program.total), waker=n + 1, at=21)
    program.asleep = [(0, 9.9)] + [
        gap for wave in range(1, waves) for gap in ((30 * wave - 20, 30 * wave - 0.1), (30 * wave, 30 * wave + 9.9))
    ]
    return program.timeline()


def _fail(program: Program, task: int, at_ms: float, *, at: int) -> None:
    """A request that ends in an error before anything of it is sent."""
    number = len(program.requests) + 1
    program.requests.append((at_ms, number, task, 0, 0, at))
    program.attempts.append(life(number, at_ms, [("prepare", at_ms), ("pool", at_ms)], {"enqueued": at_ms}, flags=("error",)))


def exhausted(computing_ms: float = 0.0) -> Evidence:
    """Connections that find no descriptor, in trials that ended well."""
    return evidence(lambda n: starved(n, computing_ms), counters={"exhausted.descriptors": 96})


#: cause → (evidence, the line of client.py that it is at; None: it names none)
PROGRAMS: dict[str, tuple[Callable[[], Evidence], int | None]] = {
    "client_semaphore": (lambda: evidence(lambda n: semaphored(n, 3).timeline()), 14),
    "lock_serialization": (lambda: evidence(lambda n: semaphored(n, 1, "lock").timeline()), 14),
    "serialized_awaits": (lambda: evidence(lambda n: serial(n).timeline()), 9),
    "batch_barrier": (lambda: evidence(lambda n: batched(n, 2).timeline()), 30),
    "client_pacing": (lambda: evidence(lambda n: paced(n).timeline()), 5),
    "executor_saturated": (lambda: evidence(lambda n: threaded(n, 4).timeline()), 8),
    "polling_interval": (lambda: evidence(polled), 20),
    "blocking_call": (lambda: evidence(blocked), 13),
    "gil_contention": (lambda: evidence(contended, class_cpu=_cpu(0.2)), None),
    "thread_hop_overhead": (lambda: evidence(hopping, class_cpu=_cpu(2.6)), 16),
    "connection_leak": (lambda: evidence(leaking), 15),
    "ssl_context_per_request": (lambda: evidence(contexts), 10),
    "quadratic_scan": (lambda: evidence(looking, class_cpu=_looked_at()), 19),
    "redirects": (lambda: evidence(redirected), 15),
    "rate_limited": (lambda: evidence(refusing), None),
    "tls_handshake_cpu": (lambda: evidence(shaking), None),
    "ipv6_fallback": (lambda: evidence(connecting(250.0, 2, 0)), 15),
    "listen_backlog_overflow": (lambda: evidence(connecting(1020.0, 1, 5)), 15),
    "port_or_fd_exhaustion": (exhausted, 15),
}


def middle_ms(found: Evidence) -> float:
    """Median total at the largest N, in ms."""
    return 1e3 * median(found.points[max(found.points)])
