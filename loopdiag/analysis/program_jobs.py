"""Calls in executors, numbered from 1 as `Timeline.jobs` has them: when each waited and ran, and which one before it made its thread free."""

from bisect import bisect_left, bisect_right

from loopdiag.model.timeline import Jobs

#: a call that waited no longer than this found a thread free
WAITED_NS = 200_000
#: a thread takes its next call so soon after the last one
SLACK_NS = 1_000_000


class Queue:
    """The calls of one trial."""

    def __init__(self, jobs: Jobs) -> None:
        self._calls = list(zip(jobs.queued_ns, jobs.started_ns, jobs.ended_ns, strict=True))
        self._by_end = sorted((ended, number) for number, (_, _, ended) in enumerate(self._calls, 1))
        self._by_queue = sorted((queued, number) for number, (queued, _, _) in enumerate(self._calls, 1))

    def call(self, number: int) -> tuple[int, int, int] | None:
        """(queued, started, ended) of a call; None: there is no such."""
        return self._calls[number - 1] if 0 < number <= len(self._calls) else None

    def within(self, start_ns: int, end_ns: int) -> int:
        """The call that was made and ended in a stretch, the one that ended last where there are several; 0: none."""
        low, high = bisect_left(self._by_queue, (start_ns - SLACK_NS,)), bisect_left(self._by_queue, (end_ns + 1,))
        found = [(self._calls[number - 1][2], number) for _, number in self._by_queue[low:high] if self._calls[number - 1][2] <= end_ns]
        return max(found)[1] if found else 0

    def ended(self, at_ns: int) -> tuple[int, int]:
        """(when it ended, the call): the one that ended last at or before a moment; (0, 0): none did."""
        place = bisect_right(self._by_end, (at_ns, len(self._calls)))
        return self._by_end[place - 1] if place else (0, 0)

    def freed(self, number: int) -> int:
        """The call whose end let this one begin; 0: it did not wait for a thread."""
        queued, started, _ = self._calls[number - 1]
        if started - queued <= WAITED_NS:
            return 0
        place = bisect_right(self._by_end, (started + 1, 0))
        for ended, other in reversed(self._by_end[max(0, place - 8) : place]):
            if other != number and started - SLACK_NS <= ended <= started + 1 and self._calls[other - 1][1] < started:
                return other
        return 0
