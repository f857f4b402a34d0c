"""Who made way: which attempt ended last before another one was given a slot, a connection's stream, or its turn."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from loopdiag.model.timeline import Attempt

#: an end may be stamped so long after what it made way for: both happen in one callback
SLACK_NS = 20_000
#: as many streams as servers commonly allow at once on a connection: so many may wait to be released
STREAMS = 128


def released(attempt: Attempt) -> int | None:
    """When the attempt gave its connection back; None where nothing tells."""
    marks = attempt.stamps
    if "released" in marks:
        return marks["released"]
    return max((marks[name] for name in ("last_byte", "body", "done") if name in marks), default=None)


def _read(attempt: Attempt) -> int | None:
    """When the attempt had read what it read of its answer; None where nothing tells."""
    marks = attempt.stamps
    return max((marks[name] for name in ("first_byte", "headers", "last_byte") if name in marks), default=None)


def _done(attempt: Attempt) -> int | None:
    """When the attempt was done; where no stamp tells, when it was last seen."""
    return attempt.stamps.get("done", attempt.phases[-1].end_ns if attempt.phases else None)


class Releases:
    """The attempts of a timeline by when they ended.

    Args:
        attempts: of the timeline; results are indices into them.
    """

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        known = ((at, index) for index, attempt in enumerate(attempts) if (at := released(attempt)) is not None)
        self._all = sorted(known)
        self._read = [_read(attempt) for attempt in attempts]
        self._done = sorted((at, index) for index, attempt in enumerate(attempts) if (at := _done(attempt)) is not None)
        self._of_link: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for at, index in self._all:
            if number := attempts[index].connection:
                self._of_link[number].append((at, index))

    def slot(self, attempt: Attempt, index: int, since_ns: int, until_ns: int) -> tuple[int, int] | None:
        """Who released the slot that `attempt` waited for from `since_ns` to `until_ns`: (when, index); None: nobody had to.

        The one before it on its connection, if it got one that had served; else the last one that released any.
        """
        return self._of_own(attempt, index, since_ns, until_ns) or _last(self._all, index, since_ns, until_ns)

    def stream(self, attempt: Attempt, index: int, since_ns: int, until_ns: int) -> tuple[int, int] | None:
        """Who made way for a stream of its own connection: (when, index); None: nobody had to.

        A stream is free once its answer was read, and whoever waits for it may go on before the request that had it says that it is released: of the last one
        that said so before and the first one that does so after, with all of its answer read, the nearer.
        """
        before = self._of_own(attempt, index, since_ns, until_ns)
        ends = self._of_link.get(attempt.connection or 0, [])
        place = bisect_right(ends, (until_ns, len(self._read)))
        for when, who in ends[place : place + STREAMS]:
            if who != index and since_ns < (self._read[who] or 0) <= until_ns:
                return (until_ns, who) if before is None or when - until_ns < until_ns - before[0] else before
        return before

    def _of_own(self, attempt: Attempt, index: int, since_ns: int, until_ns: int) -> tuple[int, int] | None:
        """The last one that released the attempt's own connection, or a stream of it."""
        return _last(self._of_link.get(attempt.connection or 0, []), index, since_ns, until_ns)

    def turn(self, index: int, until_ns: int, since_ns: int = 0) -> tuple[int, int] | None:
        """Whose end came last after `since_ns`, and at or before `until_ns`: (when, index)."""
        return _last(self._done, index, since_ns, until_ns)


def _last(ends: list[tuple[int, int]], index: int, since_ns: int, until_ns: int) -> tuple[int, int] | None:
    at = bisect_right(ends, (until_ns + SLACK_NS, -1))
    while at and ends[at - 1][1] == index:
        at -= 1
    if not at or ends[at - 1][0] <= since_ns:
        return None
    when, who = ends[at - 1]
    return min(when, until_ns), who
