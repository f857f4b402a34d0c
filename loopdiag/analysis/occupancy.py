"""How many requests were where at a time: in flight, waiting for the pool, connections open; from one timeline."""

from collections.abc import Iterable
from dataclasses import dataclass

from loopdiag.analysis.loop_time import LoopTime
from loopdiag.analysis.releases import released
from loopdiag.model.timeline import Attempt, Connection, Timeline

Spans = list[tuple[int, int]]  # (begin, end) in nanoseconds since the trial began


@dataclass(frozen=True)
class Occupancy:
    """One timeline trial.

    Attributes:
        in_flight: at most (between a connection's assignment, or the sending where that was not seen, and its release), and as mean over the trial.
        queued: waiting for the pool at most, and as mean.
        connections: open at most at a time; opened in all; reused: share of requests on a connection that had served before.
        idle_in_queue: share of the trial in which a request waited for the pool while the loop was idle; 0 where the loop was not observed, see `loop_seen`.
        before_client: waiting before the client's call, at most (created, but no pool reached); None: where no attempt shows its pool.
        loop_seen: whether the loop's iterations were observed.
    """

    n: int
    in_flight: int
    in_flight_mean: float
    queued: int
    queued_mean: float
    connections: int
    opened: int
    reused: float | None
    idle_in_queue: float
    before_client: int | None = None
    loop_seen: bool = True


def occupancy(timeline: Timeline) -> Occupancy:
    """What the stamps of one trial say; of a very large trial, what its shown attempts say, scaled to all of them."""
    attempts, total, loop = timeline.attempts, timeline.total_ns, LoopTime.of(timeline)
    scale = 1 + timeline.left_out.get("attempts", 0) / len(attempts) if attempts else 1.0
    flying = [span for attempt in attempts if (span := _in_flight(attempt))]
    queued = [(phase.start_ns, phase.end_ns) for attempt in attempts for phase in attempt.phases if phase.name == "pool"]
    outside = [
        (begun, attempt.stamps["enqueued"])
        for attempt in attempts
        if "enqueued" in attempt.stamps and (begun := attempt.stamps.get("created")) is not None
    ]
    served = [attempt for attempt in attempts if attempt.connection]
    links = [span for link in timeline.connections if (span := _open(link, total))]
    return Occupancy(
        n=timeline.n,
        in_flight=round(at_most(flying) * scale),
        in_flight_mean=_mean(flying, total) * scale,
        queued=round(at_most(queued) * scale),
        queued_mean=_mean(queued, total) * scale,
        connections=at_most(links),
        opened=len(timeline.connections) + timeline.left_out.get("connections", 0),
        reused=sum("reused" in attempt.flags for attempt in served) / len(served) if served else None,
        idle_in_queue=sum(loop.slept_in(*span) for span in union(queued)) / total if total else 0.0,
        before_client=round(at_most(outside) * scale) if outside else None,
        loop_seen=loop.seen,
    )


def at_most(spans: Iterable[tuple[int, int]]) -> int:
    """How many spans cover one moment, at most; one that ends where another begins has made way for it, and an empty one covers nothing."""
    changes = sorted(change for begin, end in spans if end > begin for change in ((begin, 1), (end, -1)))
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def union(spans: Iterable[tuple[int, int]]) -> Spans:
    """The moments that any span covers, as spans in order that do not touch."""
    merged: Spans = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged


def _in_flight(attempt: Attempt) -> tuple[int, int] | None:
    begin, end = attempt.stamps.get("assigned", attempt.stamps.get("send_start")), released(attempt)
    return None if begin is None or end is None else (begin, max(begin, end))


def _open(link: Connection, total_ns: int) -> tuple[int, int] | None:
    """From the connection's first stamp to its close, or to the trial's end."""
    marks = [at for name, at in link.stamps.items() if name != "closed"]
    return (min(marks), link.stamps.get("closed", max(total_ns, *marks, min(marks)))) if marks else None


def _mean(spans: Spans, total_ns: int) -> float:
    """How many spans cover a moment of the trial, on average."""
    return sum(max(0, min(end, total_ns) - max(begin, 0)) for begin, end in spans) / total_ns if total_ns else 0.0
