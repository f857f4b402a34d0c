"""What causes share that live in a user's own program: which of its primitives holds requests back, its lines, and shares by how a time grows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from loopdiag.analysis import program_views as views
from loopdiag.analysis.distributions import student_quantile
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.loop_time import LoopTime
from loopdiag.analysis.occupancy import union
from loopdiag.causes.claims import Effect, of_share, with_doubt
from loopdiag.model.law import Estimate, NotEnough
from loopdiag.model.program import WAITS, Place
from loopdiag.model.timeline import Attempt, Timeline

Kind = Literal["serial", "lock", "semaphore", "workers", "executor", "barrier"]

#: of the requests, that a primitive must hold back to be what bounds the program
LEAST_SHARE = 0.5
#: of them, that one task (or thread) makes one after the other where nothing overlaps
SERIAL_SHARE = 0.8
#: requests that each of several workers makes at least
LEAST_EACH = 3
#: batches that follow one another
LEAST_BATCHES = 3
#: a bound counts where so much of it was under way at a time
FILLED = 0.75
#: waits for a lock, of the requests
LEAST_WAITS = 0.3


@dataclass(frozen=True)
class Bound:
    """What of the program's own lets only `at_once` requests be under way, and the line at which they wait for it."""

    kind: Kind
    at_once: int
    place: Place | None


def observed(evidence: Evidence) -> Timeline | None:
    """The timeline of the largest N that shows what the program did beside its requests; None: this is no program, or nothing was seen."""
    return next((timeline for timeline in reversed(evidence.timelines) if timeline.activity is not None), None)


def programmed(evidence: Evidence) -> bool:
    """Whether the arm is a user's own program."""
    return evidence.scenario.program is not None


def bound(evidence: Evidence) -> Bound | None:
    """The tightest of what bounds the program at the largest N; None: nothing of its own does, or this is no program."""
    timeline = observed(evidence)
    if timeline is None:
        return None
    found = [each for each in (*_primitives(timeline), _executor(timeline), _batches(timeline), _chain(timeline)) if each is not None]
    return min(found, key=lambda each: each.at_once, default=None)


def _primitives(timeline: Timeline) -> list[Bound]:
    found = []
    for each in views.behind(timeline):
        one = each.kind == "lock" or (each.kind in {"semaphore", "limiter"} and each.value == 1)
        if each.share < LEAST_SHARE or each.in_flight < 1 or (each.kind not in {"lock", "semaphore", "limiter", "queue-get"}):
            continue
        if one and each.in_flight == 1:
            found.append(Bound("lock", 1, each.place))
        elif not one and each.value > 1 and each.in_flight >= FILLED * each.value and each.value < timeline.n:
            queue = each.kind == "queue-get"
            found.append(Bound("workers" if queue else "semaphore", each.value, (_begun(timeline) if queue else None) or each.place))
    return found


def _executor(timeline: Timeline) -> Bound | None:
    for each in views.executors(timeline):
        if each.with_requests >= LEAST_SHARE and each.per_request >= LEAST_SHARE:
            full = 0 < each.threads < timeline.n and each.busy >= FILLED * each.threads
            return Bound("executor", each.busy, each.place) if full else None
    return None


def _batches(timeline: Timeline) -> Bound | None:
    found = views.batches(timeline)
    if found is None or len(found.sizes) < LEAST_BATCHES or found.share < LEAST_SHARE or median(found.sizes) < 2:
        return None
    return Bound("barrier", max(found.sizes), found.place)


def _chain(timeline: Timeline) -> Bound | None:
    """One after the other, or a few rows of such beside each other."""
    chain, (makers, each) = views.longest_chain(timeline), views.workers(timeline)
    if chain is None:
        return None
    if chain.at_once == 1 and chain.share >= SERIAL_SHARE:
        return Bound("serial", 1, _awaited(timeline) or chain.place)
    together = makers > 1 and each >= LEAST_EACH and FILLED * makers <= chain.at_once <= makers
    if together and chain.thread:  # an executor that shows no queue, such as AnyIO's
        return Bound("executor", makers, next((calls.place for calls in views.executors(timeline) if calls.place), None) or chain.place)
    if together:
        return Bound("workers", makers, _begun(timeline) or chain.place)
    return None


def _awaited(timeline: Timeline) -> Place | None:
    """The line that waits for the task of each request, where each has one of its own."""
    count, place = waiting(timeline, "task")
    return place if count >= LEAST_SHARE * timeline.n else None


def _begun(timeline: Timeline) -> Place | None:
    """The line that made most of the tasks which make requests."""
    activity = timeline.activity
    if activity is None:
        return None
    tasks = {task for task in activity.requests.task if 0 < task <= len(activity.tasks.place)}
    return views.commonest(timeline, (activity.tasks.place[task - 1] for task in tasks))


def idle_ms(timeline: Timeline, kind: str) -> float | None:
    """How long the loop sat idle while some task waited on a primitive of this kind, in ms; None: loop or tasks were not observed."""
    activity, loop = timeline.activity, LoopTime.of(timeline)
    if activity is None or not loop.seen:
        return None
    waits, wanted = activity.waits, WAITS.index(kind)
    spans = [
        (start, woken if woken >= 0 else end if end >= 0 else timeline.total_ns)
        for start, woken, end, of_kind in zip(waits.start_ns, waits.woken_ns, waits.end_ns, waits.kind, strict=True)
        if of_kind == wanted
    ]
    return sum(loop.slept_in(*span) for span in union(spans)) / 1e6


def idle_in_requests_ms(timeline: Timeline) -> float | None:
    """How long the loop sat idle while a request was under way, in ms; None: the loop was not observed."""
    loop = LoopTime.of(timeline)
    spans = [(attempt.phases[0].start_ns, attempt.phases[-1].end_ns) for attempt in timeline.attempts if attempt.phases]
    return sum(loop.slept_in(*span) for span in union(spans)) / 1e6 if loop.seen else None


def waiting(timeline: Timeline, *kinds: str) -> tuple[int, Place | None]:
    """How many waits there were on primitives of these kinds, and the line at which most of the waiting was done."""
    activity = timeline.activity
    if activity is None:
        return 0, None
    waits, wanted = activity.waits, {WAITS.index(kind) for kind in kinds}
    spent: dict[int, int] = {}
    count = 0
    for start, end, kind, at in zip(waits.start_ns, waits.end_ns, waits.kind, waits.place, strict=True):
        if kind in wanted:
            count += 1
            spent[at] = spent.get(at, 0) + max(0, (end if end >= 0 else timeline.total_ns) - start)
    known = [at for at in spent if at]
    return count, views.place(timeline, max(known, key=spent.__getitem__)) if known else None


def put_off_ms(timeline: Timeline, failed: Callable[[Attempt], bool]) -> float | None:
    """How long the loop sat idle while a request that had failed waited to be made again, by the client or by the task that made it, in ms.

    None: the loop, or what made the requests, was not observed.
    """
    loop = LoopTime.of(timeline)
    activity = timeline.activity
    if activity is None or not loop.seen:
        return None
    tasks = {request: task for request, task in zip(activity.requests.request, activity.requests.task, strict=True) if task}
    last: dict[int, Attempt] = {}
    spans = []
    for attempt in sorted((each for each in timeline.attempts if each.phases), key=lambda each: each.phases[0].end_ns):
        maker = tasks.get(attempt.request, -attempt.request)
        before = last.get(maker)
        if before is not None and failed(before):
            spans.append((before.phases[-1].end_ns, _sent(attempt)))
        last[maker] = attempt
    return sum(loop.slept_in(*span) for span in union(spans)) / 1e6


def _sent(attempt: Attempt) -> int:
    """When the attempt was on its way; what its task waited for before is none of its own."""
    return attempt.stamps.get("enqueued", attempt.stamps.get("send_start", attempt.phases[0].end_ns))


def of_growth(evidence: Evidence, measure: Callable[[Timeline], float | None], doubt: float) -> Effect | NotEnough:
    """The share of the slope by which a time that holds everybody up grows, in the timeline trials.

    Args:
        evidence: of the arm.
        measure: of one timeline, in ms.
        doubt: relative, of the share; the least that its interval is to either side, since what would take the time's place is not in the trials' scatter.
    """
    found = [(line.n, value, line.total_ns / 1e6) for line in evidence.timelines if (value := measure(line)) is not None]
    if len({n for n, _, _ in found}) < 2:
        return NotEnough(why="timelines of one N do not tell how that grows")
    share = _growing_with(found)
    if share is None or evidence.slope.value <= 0:
        return NotEnough(why="the total does not grow")
    return with_doubt(evidence, share, doubt)


def _growing_with(trials: Sequence[tuple[int, float, float]]) -> Estimate | None:
    """How much of what one more request adds to the total is the part's, by trials as (N, part, total); None: it adds nothing.

    The interval is that of a line through parts and totals of the same trials, with N as the instrument: a trial that takes longer, and its part with it, does not
    blur the share.  Two trials have no interval.
    """
    count = len(trials)
    ns, parts, totals = ([each - sum(column) / count for each in column] for column in zip(*trials, strict=True))
    part, total = (sum(n * each for n, each in zip(ns, column, strict=True)) for column in (parts, totals))
    if total <= 0:
        return None
    share = min(1.0, part / total)
    if count < 3:
        return Estimate(value=share, why="two timelines do not tell how far trials scatter")
    missed = sum((part_of - part / total * whole) ** 2 for part_of, whole in zip(parts, totals, strict=True)) / (count - 2)
    half = student_quantile(count - 2) * (missed * sum(n * n for n in ns)) ** 0.5 / total
    return Estimate(value=share, low=share - half, high=share + half)


def within(evidence: Evidence, part: float, doubt: float) -> Effect:
    """The effect of removing a known part of the slope, with a relative doubt."""
    part = min(1.0, part)
    return of_share(evidence, part, doubt * part)
