"""Lines that sleep until something is done, told from those that pace: what a program looks at every so often, and how late it notices."""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from loopdiag.analysis.program_waiting import index_of, place_of
from loopdiag.model.program import WAITS, Activity, Place
from loopdiag.model.timeline import Timeline

#: a loop with a condition that may become false: "while not task.done():"
CONDITION = re.compile(r"^while (?!(True|1)\s*:)")
#: of the sleeps of a line, that follow one another with nothing begun between, where its block does not tell
LEAST_REPEATED = 0.3
#: two sleeps of one round of polls follow each other so closely
NEAR_NS = 5_000_000


@dataclass(frozen=True)
class Poll:
    """A line that polls.

    Attributes:
        place: the line that sleeps.
        interval_ns: of one sleep, median.
        sleeps: how many.
        late_ns: Σ over rows of sleeps: from the ends of requests, tasks and calls within the row's last sleep (their middle) to that sleep's end.
    """

    place: Place | None
    interval_ns: int
    sleeps: int
    late_ns: int


def polls(line: Timeline) -> tuple[Poll, ...]:
    """The lines that poll, latest first."""
    activity = line.activity
    if activity is None:
        return ()
    rows = _sleeps(activity)
    begun, ends = _begun(line), _ends(line)
    found = []
    for number, sleeps in rows.items():
        runs = _runs(sleeps, begun)
        repeated = 1 - len(runs) / len(sleeps)
        place = place_of(line, number)
        if place is None or not _polls(place, repeated, activity):
            continue
        late = sum(_late(run[-1], ends) for run in runs)
        found.append(Poll(place, round(median([end - start for start, end, _ in sleeps])), len(sleeps), late))
    return tuple(sorted(found, key=lambda each: -each.late_ns))


Span = tuple[int, int, int]  # (begin, end, the task that sleeps)


def _sleeps(activity: Activity) -> dict[int, list[Span]]:
    """Place → its sleeps, in order of task and time."""
    waits, found = activity.waits, defaultdict[int, list[Span]](list)
    kind = WAITS.index("sleep")
    for start, end, task, of_kind, place in zip(waits.start_ns, waits.end_ns, waits.task, waits.kind, waits.place, strict=True):
        if of_kind == kind and end > start:
            found[place].append((start, end, task))
    return {place: sorted(spans, key=lambda span: (span[2], span[0])) for place, spans in found.items()}


def _begun(line: Timeline) -> dict[int, list[int]]:
    """Task → when it made a task or a request."""
    found: dict[int, list[int]] = defaultdict(list)
    assert line.activity is not None
    tasks, requests = line.activity.tasks, line.activity.requests
    for parent, at in zip(tasks.parent, tasks.created_ns, strict=True):
        found[parent].append(at)
    for task, at in zip(requests.task, requests.at_ns, strict=True):
        found[task].append(at)
    return {task: sorted(times) for task, times in found.items()}


def _ends(line: Timeline) -> list[int]:
    """When requests, tasks and calls in threads were done."""
    index = index_of(line)
    done = [end for _, end in index.calls.values()] + [at for at in index.activity.tasks.done_ns if at >= 0]
    return sorted([*done, *(line.jobs.ended_ns if line.jobs is not None else ())])


def _runs(sleeps: list[Span], begun: dict[int, list[int]]) -> list[list[Span]]:
    """Rows of sleeps of one task between which it begins nothing."""
    runs: list[list[Span]] = []
    for sleep in sleeps:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and last[2] == sleep[2]
            and sleep[0] - last[1] < NEAR_NS
            and not _any(begun.get(sleep[2], []), last[1], sleep[0])
        ):
            runs[-1].append(sleep)
        else:
            runs.append([sleep])
    return runs


def _any(times: list[int], start: int, end: int) -> bool:
    return bisect_left(times, start) < bisect_right(times, end)


def _polls(place: Place, repeated: float, activity: Activity) -> bool:
    """Whether the sleep waits for a condition: its loop has one, and begins nothing itself; where the code does not tell, whether it is repeated."""
    if not place.block:
        return repeated >= LEAST_REPEATED
    if not CONDITION.match(place.block_text):
        return repeated >= LEAST_REPEATED and place.block_text.startswith(("while", "if"))
    begins = {*activity.tasks.place, *activity.requests.place}
    return not any(
        number and place.block < activity.places[number].line <= place.line
        for number in begins
        if number < len(activity.places) and activity.places[number].file == place.file
    )


def _late(last: Span, ends: list[int]) -> int:
    """From what ended inside of a sleep to the sleep's own end: from the middle between the first and the last that did; 0 where none ended in it.

    Whoever waits for one of several is late from the first, whoever waits for all of them from the last: which it was, nothing tells.
    """
    first, after = bisect_left(ends, last[0]), bisect_left(ends, last[1])
    return last[1] - (ends[first] + ends[after - 1]) // 2 if first < after else 0
