"""Who did what when in a program: its rows by task, by thread and by call in an executor, to be asked about a moment."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from loopdiag.model.program import WAITS, Activity, Waits
from loopdiag.model.timeline import Attempt

#: a task may be stamped as done so long after the wait that it ended: both happen in one callback
SLACK_NS = 50_000
#: kinds of waits for several tasks at once
BATCHES = frozenset({"gather", "wait"})


class Event(NamedTuple):
    """What a task (or a thread) did in a stretch: it made a request (`request`), or waited (row `wait`)."""

    start_ns: int
    end_ns: int
    request: int  # -1: a wait
    wait: int = -1  # row of `Activity.waits`


@dataclass(frozen=True)
class Index:
    """One trial.

    Attributes:
        activity: what is asked about.
        attempts_of: request → indices of its attempts, in order.
        calls: request → (from the call of the client, until it was done).
        owner: request → the task that made it; thread: → the thread, counted from 1, of one that no task made; job: → the call in an executor.
        events: task → its events in order, waits inside of a request left out; -k stands for thread k.
        requests_of_job: call in an executor, counted from 1 as in `Timeline.jobs` → requests made in it, in order.
        roots: tasks that no task made, by their begin.
    """

    activity: Activity
    attempts_of: dict[int, list[int]]
    calls: dict[int, tuple[int, int]]
    owner: dict[int, int]
    thread: dict[int, int]
    job: dict[int, int]
    events: dict[int, list[Event]]
    requests_of_job: dict[int, list[int]]
    roots: list[int]

    @classmethod
    def of(cls, activity: Activity, attempts: Iterable[Attempt]) -> "Index":
        """That of a timeline."""
        attempts_of: dict[int, list[int]] = defaultdict(list)
        spans: dict[int, tuple[int, int]] = {}
        for index, attempt in enumerate(attempts):
            attempts_of[attempt.request].append(index)
            begin, end = _call(attempt)
            before = spans.get(attempt.request)
            spans[attempt.request] = (begin, end) if before is None else (min(before[0], begin), max(before[1], end))
        made = activity.requests
        owner, thread, job = {}, {}, {}
        for request, of_task, of_thread, call in zip(made.request, made.task, made.thread, made.job, strict=True):
            owner[request], thread[request], job[request] = of_task, of_thread, call
        events = _events(activity.waits, spans, owner, thread)
        of_job: dict[int, list[int]] = defaultdict(list)
        for request in sorted((request for request in job if request in spans), key=lambda request: spans[request]):
            if job[request]:
                of_job[job[request]].append(request)
        tasks = activity.tasks
        roots = [number for number, parent in enumerate(tasks.parent, 1) if not parent and tasks.created_ns[number - 1] >= 0]
        roots.sort(key=lambda number: tasks.created_ns[number - 1])
        return cls(activity, dict(attempts_of), spans, owner, thread, job, events, dict(of_job), roots)

    def maker(self, request: int) -> int:
        """The key in `events` of who made the request: a task, or -thread; 0: not known."""
        return self.owner.get(request, 0) or -self.thread.get(request, 0)

    def before(self, maker: int, at_ns: int) -> Event | None:
        """The last event of a task or thread that began before a moment."""
        events = self.events.get(maker, [])
        place = bisect_left(events, (at_ns,))
        return events[place - 1] if place else None

    def kind(self, wait: int) -> str:
        """Of the wait in this row."""
        return WAITS[self.activity.waits.kind[wait]]

    def waker(self, wait: int) -> tuple[int, int]:
        """(the task that ended the wait, when); the task is 0 where none did.

        A wait for tasks was ended by whichever was done last before: the one that its row names, or one of the waiting task's own.  (Which end was told to
        ``gather`` is read off its callback's frame, where the name of the task is bound again.)
        """
        waits = self.activity.waits
        start, end = waits.start_ns[wait], waits.end_ns[wait]
        woken = waits.woken_ns[wait]
        woken = min(woken, end) if woken > start else end
        task, kind = waits.waker[wait], self.kind(wait)
        if kind in BATCHES or (not task and kind in {"task", "as-completed", "future", "timeout"}):
            done, child = self.last_child(waits.task[wait], start, woken + SLACK_NS)
            if not task or done > self._done(task):
                task = child
        if task and kind in {"task", *BATCHES} and start < self._done(task) < woken:
            woken = self._done(task)
        return (0 if task == waits.task[wait] else task), woken

    def _done(self, task: int) -> int:
        return self.activity.tasks.done_ns[task - 1]

    def last_child(self, parent: int, start_ns: int, end_ns: int) -> tuple[int, int]:
        """(when it was done, the task): of those that a task made, the one done last in a stretch; (0, 0): none was."""
        children = self.children.get(parent, [])
        place = bisect_right(children, (end_ns + 1,)) - 1
        return children[place] if place >= 0 and children[place][0] > start_ns else (0, 0)

    def wait_before(self, at_ns: int) -> int:
        """The row of the wait that was over last at or before a moment, of any task; -1: none was."""
        place = bisect_right(self._over, (at_ns, len(self.activity.waits.kind))) - 1
        return self._over[place][1] if place >= 0 else -1

    @cached_property
    def _over(self) -> list[tuple[int, int]]:
        return sorted((end, row) for row, end in enumerate(self.activity.waits.end_ns))

    @cached_property
    def children(self) -> dict[int, list[tuple[int, int]]]:
        """Task → when the tasks that it made were done, and their numbers, in order of time; those that were not are left out."""
        made: dict[int, list[tuple[int, int]]] = defaultdict(list)
        tasks = self.activity.tasks
        for number, (parent, done) in enumerate(zip(tasks.parent, tasks.done_ns, strict=True), 1):
            if done >= 0:
                made[parent].append((done, number))
        for of_parent in made.values():
            of_parent.sort()
        return dict(made)

    def thread_request(self, start_ns: int, end_ns: int) -> int:
        """The request made wholly in a stretch, in a thread that is no executor's of ours (AnyIO's), that was done last; 0: none was."""
        place = bisect_right(self._in_threads, (end_ns + 1,)) - 1
        while place >= 0 and self._in_threads[place][0] > start_ns:
            request = self._in_threads[place][1]
            if self.calls[request][0] >= start_ns:
                return request
            place -= 1
        return 0

    @cached_property
    def _in_threads(self) -> list[tuple[int, int]]:
        loose = (request for request, thread in self.thread.items() if thread and not self.owner[request] and not self.job[request])
        return sorted((self.calls[request][1], request) for request in loose if request in self.calls)

    def thread_wait(self, at_ns: int) -> int:
        """The row of the wait for such a thread that began last before a moment; -1: none did."""
        place = bisect_right(self._thread_waits, (at_ns, len(self.activity.waits.kind))) - 1
        return self._thread_waits[place][1] if place >= 0 else -1

    @cached_property
    def _thread_waits(self) -> list[tuple[int, int]]:
        waits = self.activity.waits
        return sorted(
            (start, row)
            for row, (kind, number, start) in enumerate(zip(waits.kind, waits.number, waits.start_ns, strict=True))
            if WAITS[kind] == "executor" and not number
        )

    @cached_property
    def waiting_for_job(self) -> dict[int, int]:
        """Call in an executor → the task that waits for it."""
        waits = self.activity.waits
        rows = zip(waits.kind, waits.number, waits.task, strict=True)
        return {number: task for kind, number, task in rows if number and WAITS[kind] == "executor"}

    def root_before(self, at_ns: int) -> int:
        """The task without a parent that was done last at or before a moment; 0: none was."""
        place = bisect_right(self._roots_done, (at_ns, len(self.activity.tasks.done_ns)))
        return self._roots_done[place - 1][1] if place else 0

    @cached_property
    def _roots_done(self) -> list[tuple[int, int]]:
        done = self.activity.tasks.done_ns
        return sorted((done[number - 1], number) for number in self.roots if done[number - 1] >= 0)

    def earlier_in_job(self, job: int, request: int | None) -> int | None:
        """The request that was made in a call in an executor right before another one, or last (None); None: there is none."""
        own = self.requests_of_job.get(job, [])
        place = len(own) if request is None else bisect_left(own, self.calls[request], key=self.calls.__getitem__)
        return own[place - 1] if place else None


def _call(attempt: Attempt) -> tuple[int, int]:
    """From the client's call to the end."""
    marks = attempt.stamps
    end = attempt.phases[-1].end_ns if attempt.phases else max(marks.values(), default=0)
    later = [at for name, at in marks.items() if name not in {"created", "first_run", "due"}]
    return marks.get("enqueued", min(later, default=end)), end


def _events(waits: Waits, spans: dict[int, tuple[int, int]], owner: dict[int, int], thread: dict[int, int]) -> dict[int, list[Event]]:
    events: dict[int, list[Event]] = defaultdict(list)
    for request, (start, end) in spans.items():
        if maker := owner.get(request, 0) or -thread.get(request, 0):
            events[maker].append(Event(start, end, request))
    for calls in events.values():
        calls.sort()
    starts = {maker: [event.start_ns for event in calls] for maker, calls in events.items()}
    found: dict[int, list[Event]] = defaultdict(list, {maker: list(calls) for maker, calls in events.items()})
    for row, (task, start, end) in enumerate(zip(waits.task, waits.start_ns, waits.end_ns, strict=True)):
        calls = events.get(task, [])
        place = bisect_right(starts.get(task, []), start) - 1
        if (place < 0 or calls[place].end_ns <= start) and end > start:
            found[task].append(Event(start, end, -1, row))
    for of_task in found.values():
        of_task.sort()
    return dict(found)
