"""The critical path of a user's own program: through its tasks, what they waited for, and the requests that they made.

A wait that another task ended leads to that task, at that moment: the time is that task's, and how often the path goes through a semaphore, a lock, a batch says
of how many waves the total is made.  A sleep is charged as such, a call in an executor too, unless it made requests in its thread: then the path goes on with
those.  What a task did between two of its rows is the loop's while that ran, and unexplained where it slept.
"""

from msgspec.structs import replace

from loopdiag.analysis.outside import LOOP, Piece, exactly, ran, shared
from loopdiag.analysis.path_phases import UNEXPLAINED, Rules
from loopdiag.analysis.program_index import BATCHES, Event, Index
from loopdiag.analysis.program_jobs import Queue
from loopdiag.analysis.program_stamps import PHASE_OF
from loopdiag.analysis.walk import Hop, Walk, over
from loopdiag.model.program import Activity
from loopdiag.model.scenario import Workload
from loopdiag.model.timeline import Attempt, Jobs, Phase, Timeline

#: a task that waited for less does not show that it waited for its own
UNSEEN_NS = 1_000_000
#: hops without a step of time between them: more are a circle
CIRCLE = 10_000


class ProgramWalk(Walk):
    """One walk from the end of the trial to its begin."""

    def __init__(self, timeline: Timeline, workload: Workload) -> None:
        super().__init__(timeline, workload)
        self._index = Index.of(timeline.activity or Activity(), timeline.attempts)
        self._tasks, self._waits = self._index.activity.tasks, self._index.activity.waits
        self._queue = Queue(timeline.jobs or Jobs())
        self._on_loop, self._off_loop = self._rules, Rules.of(replace(timeline, iterations=None))
        self._still, self._requested = 0, False

    def _last(self) -> Hop | None:
        """The end of the program's main task; of a program without tasks, the attempt that was over last."""
        ends = [(self._tasks.done_ns[root - 1] if self._tasks.done_ns[root - 1] >= 0 else self._at, root) for root in self._index.roots]
        if not ends:
            return super()._last()
        end, root = max(ends)
        self._ran(end, None)
        return self._in_task(root)

    def _through(self, index: int) -> Hop | None:
        """A request of a thread does not wait for the loop."""
        request, self._requested = self._attempts[index].request, True
        self._rules = self._on_loop if self._index.owner.get(request, 0) or not self._index.thread.get(request) else self._off_loop
        self._loop = self._rules.loop
        hop = self._kept(index) or super()._through(index)
        self._rules, self._loop = self._on_loop, self._on_loop.loop
        return hop

    def _kept(self, index: int) -> Hop | None:
        """A connection that was kept after its answer, while the loop slept, until a task let it go: the path goes on with that task; None: it was not, or nothing tells."""
        attempt = self._attempts[index]
        last = attempt.phases[-1] if attempt.phases else None
        if last is None or last.name != "unattributed" or min(last.end_ns, self._at) - last.start_ns < UNSEEN_NS:
            return None
        row = self._index.wait_before(self._at)
        if (
            row < 0
            or self._waits.task[row] == self._index.owner.get(attempt.request)
            or self._loop.slept_in(self._waits.end_ns[row], self._at) >= UNSEEN_NS
        ):
            return None
        self._ran(self._waits.end_ns[row], attempt.request)
        return self._in_task(self._waits.task[row])

    def _outside(self, attempt: Attempt, phase: Phase) -> bool:
        """What a task did before it called the client is told by the task's rows."""
        return phase.start_ns < self._index.calls[attempt.request][0] and bool(self._index.maker(attempt.request))

    def _before(self, attempt: Attempt, index: int) -> Hop | None:
        """The attempt before it; else what its maker did before."""
        request = attempt.request
        if attempt.number and (before := self._numbered.get((request, attempt.number - 1))) is not None:
            self._ran(min(self._at, over(self._attempts[before])), request)
            return before, ""
        called, maker = self._index.calls[request][0], self._index.maker(request)
        if job := self._index.job.get(request, 0):
            return self._in_job(job, request)
        if not maker:
            return super()._before(attempt, index)
        self._ran(min(self._at, called), request)
        if maker > 0:
            return self._in_task(maker, "serial")
        return self._in_thread(maker, attempt, index)

    def _in_thread(self, maker: int, attempt: Attempt, index: int) -> Hop | None:
        event = self._index.before(maker, self._at)
        if event is None:
            row = self._index.thread_wait(self._at)
            if row < 0:
                return super()._before(attempt, index)
            self._charge([Piece(self._waits.start_ns[row], self._at, "executor")], None)
            return self._in_task(self._waits.task[row])
        self._charge([Piece(min(self._at, event.end_ns), self._at, LOOP)], None)
        return self._request(event.request, "serial")

    def _in_task(self, task: int, via: str = "") -> Hop | None:
        """Back through a task, and those that it waited for, to a request; None: to the begin of the trial.

        `via` is how the path gets to a request if this task made it.
        """
        while self._at > 0 and task and self._still < CIRCLE:
            at = self._at
            event = self._index.before(task, at)
            if child := self._joined(task, 0 if event is None else event.end_ns):
                task, via = child, ""
            elif event is not None and event.request >= 0:
                self._ran(min(at, event.end_ns), None)
                self._note(via)
                return self._request(event.request, "")
            elif event is None:
                task, via = self._begun(task), ""
            else:
                hop = self._waited(event)
                if isinstance(hop, tuple):
                    return hop
                task, via = hop, via if hop == task else ""
            self._still = self._still + 1 if self._at == at else 0
        return None

    def _joined(self, task: int, since: int) -> int:
        """The task's own that it waited for, without a row that says so, since its last event: the one done last, if the loop slept before; 0: there is none."""
        begun = max(since, self._tasks.first_run_ns[task - 1], self._tasks.created_ns[task - 1], 0)
        done, child = self._index.last_child(task, begun, self._at)
        if not child or self._loop.slept_in(begun, min(done, self._at)) < UNSEEN_NS:
            return 0
        self._ran(min(done, self._at), None)
        self._note("task")
        return child

    def _note(self, via: str) -> None:
        """The path goes from one request on to another one by this way; what leads to the last one, or further back to the same one, is no hop."""
        if self._requested and via:
            self._via, self._requested = self._via or via, False

    def _begun(self, task: int) -> int:
        """From a task's begin to who made it: from its first step, it ran; before, it was ready.  Returns that task; 0: the path has come to its begin."""
        created = self._tasks.created_ns[task - 1]
        self._ran(max(0, min(self._at, created)), None)
        if parent := self._tasks.parent[task - 1]:
            return parent
        if self._at <= 0:
            return 0
        earlier = self._index.root_before(self._at)
        if not earlier or earlier == task:
            self._ran(0, None)
            return 0
        self._ran(min(self._at, self._tasks.done_ns[earlier - 1]), None)
        return earlier

    def _waited(self, event: Event) -> Hop | int:
        """Through a wait of a task's: the task that the path goes on with (its own, where nobody else ended the wait), or a request."""
        row, kind = event.wait, self._index.kind(event.wait)
        task, start, end = self._waits.task[row], event.start_ns, min(event.end_ns, self._at)
        self._ran(end, None)
        if kind == "executor" and (hop := self._job_waited(self._waits.number[row], start, end)):
            return hop if isinstance(hop, tuple) else task
        if kind == "executor" and (request := self._index.thread_request(start, end)):
            self._ran(self._index.calls[request][1], None)
            if found := self._request(request, ""):
                return found
        waker, woken = self._index.waker(row)
        if waker and start < woken <= self._at:
            self._ran(woken, None)
            self._note("batch" if kind in BATCHES else "task" if kind == "timeout" else PHASE_OF[kind])
            return waker
        account = {"sleep": "sleep", "timeout": "sleep", "executor": "executor"}.get(kind)
        if account is None and (job := self._job_ended(start, woken)) and (hop := self._job_waited(job, start, end)):
            return hop if isinstance(hop, tuple) else task
        if account is None:
            self._charge(ran(start, end, self._loop, UNEXPLAINED, own=False), None)
        else:
            due = start + self._waits.value[row] * 1000 if kind == "sleep" and self._waits.value[row] else woken
            self._charge(shared(account, (start, end), exactly(due, start, end), loop=self._loop), None)
        return task

    def _job_waited(self, number: int, start: int, end: int) -> Hop | bool:
        """A wait for a call in an executor that is known: through the requests made in it, or charged to the executor."""
        job = number or self._queue.within(start, end)
        call = self._queue.call(job)
        if call is None:
            return False
        requests = self._index.requests_of_job.get(job)
        if requests and (hop := self._in_job(job, None)):
            return hop
        _, _, ended = call
        self._charge(shared("executor", (start, end), exactly(ended, start, end), loop=self._loop), None)
        return True

    def _job_ended(self, start: int, woken: int) -> int:
        """The call in an executor whose end ended a wait that no task did (for futures of calls): the last one before, if the loop did not sleep since; 0: none."""
        ended, job = self._queue.ended(min(woken, self._at))
        return job if job and ended > start and self._loop.slept_in(ended, woken) < UNSEEN_NS else 0

    def _in_job(self, job: int, request: int | None) -> Hop | None:
        """Back through a call in an executor that made requests, to the one before `request` (None: to the last); from its begin, to who freed its thread."""
        call = self._queue.call(job)
        if call is None:
            return None
        queued, started, ended = call
        before = self._index.earlier_in_job(job, request)
        if request is None:
            self._ran(min(self._at, ended), None)
        if before is not None:
            until = min(self._at, self._index.calls[before][1])
            self._charge([Piece(until, self._at, "executor")], request)
            return self._request(before, "" if request is None else "serial")
        self._charge([Piece(min(started, self._at), self._at, "executor")], request)
        freed = self._queue.freed(job)
        if freed and self._index.requests_of_job.get(freed):
            self._note("executor")
            return self._in_job(freed, None)
        self._charge([Piece(min(queued, self._at), self._at, "executor")], request)
        return self._in_task(self._waiting_for(job))

    def _waiting_for(self, job: int) -> int:
        """The task that waited for a call in an executor; where no row tells, the main one."""
        return self._index.waiting_for_job.get(job, 0) or next(iter(self._index.roots), 0)

    def _request(self, request: int, via: str) -> Hop | None:
        """The last of the request's attempts that began before where the path is now."""
        indices = self._index.attempts_of.get(request, [])
        begun = [index for index in indices if self._attempts[index].phases and self._attempts[index].phases[0].start_ns < self._at]
        return (begun[-1], via) if begun else None
