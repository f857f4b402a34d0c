"""What causes look at, in figures: where requests wait, which code the loop's CPU goes to, how busy loop and server are, connections."""

from collections.abc import Callable, Mapping, Sequence
from math import log
from statistics import median

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.known_limits import LIBRARIES
from loopdiag.analysis.known_limits import known as limits_of
from loopdiag.analysis.occupancy import Occupancy
from loopdiag.causes.figures import Figure, figure
from loopdiag.model.timeline import Attempt, Timeline

ByN = Mapping[int, float]

#: values of N that a power is fitted to at least, where there are so many
LEAST_POINTS = 3
#: growth over N of the wait for the first byte, by which requests queue inside of the server
QUEUES = 1.4


def crowd(evidence: Evidence) -> Occupancy | None:
    """Who was where at the largest N that was observed."""
    return evidence.occupancy[max(evidence.occupancy)] if evidence.occupancy else None


def over_n(timelines: Sequence[Timeline], measure: Callable[[Timeline], float | None]) -> dict[int, float]:
    """A measure of timelines by N: the median over an N's trials; those where it was not observed are left out."""
    found: dict[int, list[float]] = {}
    for timeline in timelines:
        value = measure(timeline)
        if value is not None:
            found.setdefault(timeline.n, []).append(value)
    return {n: median(values) for n, values in sorted(found.items())}


def phase_ms(evidence: Evidence, *names: str) -> dict[int, float]:
    """Median over requests of the time in some phases, by N, in ms; 0 where most requests have no such phase."""

    def measure(timeline: Timeline) -> float | None:
        return _median(timeline, lambda attempt: sum(p.end_ns - p.start_ns for p in attempt.phases if p.name in names))

    return over_n(evidence.timelines, measure)


def service_ms(evidence: Evidence) -> dict[int, float]:
    """Median over requests, by N, of the time between the server's receipt and its answer, in ms; where it stamped none, of the first byte's wait."""

    def measure(timeline: Timeline) -> float | None:
        return _median(timeline, _service_ns)

    return over_n(evidence.timelines, measure) or phase_ms(evidence, "wait")


def _service_ns(attempt: Attempt) -> float | None:
    begun, ended = attempt.server_received_ns, attempt.server_answered_ns
    return None if begun is None or ended is None else ended - begun


def _median(timeline: Timeline, of: Callable[[Attempt], float | None]) -> float | None:
    found = [value for attempt in timeline.attempts if (value := of(attempt)) is not None]
    return median(found) / 1e6 if found else None


def growth(by_n: ByN) -> float | None:
    """The largest N's value over the smallest N's; None with fewer than two, or where that is 0."""
    ns = sorted(by_n)
    return by_n[ns[-1]] / by_n[ns[0]] if len(ns) > 1 and by_n[ns[0]] > 0 else None


def exponent(by_n: ByN) -> float | None:
    """Power of N with which a positive figure grows over the upper half of its N, three at least (least squares in log-log); None with fewer than two."""
    rows = [(log(n), log(value)) for n, value in sorted(by_n.items()) if value > 0]
    if len(rows) < 2:
        return None
    rows = rows[max(0, min((len(rows) - 1) // 2, len(rows) - LEAST_POINTS)) :]
    return line([x for x, _ in rows], [y for _, y in rows])


def line(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of a least-squares line; `x` holds two different values or more."""
    middle = sum(x) / len(x)
    squares = sum((each - middle) ** 2 for each in x)
    return sum((each - middle) * value for each, value in zip(x, y, strict=True)) / squares


def code_s(evidence: Evidence, *codes: str) -> dict[int, float]:
    """CPU of the loop's thread in some classes of code by N, in seconds."""
    ns = sorted({n for by_n in evidence.class_cpu.values() for n in by_n})
    return {n: sum(evidence.class_cpu.get(code, {}).get(n, 0.0) for code in codes) for n in ns}


def code_share(evidence: Evidence, *codes: str) -> float | None:
    """Share of the loop's CPU in some classes of code at the largest N that was profiled; loopdiag's own instruments do not count."""
    whole = code_s(evidence, *(code for code in evidence.class_cpu if code != "instruments"))
    if not whole or not whole[max(whole)]:
        return None
    return code_s(evidence, *codes)[max(whole)] / whole[max(whole)]


def busy(evidence: Evidence) -> float | None:
    """Share of the largest N's total in which the client computed, by its own CPU clock; time in which it waited for a core is taken off the total."""
    top = max(evidence.points, default=0)
    shares = [
        trial.cpu_s / max(trial.total_s - (trial.run_queue_s or 0.0), trial.cpu_s)
        for trial in evidence.bare
        if trial.spec.n == top and trial.cpu_s and trial.total_s
    ]
    return median(shares) if shares else None


def busy_figures(evidence: Evidence) -> list[Figure]:
    """The same as a figure, where it was observed."""
    computing = busy(evidence)
    return [] if computing is None else [figure("share of the time in which the client computes", computing, "1")]


def server_busy(evidence: Evidence) -> float | None:
    """Share of the total at the largest N in which the server computed, over the cores that it may use; None: not observed."""
    top = max(evidence.points, default=0)
    shares = [trial.server_utilisation for trial in evidence.bare if trial.spec.n == top and trial.server_utilisation is not None]
    return median(shares) if shares else None


def server_cpu_part(evidence: Evidence) -> float | None:
    """Growth of the server's CPU with N over the slope, if it all were waited for; None: not observed.  A server that is kept from its cores is busy for less."""
    rows = [(trial.spec.n, trial.server_cpu_s) for trial in evidence.bare if trial.server_cpu_s is not None]
    if len({n for n, _ in rows}) < 2 or evidence.slope.value <= 0:
        return None
    return 1e3 * line([n for n, _ in rows], [seconds for _, seconds in rows]) / evidence.slope.value


def pool_limit(evidence: Evidence) -> int | None:
    """The client's limit of connections; None: it has none, or nothing tells."""
    if evidence.machine is not None:
        return evidence.machine.limit
    pool, crowded = evidence.scenario.pool, crowd(evidence)
    known = [bound for bound in (pool.limit, pool.limit_per_host) if bound]
    if known:
        return min(known)
    if evidence.scenario.program is None and evidence.arm.client in LIBRARIES:
        return limits_of(evidence.scenario, evidence.arm).limit
    return crowded.in_flight if crowded is not None and crowded.queued > 0 else None


def workers(evidence: Evidence) -> int | None:
    """How many requests the program has under way at most before it asks the client; None: all."""
    if evidence.machine is not None:
        return evidence.machine.workers
    workload = evidence.scenario.workload
    return limits_of(evidence.scenario, evidence.arm).workers if workload.kind == "closed" else None


def opened_per_request(evidence: Evidence) -> float | None:
    """Connections that the server accepted for each request, at the largest N; by the client's own account where the server was not watched."""
    top = max(evidence.points, default=0)
    counts = [
        trial.connections_opened / trial.spec.n for trial in evidence.bare if trial.spec.n == top and trial.connections_opened is not None
    ]
    if counts:
        return median(counts)
    crowded = crowd(evidence)
    return crowded.opened / crowded.n if crowded is not None and crowded.opened else None
