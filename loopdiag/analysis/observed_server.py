"""What timelines show of the server and the link: think times, how many it serves at a time, what it refuses, how fast answers arrive."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from loopdiag.analysis.cells import Floats
from loopdiag.analysis.columns import Ints
from loopdiag.analysis.observed_waits import idle_waits, of_attempts
from loopdiag.model.timeline import Attempt, Timeline

REFUSED = 400
#: requests that found the server emptiest, of each trial
FIRST = 8
#: an answer takes so many times longer where requests queue inside the server, and so many seconds at least
QUEUES, LEAST_QUEUE_S = 1.4, 1e-3
#: correlation of answer time and requests already there, above which they queue
TELLS = 0.5
#: share of the server's core that its CPU per request takes at its flat rate, above which it is the core that limits
BUSY = 0.5
#: more places than this are no limit that anybody sets
MOST_PLACES = 400
#: so many think times are kept
SAMPLES = 200
#: a first byte that may have waited for the loop longer than this, or than this share of its answer time, does not tell the answer time
VAGUE_NS, VAGUE_SHARE = 1_000_000, 0.1
#: answers whose time is told, of each trial, at least
TOLD = 5
#: receiving takes so long, and so many times as long as with few requests, where answers share a narrow link
LEAST_RECEIVE_S, SHARED = 5e-3, 1.5


@dataclass(frozen=True)
class Visit:
    """The answered requests of one trial at the server, in seconds since the trial began, in order of arrival; shapes (requests,).

    Attributes:
        n: requests of the trial.
        arrived: when.
        took: from arrival to answer.
        there: how many others were there on arrival.
        answered: when, ascending.
    """

    n: int
    arrived: Floats
    took: Floats
    there: Floats
    answered: Floats

    @property
    def early(self) -> Ints:
        """Which requests found the server emptiest."""
        return np.asarray(np.argsort(self.there, kind="stable")[:FIRST])

    @property
    def rate(self) -> float:
        """Answers a second, from the first to nine tenths."""
        last = max(1, round(0.9 * (len(self.answered) - 1)))
        return float(last / max(self.answered[last] - self.answered[0], 1e-9))


@dataclass(frozen=True)
class Service:
    """How the server answers: think times in seconds, ascending, and how many requests it serves at a time (None: no limit shows)."""

    think: tuple[float, ...] = (0.0,)
    limit: int | None = None


def visits(timelines: Iterable[Timeline]) -> list[Visit]:
    """The requests of each trial at the server: by the server's own stamps, or else from the sending to the first byte, as its kernel says, less the loop's lag."""
    return [found for line in timelines if (found := _visit(line)) is not None]


def _visit(line: Timeline) -> Visit | None:
    answers = [attempt for attempt in line.attempts if attempt.status is None or attempt.status < REFUSED]
    ends = [times for attempt in answers if (times := _stamped(attempt)) is not None]
    for told in (_received, _seen):
        if len(ends) < TOLD:
            ends = [times for attempt in answers if (times := told(attempt)) is not None]
    if len(ends) < TOLD:
        return None
    received, answered = np.array(sorted(ends), dtype=float).T / 1e9
    left = np.sort(answered)
    there = np.arange(len(received)) - np.searchsorted(left, received, side="right")
    return Visit(n=line.n, arrived=received, took=answered - received, there=np.maximum(there, 0).astype(float), answered=left)


def _stamped(attempt: Attempt) -> tuple[int, int] | None:
    """When the server had the request, and when its answer left, by its own stamps."""
    received, answered = attempt.server_received_ns, attempt.server_answered_ns
    return None if received is None or answered is None else (received, max(received, answered))


def _received(attempt: Attempt) -> tuple[int, int] | None:
    """The same from the client's side, where its kernel says when the answer came."""
    sent, came = attempt.stamps.get("send_end", attempt.stamps.get("send_start")), attempt.stamps.get("rx_kernel")
    return None if sent is None or came is None else (min(sent, came), came)


def _seen(attempt: Attempt) -> tuple[int, int] | None:
    """The same from the client's side; None where the loop may have been late to read the answer."""
    sent = attempt.stamps.get("send_end", attempt.stamps.get("send_start"))
    read = attempt.stamps.get("first_byte")
    if sent is None or read is None or read < sent:
        return None
    late = attempt.lag_high_ns or 0
    return (sent, max(sent, read - late // 2)) if late < max(VAGUE_NS, VAGUE_SHARE * (read - sent)) else None


def service(found: Sequence[Visit], cpu_s: float, *, shared: bool = False) -> Service:
    """Think times and the server's limit.

    Requests that queue inside the server wait the longer the more are there before them, while answers leave at a flat rate.  Where the server computes all the
    time, that rate is its core's, and the think time is that of those who came first; else it serves so many at a time.

    Args:
        found: of all trials; empty: nothing is known, and no time passes.
        cpu_s: of the server per request.
        shared: answers wait for the link, so that what looks like a queue in the server is the link's.
    """
    if not found:
        return Service()
    base = min(float(np.median(visit.took[visit.early])) for visit in found)
    if shared:
        return Service(think=(max(0.0, round(min(float(np.percentile(visit.took, 5)) for visit in found) - cpu_s, 7)),))
    queued = [visit for visit in found if _queues(visit, base)]
    if not queued:
        calm = min(found, key=lambda visit: float(np.median(visit.took)))
        return Service(think=_quantiles(calm.took - cpu_s))
    early = np.concatenate([visit.took[visit.early] - cpu_s * (visit.there[visit.early] + 1) for visit in found])
    rate = float(np.median([visit.rate for visit in queued]))
    if rate * cpu_s > BUSY:
        return Service(think=_quantiles(early))
    limit = _places(queued)
    return Service(think=_quantiles(np.concatenate([_in_service(visit, limit) for visit in found]) - cpu_s), limit=limit)


def _places(queued: Sequence[Visit]) -> int:
    """How many requests the server serves at a time: so many that the time in service is most nearly the same for all."""
    most = min(MOST_PLACES, int(max(visit.there.max() for visit in queued)))
    spread = []
    for places in range(1, most + 1):
        inside = np.concatenate([_in_service(visit, places) for visit in queued])
        spread.append(float(inside.std()))
    return 1 + int(np.argmin(spread))


def _in_service(visit: Visit, places: int) -> Floats:
    """How long each request was in service, were they served in order of arrival, so many at a time, shape (requests,)."""
    begun = visit.arrived.copy()
    begun[places:] = np.maximum(begun[places:], visit.answered[: max(0, len(begun) - places)])
    return visit.arrived + visit.took - begun


def _queues(visit: Visit, base: float) -> bool:
    if visit.n < 2 * FIRST or visit.there.std() == 0 or visit.took.std() == 0:
        return False
    related = float(np.corrcoef(visit.took, visit.there)[0, 1])
    return float(np.percentile(visit.took, 75)) > QUEUES * base + LEAST_QUEUE_S and related > TELLS


def _quantiles(samples: Floats) -> tuple[float, ...]:
    """At most `SAMPLES` evenly spread quantiles, ascending, none below 0."""
    ordered = np.sort(np.maximum(samples, 0.0))
    if ordered.size > SAMPLES:
        ordered = np.quantile(ordered, np.linspace(0, 1, SAMPLES))
    return tuple(round(float(value), 7) for value in ordered)


def refusals(timelines: Sequence[Timeline]) -> tuple[float, float] | None:
    """Requests a second that the server admits, and seconds after which a refused one comes again; None where none is refused and repeated."""
    pauses, rates = [], []
    for line in timelines:
        by_request: dict[int, list[Attempt]] = defaultdict(list)
        for attempt in line.attempts:
            by_request[attempt.request].append(attempt)
        found = [pair for attempts in by_request.values() for pair in _repeats(attempts)]
        if found:
            pauses += found
            rates.append(_admitted_per_s(line, float(np.median(found))))
    return (float(np.median(rates)), float(np.median(pauses))) if pauses else None


def _admitted_per_s(line: Timeline, pause_s: float) -> float:
    """Requests a second that were admitted: a second's worth of them at once, and then at that rate until the refused ones come again."""
    at = np.sort([_first(attempt) for attempt in line.attempts if attempt.status is not None and attempt.status < REFUSED]) / 1e9
    if not at.size:
        return 1.0
    burst = at[at < at[0] + pause_s / 2]
    used = burst if burst.size > 1 else at
    return float(used.size / (1 + used[-1] - used[0]))


def _repeats(attempts: list[Attempt]) -> list[float]:
    """Seconds from each refusal to the same request's next attempt."""
    ordered = sorted(attempts, key=_first)
    return [
        max(0.0, (_first(later) - max(earlier.stamps.values())) / 1e9)
        for earlier, later in pairwise(ordered)
        if earlier.status in {429, 503} and earlier.stamps and later.stamps
    ]


def _first(attempt: Attempt) -> int:
    return attempt.stamps.get("send_start", min(attempt.stamps.values(), default=0))


def link(timelines: Sequence[Timeline]) -> float:
    """Seconds that each answer has the link that all share; 0 where it does not show.

    Receiving takes the longer the more answers are on their way, while the loop sits idle; the link is then full from the first answer's start to the last one's end.
    """
    waits = [(line, float(np.median(found))) for line in timelines if (found := idle_waits(line, of_attempts("first_byte", "last_byte")))]
    if len({line.n for line, _ in waits}) < 2:
        return 0.0
    few, many = min(waits, key=lambda row: row[0].n), max(waits, key=lambda row: row[0].n)
    if many[1] < LEAST_RECEIVE_S or many[1] < SHARED * few[1]:
        return 0.0
    stretches = list(of_attempts("first_byte", "last_byte")(many[0]))
    begun = min(
        (attempt.server_answered_ns for attempt in many[0].attempts if attempt.server_answered_ns),
        default=min(start for start, _ in stretches),
    )
    return (max(end for _, end in stretches) - begun) / 1e9 / len(stretches)
