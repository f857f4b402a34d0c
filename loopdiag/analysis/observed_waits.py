"""How long requests waited for the outside: stretches between two stamps, less what the loop added by being busy; and what executors did."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from loopdiag.model.timeline import Timeline

Stretches = Callable[[Timeline], Iterator[tuple[int, int]]]

#: a look-up's job is queued so soon after the look-up begins
SOON_NS = 500_000


class Idleness:
    """How long the loop of one trial sat idle in its poll within any stretch."""

    def __init__(self, line: Timeline) -> None:
        rows = line.iterations
        self.known = rows is not None and bool(rows.start_ns)
        if rows is not None and rows.start_ns:
            self._starts = np.array(rows.start_ns, dtype=float)
            self._waits = np.where(np.array(rows.ready) == 0, np.array(rows.poll_ns, dtype=float), 0.0)
            self._before = np.concatenate(([0.0], np.cumsum(self._waits)))

    def within(self, start_ns: int, end_ns: int) -> float:
        """Nanoseconds; the whole stretch where iterations were not observed."""
        return self._until(end_ns) - self._until(start_ns) if self.known else float(end_ns - start_ns)

    def _until(self, time_ns: int) -> float:
        at = int(np.searchsorted(self._starts, time_ns, side="right")) - 1
        return 0.0 if at < 0 else float(self._before[at] + min(time_ns - self._starts[at], self._waits[at]))


def idle_waits(line: Timeline, stretches: Stretches) -> list[float]:
    """Seconds that the loop sat idle within each stretch of a trial."""
    idle = Idleness(line)
    return [idle.within(start, end) / 1e9 for start, end in stretches(line)]


def outside_s(timelines: Sequence[Timeline], stretches: Stretches, *, percent: float = 25) -> float:
    """What a wait for the outside takes, in seconds: the loop's idle time within it, in the trial with the fewest requests; 0 where none was seen."""
    for line in sorted(timelines, key=lambda line: line.n):
        if found := idle_waits(line, stretches):
            return max(0.0, float(np.percentile(found, percent)))
    return 0.0


def of_connections(first: str, last: str) -> Stretches:
    """The stretch between two stamps, of each connection that has both."""

    def stretches(line: Timeline) -> Iterator[tuple[int, int]]:
        for connection in line.connections:
            if first in connection.stamps and last in connection.stamps:
                yield connection.stamps[first], connection.stamps[last]

    return stretches


def of_attempts(first: str, last: str) -> Stretches:
    """The stretch between two stamps, of each attempt that has both."""

    def stretches(line: Timeline) -> Iterator[tuple[int, int]]:
        for attempt in line.attempts:
            if first in attempt.stamps and last in attempt.stamps:
                yield attempt.stamps[first], attempt.stamps[last]

    return stretches


def answers_on_their_way(line: Timeline) -> Iterator[tuple[int, int]]:
    """The stretch from the server's answer to its first byte here, of each attempt of which both are known."""
    for attempt in line.attempts:
        read = attempt.stamps.get("first_byte")
        if attempt.server_answered_ns is not None and read is not None and read > attempt.server_answered_ns:
            yield attempt.server_answered_ns, read


def lookups_of(line: Timeline) -> tuple[int, int]:
    """How many of the trial's connections waited for a name, and how many calls in the executor looked one up."""
    begun = np.sort([start for start, _ in of_connections("dns_start", "dns_end")(line)])
    if line.jobs is None or not begun.size:
        return int(begun.size), 0
    queued = np.sort(np.array(line.jobs.queued_ns))
    after = np.searchsorted(queued, begun)
    near = [int(at) for at, start in zip(after, begun, strict=True) if at < queued.size and queued[at] - start < SOON_NS]
    return int(begun.size), len(set(near))


def of_lookups(line: Timeline) -> list[bool]:
    """Of each call in an executor, whether it looks a name up: the first to be queued once a connection waits for its name, and over before that has it."""
    jobs = line.jobs
    if jobs is None:
        return []
    found = [False] * len(jobs.queued_ns)
    order = sorted(range(len(found)), key=jobs.queued_ns.__getitem__)
    queued = [jobs.queued_ns[at] for at in order]
    for start, end in sorted(of_connections("dns_start", "dns_end")(line)):
        for place in range(bisect_left(queued, start), bisect_left(queued, start + SOON_NS)):
            at = order[place]
            if not found[at] and jobs.ended_ns[at] <= end:
                found[at] = True
                break
    return found


def job_lengths(timelines: Sequence[Timeline], *, lookups: bool | None = None) -> list[float]:
    """Seconds of each call in an executor; only of those that look a name up, or that do not."""
    return [
        (end - start) / 1e9
        for line in timelines
        if line.jobs
        for start, end, looks in zip(line.jobs.started_ns, line.jobs.ended_ns, of_lookups(line), strict=True)
        if lookups is None or looks == lookups
    ]


def lookup_s(timelines: Sequence[Timeline]) -> float:
    """Seconds of one look-up: of a fast one in its thread, unless requests did not even wait so long; or, where no threads were seen, of a fast wait."""
    lengths = job_lengths(timelines, lookups=True) or job_lengths(timelines)
    waited = outside_s(timelines, of_connections("dns_start", "dns_end"), percent=50 if lengths else 5)
    known = min(waited, float(np.percentile(lengths, 10))) if lengths else waited
    return max(known, outside_s(timelines, of_connections("lookup_start", "lookup_end"), percent=5))


def executor(timelines: Sequence[Timeline]) -> tuple[float, int]:
    """Seconds of each request's call in an executor, and its threads; (0, 1) where requests make none."""
    lines = [line for line in timelines if line.jobs is not None]
    calls = sum(len(line.jobs.started_ns) - lookups_of(line)[1] - _requesting(line) for line in lines if line.jobs)
    if not lines or calls < 0.5 * sum(line.n for line in lines):
        return 0.0, 1
    lengths = job_lengths(lines, lookups=False) or job_lengths(lines)
    return float(np.median(lengths)), max(max(line.jobs.threads, default=1) for line in lines if line.jobs)


def _requesting(line: Timeline) -> int:
    """How many of the calls in executors make a program's requests themselves: those do not wait for them, they are them."""
    return len(set(line.activity.requests.job) - {0}) if line.activity is not None else 0
