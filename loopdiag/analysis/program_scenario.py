"""What a program was seen to be, as a scenario: its client and loop, how many requests it lets be under way, its pool.

A program says of itself only its command line; with this the replay, the calibration and the causes that were made for scenarios read it as one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from msgspec.structs import replace

from loopdiag.analysis import program_views as views
from loopdiag.analysis.program_polls import polls
from loopdiag.analysis.program_waiting import index_of
from loopdiag.model.program import LIBRARIES
from loopdiag.model.recording import Recording, TrialResult
from loopdiag.model.scenario import Arm, Pool, Scenario, Target, Workload
from loopdiag.model.timeline import Timeline

#: library that requests entered by → the client whose pool serves them
CLIENT_OF = {"httpcore": "httpx", "httpcore2": "httpx2"}
#: a primitive bounds the program if so many of its requests pass it,
SHARE = 0.8
#: and so much of the bound was used
FILLED = 0.75
#: a schedule: so much of the time between two starts is slept, and half of the gaps lie so close to the median
SLEPT, EVEN = 0.5, 0.25
#: so many requests show a schedule, a row or a bound
FEWEST = 5
COUNTER = "program."  # of what the instruments noted of the program: "program.pool_limit.aiohttp", "program.loop.uvloop"


@dataclass(frozen=True)
class Inferred:
    """What the program was seen to be.

    Attributes:
        scenario: the program's, with workload, pool and target as seen.
        seen: the client library and the loop.
        notes: one line for each thing that was inferred.
    """

    scenario: Scenario
    seen: Arm
    notes: tuple[str, ...] = ()


def inferred(recording: Recording, arm: Arm, timelines: Sequence[Timeline], trials: Sequence[TrialResult]) -> Inferred:
    """The program of the recording as a scenario.

    Args:
        recording: of a program.
        arm: its only arm, which the scenario keeps.
        timelines: resolved, of it.
        trials: all that are usable, of any tier: they say what the instruments counted.
    """
    counters: Counter[str] = Counter()
    for trial in trials:
        counters |= Counter(trial.counters)
    seen = Arm(client=_client(timelines, trials), loop=_loop(counters, trials))
    top = max(timelines, key=lambda line: line.n, default=None)
    workload, why = (Workload(), "") if top is None else _workload(top, timelines)
    scenario = replace(
        recording.scenario,
        arms=(arm,),
        workload=workload,
        pool=_pool(recording.scenario.pool, counters, seen.client, top),
        target=_target(recording.scenario.target, timelines),
    )
    return Inferred(scenario, seen, (f"seen: {seen.name}", *([why] if why else [])))


def _client(timelines: Sequence[Timeline], trials: Sequence[TrialResult]) -> str:
    """The library that most requests entered by; where no row tells, the only known one that was imported."""
    counts = Counter(LIBRARIES[library] for line in timelines if line.activity for library in line.activity.requests.library if library)
    if counts:
        most = counts.most_common(1)[0][0]
        return CLIENT_OF.get(most, most)
    imported = {name for trial in trials for name in trial.versions} & {"aiohttp", "httpx", "httpx2"}
    return imported.pop() if len(imported) == 1 else "program"


def _loop(counters: Counter[str], trials: Sequence[TrialResult]) -> str:
    if any(name == f"{COUNTER}loop.uvloop" for name in counters):
        return "uvloop"
    told = any(name.startswith(f"{COUNTER}loop.") for name in counters)
    return "uvloop" if not told and any("uvloop" in trial.versions for trial in trials) else "asyncio"


def _pool(pool: Pool, counters: Counter[str], client: str, top: Timeline | None) -> Pool:
    """Its limits as its maker set them, where the instruments saw that; a pool for each request has none that could be felt."""
    told = {name: counters.get(f"{COUNTER}{name}.{client}") for name in ("pool_limit", "pool_limit_per_host", "keepalive")}
    limit, per_host, keepalive = (None if value is None else value - 1 for value in told.values())  # noted as one more, so that 0 is seen
    if top is not None and sum(each.count for each in views.made(top, "session")) > views.requests_of(top) / 2 > 1:
        limit, per_host = 0, 0
    return replace(
        pool,
        limit=pool.limit if limit is None else limit,
        limit_per_host=pool.limit_per_host if per_host is None else per_host,
        keepalive=pool.keepalive if keepalive is None else keepalive,
    )


def _target(target: Target, timelines: Sequence[Timeline]) -> Target:
    """HTTP/2 where streams were seen, TLS where a connection shook hands; of which kind does not matter."""
    many = any("stream" in attempt.stamps or "http2" in attempt.flags for line in timelines for attempt in line.attempts)
    tls = any(link.tls_cpu_ns or "tls_start" in link.stamps for line in timelines for link in line.connections)
    return replace(target, http="2" if many else "1.1", tls=target.tls if target.tls != "off" or not tls else "ecdsa-p256")


def _workload(top: Timeline, timelines: Sequence[Timeline]) -> tuple[Workload, str]:
    """How the program makes its requests at its largest N, and a line that says so."""
    if interval_s := _schedule(top):
        return Workload(kind="open", rate_per_s=1 / interval_s), f"seen: a request every {interval_s * 1e3:.3g} ms, by its own sleeps"
    bound, what = _bound(top, timelines)
    return Workload(concurrency=bound), f"seen: {bound} under way at most, by {what}" if bound else ""


def _schedule(line: Timeline) -> float | None:
    """Seconds between two starts, where one line sleeps between nearly all of them and is what spaces them."""
    starts = sorted(start for start, _ in index_of(line).calls.values())
    if len(starts) < FEWEST:
        return None
    gaps = [b - a for a, b in pairwise(starts)]
    middle = median(gaps)
    even = sum(abs(gap - middle) <= EVEN * middle for gap in gaps) >= len(gaps) / 2
    polled = {each.place for each in polls(line)}  # what waits for something to be done does not follow a clock
    for each in views.sleeps(line):
        if (
            each.place not in polled
            and each.count >= SHARE * len(gaps)
            and each.at_once == 1
            and even
            and each.median_ns >= SLEPT * middle > 0
        ):
            return middle / 1e9
    return None


def _bound(top: Timeline, timelines: Sequence[Timeline]) -> tuple[int | None, str]:
    """How many requests the program lets be under way: the tightest of what bounds it; None: nothing does."""
    requests = views.requests_of(top)
    found: list[tuple[int, str]] = []
    chain = views.longest_chain(top)
    if requests < FEWEST or chain is None:
        return None, ""
    if chain.at_once == 1:
        return 1, "awaits one after the other"
    for each in views.behind(top):
        value = each.in_flight if each.kind == "queue-get" else each.value
        fits = 0 < value < requests and FILLED * value <= each.in_flight <= value
        if each.kind in {"semaphore", "limiter", "lock", "queue-get"} and each.share >= SHARE and fits:
            found.append((value, f"a {each.kind}" + (f" in {each.place.name}" if each.place else "")))
    found += [
        (call.busy, "the threads of an executor")
        for call in views.executors(top)
        if call.with_requests >= SHARE and call.per_request >= SHARE and call.busy < requests and call.queued_ns
    ]
    makers, each_made = views.workers(top)
    if each_made >= 2 and _constant(makers, timelines):
        found.append((max(1, min(makers, chain.at_once)), f"{makers} workers"))
    if batch := views.batches(top):
        found.append((max(batch.sizes), "batches"))
    return min(found, default=(None, ""))


def _constant(makers: int, timelines: Sequence[Timeline]) -> bool:
    """Whether the number of tasks that make requests is the same at another N, or is that at which the largest N stops growing."""
    others = sorted({line.n: line for line in timelines}.items())[-2:-1]
    return all(views.workers(line)[0] >= min(makers, views.requests_of(line)) for _, line in others)


def connections_of(line: Timeline) -> int | None:
    """Connections that a program's own process was seen to make; None: not observed."""
    return None if "connections" in line.not_observed else len(line.connections) + line.left_out.get("connections", 0)


def with_connections(trials: Sequence[TrialResult], timelines: Sequence[Timeline]) -> list[TrialResult]:
    """Bare trials, which count no connections where no server of ours does, with as many as a timeline trial of their N opened."""
    opened: dict[int, list[int]] = {}
    for line in timelines:
        if (count := connections_of(line)) is not None:
            opened.setdefault(line.n, []).append(count)
    return [
        replace(trial, connections_opened=round(median(opened[trial.spec.n])))
        if trial.connections_opened is None and trial.spec.n in opened
        else trial
        for trial in trials
    ]
