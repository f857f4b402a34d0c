"""What was going on at a time: requests in flight and in the pool's queue, the loop's busy share; nanoseconds."""

from collections.abc import Iterable

from loopdiag.model.timeline import Attempt, Connection, Iterations, Timeline

READY = "iterations.ready"  # not observed where the loop does not show how many callbacks wait in it

Interval = tuple[int, int]  # begin, end


def last_ns(attempt: Attempt) -> int:
    """Where the attempt's life ends."""
    return attempt.phases[-1].end_ns if attempt.phases else max(attempt.stamps.values(), default=0)


def intervals(line: Timeline, begin: str, end: str) -> list[Interval]:
    """From one stamp to another of every attempt that has the first; one that never came to the second lasts until its end."""
    seen = ((a.stamps[begin], a.stamps.get(end, last_ns(a))) for a in line.attempts if begin in a.stamps)
    return [(at, max(at, until)) for at, until in seen]


def in_flight(line: Timeline) -> list[Interval]:
    """Each request from the first byte sent to the last one received."""
    return intervals(line, "send_start", "last_byte")


def in_queue(line: Timeline) -> list[Interval]:
    """Each request from asking the pool for a connection to being given one."""
    return intervals(line, "enqueued", "assigned")


def open_count(spans: Iterable[Interval]) -> list[tuple[int, int]]:
    """(time, how many are open from then on), by time; what begins and ends at one time is not open."""
    changes: dict[int, int] = {}
    for begin, end in spans:
        changes[begin] = changes.get(begin, 0) + 1
        changes[end] = changes.get(end, 0) - 1
    counted, steps = 0, []
    for at, change in sorted(changes.items()):
        counted += change
        steps.append((at, counted))
    return steps


def lease(attempt: Attempt, connection: Connection | None) -> Interval:
    """When the connection was the attempt's: from the moment at which it could use it to its release."""
    marks = attempt.stamps
    first = attempt.phases[0].start_ns if attempt.phases else min(marks.values(), default=0)
    given = next((marks[name] for name in ("stream", "assigned", "send_start") if name in marks), first)
    made = [connection.stamps[name] for name in ("made", "tls_end", "tcp_end") if name in connection.stamps] if connection else []
    begin = max([given, *made[:1]])
    return begin, max(begin, next((marks[name] for name in ("released", "last_byte") if name in marks), last_ns(attempt)))


def busy(loop: Iterations, total_ns: int, bins: int) -> list[int]:
    """The share of time, in percent, in which the loop ran callbacks, in `bins` equal parts of the trial."""
    import numpy as np

    if not loop.start_ns or total_ns <= 0:
        return []
    run = np.asarray(loop.run_ns, dtype=np.float64)
    begin = np.asarray(loop.start_ns, dtype=np.float64) + np.asarray(loop.poll_ns, dtype=np.float64)
    worked = np.cumsum(run)
    times = np.column_stack((begin, begin + run)).ravel()
    sums = np.column_stack((worked - run, worked)).ravel()
    edges = np.linspace(0.0, float(total_ns), bins + 1)
    share = np.diff(np.interp(edges, times, sums)) / (total_ns / bins)
    return [int(part) for part in np.clip(np.rint(share * 100), 0, 100)]
