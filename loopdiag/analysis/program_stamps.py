"""The part of a program's requests that lies before the client is called: their stamps `created` and `first_run`, and what their tasks waited for until then.

A request is created with its task, if that task made no other before it; else when the task's request before it was done.  From there to the client's call the
task waited for what its rows in `waits` show (phases "semaphore", "lock", "sleep" …), and ran, or was ready, in between.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from loopdiag.analysis.columns import MISSING, STAMPS, TICK_SHIFT, WRAP, Ints, Rows, Tables, attempt_numbers, nanoseconds, opened, used
from loopdiag.analysis.idle import Idle
from loopdiag.model.program import WAITS, Activity
from loopdiag.model.timeline import Attempt, Phase

#: kind of wait → phase
PHASE_OF = {
    "semaphore": "semaphore", "limiter": "semaphore", "lock": "lock", "queue-get": "queue", "queue-put": "queue", "condition": "condition",
    "barrier": "condition", "event": "event", "sleep": "sleep", "timeout": "sleep", "executor": "executor", "": "task", "task": "task", "gather": "task",
    "wait": "task", "as-completed": "task", "future": "task",
}  # fmt: skip

Pieces = Iterator[tuple[str, int, int]]


class Waited(NamedTuple):
    """A wait of a task; `over_ns` is when the last one of that task ended that began no later."""

    start_ns: int
    end_ns: int
    phase: str
    over_ns: int


def with_created(tables: Tables, since_ns: int) -> Tables:
    """The tables, in which the first attempt of each request of a task has the `created` and `first_run` that its task tells."""
    attempts, tasks, requests = (tables.get(name) for name in ("attempts", "tasks", "requests"))
    if attempts is None or tasks is None or requests is None or not {"task", "request"} <= set(requests.dtype.names or ()):
        return tables
    number, task = _makers(requests, len(tasks))
    rows = used(attempts, since_ns)
    numbers = attempts["request"][rows].astype(np.int64)
    made_by = np.zeros(int(max(numbers.max(initial=0), number.max(initial=0))) + 1, dtype=np.int64)
    made_by[number] = task
    firsts = rows[attempt_numbers(attempts)[rows] == 0]
    owner = made_by[attempts["request"][firsts].astype(np.int64)]
    firsts, owner = firsts[owner > 0], owner[owner > 0]
    order = np.lexsort((opened(attempts)[firsts], owner))
    firsts, owner = firsts[order], owner[order]
    again = np.zeros(len(firsts), dtype=bool)
    again[1:] = owner[1:] == owner[:-1]
    created = np.maximum(opened(tasks)[owner], since_ns)
    over = _over(attempts, rows, numbers)[attempts["request"][firsts].astype(np.int64)]
    created[1:] = np.where(again[1:], np.maximum(over[:-1], created[1:]), created[1:])
    return {**tables, "attempts": _stamped(attempts, firsts, created, np.where(again, MISSING, _first_run(tasks, owner)))}


def _makers(requests: Rows, tasks: int) -> tuple[Ints, Ints]:
    """Numbers of requests, and the task that made each."""
    inside = (opened(requests) > 0) & (requests["task"] > 0) & (requests["task"] < tasks)
    return requests["request"][inside].astype(np.int64), requests["task"][inside].astype(np.int64)


def _first_run(tasks: Rows, owner: Ints) -> Ints:
    return nanoseconds(tasks, "first_run")[owner] if "first_run" in (tasks.dtype.names or ()) else np.full(len(owner), MISSING)


def _over(attempts: Rows, rows: Ints, numbers: Ints) -> Ints:
    """When each request was over: its last `done`, else its last stamp; MISSING: never seen."""
    seen = attempts[rows]
    times = np.stack([nanoseconds(seen, name) for name in STAMPS], axis=1)
    done = times[:, STAMPS.index("done")]
    found = np.full(int(numbers.max(initial=0)) + 1, MISSING)
    np.maximum.at(found, numbers, np.where(done == MISSING, times.max(axis=1, initial=MISSING), done))
    return found


def _stamped(attempts: Rows, firsts: Ints, created: Ints, first_run: Ints) -> Rows:
    """A copy of the table with the stamps; never after what the attempt itself shows first.

    Whatever an instrument stamped there is of the client's call, of which it cannot know whether the task did something else before.
    """
    made = attempts.copy()
    seen = made[firsts]
    earliest = np.full(len(firsts), np.iinfo(np.int64).max)
    for name in STAMPS[3:]:
        times = nanoseconds(seen, name)
        earliest = np.where((times != MISSING) & (times < earliest), times, earliest)
    created = np.minimum(created, earliest)
    ran = np.where(first_run == MISSING, MISSING, np.clip(first_run, created, earliest))
    for name, times in (("created", created), ("first_run", ran)):
        made[name][firsts] = np.where(times == MISSING, 0, np.maximum((times >> TICK_SHIFT) % WRAP, 1)).astype(np.uint32)
    return made


def with_waits(attempts: Sequence[Attempt], activity: Activity, idle: Idle | None) -> tuple[Attempt, ...]:
    """The attempts, whose phases before the client's call say what their tasks waited for."""
    requests, waits = activity.requests, activity.waits
    owner = {request: task for request, task in zip(requests.request, requests.task, strict=True) if task}
    of_task: dict[int, list[Waited]] = defaultdict(list)
    over: dict[int, int] = {}
    for start, end, task, kind in zip(waits.start_ns, waits.end_ns, waits.task, waits.kind, strict=True):
        over[task] = max(over.get(task, end), end)
        of_task[task].append(Waited(start, end, PHASE_OF.get(WAITS[kind], "task"), over[task]))
    return tuple(_with_waits(attempt, of_task.get(owner.get(attempt.request, 0), []), idle) for attempt in attempts)


def _with_waits(attempt: Attempt, waits: list[Waited], idle: Idle | None) -> Attempt:
    begin, called = attempt.stamps.get("created"), attempt.stamps.get("enqueued")
    if attempt.number or begin is None or called is None or not waits:
        return attempt
    ran = min(max(attempt.stamps.get("first_run", begin), begin), called)
    first, last = bisect_right(waits, ran, key=attrgetter("over_ns")), bisect_left(waits, (called,))
    inside = [wait for wait in waits[first:last] if wait.end_ns > ran]
    if not inside:
        return attempt
    later = [phase for phase in attempt.phases if phase.end_ns > called]
    if later and later[0].start_ns < called:
        later[0] = replace(later[0], start_ns=called)
    started = [phase for phase in attempt.phases if phase.end_ns <= ran]
    if ran > begin and (not started or started[-1].end_ns != ran):
        return attempt  # its stamps do not say what came before the call
    pieces = _pieces(inside, ran, called, idle)
    return replace(attempt, phases=(*started, *(Phase(name=name, start_ns=a, end_ns=b) for name, a, b in pieces), *later))


def _pieces(waits: list[Waited], begin: int, end: int, idle: Idle | None) -> Pieces:
    """The stretch as waits, and what is between them; of waits inside of one another, the innermost counts from its begin on."""
    at = begin
    for (begun, over, name, _), following in zip(waits, [*(wait.start_ns for wait in waits[1:]), end], strict=True):
        start, until = max(begun, at), min(over, end, max(following, at))
        yield from _between(at, start, idle)
        if until > start:
            yield name, start, until
        at = max(at, until)
    yield from _between(at, end, idle)


def _between(begin: int, end: int, idle: Idle | None) -> Pieces:
    """The task ran, or was ready; time in which the loop sat idle no row shows."""
    if end > begin:
        lost = idle.between(begin, end) if idle is not None else 0
        if end - lost > begin:
            yield "prepare", begin, end - lost
        if lost:
            yield "unattributed", end - lost, end
