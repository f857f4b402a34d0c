"""What a program did, made by hand in milliseconds: tasks, what they waited for, and the requests that they made."""

from dataclasses import dataclass, field
from typing import Any

from path_parts import life, line, ns, sleeping

from loopdiag.model.program import LIBRARIES, WAITS, Activity, Made, Place, Requests, Stalls, Tasks, Waits
from loopdiag.model.timeline import Attempt, Jobs, Timeline


@dataclass
class Program:
    """A program that is written row by row; `timeline` resolves it.  Tasks count from 1, lines of code are numbers of lines of client.py."""

    total: float
    tasks: list[tuple[float, float, float, int, int]] = field(default_factory=list)
    waits: list[tuple[float, float, float, int, str, int, int, int, int]] = field(default_factory=list)
    requests: list[tuple[float, int, int, int, int, int]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    stalls: list[tuple[float, float, int, int, int, int]] = field(default_factory=list)
    jobs: list[tuple[float, float, float, int]] = field(default_factory=list)
    made: tuple[Made, ...] = ()
    asleep: list[tuple[float, float]] = field(default_factory=list)

    def task(self, created: float, done: float, parent: int = 0, at: int = 0, first_run: float | None = None) -> int:
        """A task, made at the line `at`; returns its number."""
        self.tasks.append((created, created if first_run is None else first_run, done, parent, at))
        return len(self.tasks)

    def wait(
        self, task: int, kind: str, span: tuple[float, float], *, waker: int = 0, number: int = 1, value: int = 0, at: int = 0
    ) -> None:
        """A wait of a task, whose end is when it was woken."""
        start, end = span
        self.waits.append((start, end, end, task, kind, number, value, at, waker))

    def fetch(self, task: int, span: tuple[float, float], *, at: int = 0, thread: int = 0, job: int = 0, **more: Any) -> int:
        """A request from the client's call to its end, nearly all of it waiting for the server; returns its number."""
        start, end = span
        number = len(self.requests) + 1
        self.requests.append((start, number, task, thread, job, at))
        marks = {"enqueued": start, "assigned": start, "send_start": start, "first_byte": end, "last_byte": end, "released": end}
        begin = self.tasks[task - 1][0] if task else start
        earlier = [
            done
            for (_, request, maker, *_), done in zip(self.requests, self._ends(), strict=False)
            if maker == task and task and request < number
        ]
        begin = max([begin, *earlier])
        phases = [("prepare", start), ("wait", end)] if start > begin else [("wait", end)]
        self.attempts.append(life(number, begin, phases, marks, connection=number, **more))
        return number

    def _ends(self) -> list[float]:
        return [attempt.stamps["done"] / 1e6 for attempt in self.attempts]

    def activity(self) -> Activity:
        """All of it; place k is line k of client.py."""
        most = max(
            [
                0,
                *(row[4] for row in self.tasks),
                *(row[7] for row in self.waits),
                *(row[5] for row in self.requests),
                *(row[4] for row in self.stalls),
            ]
        )
        most = max([most, *(each.place for each in self.made)])
        times = [[ns(row[column]) for row in self.tasks] for column in range(3)]
        waits = sorted(self.waits)
        return Activity(
            places=(Place(file="", line=0), *(Place(file="/home/me/client.py", line=number) for number in range(1, most + 1))),
            tasks=Tasks(
                created_ns=tuple(times[0]),
                first_run_ns=tuple(times[1]),
                done_ns=tuple(times[2]),
                parent=tuple(row[3] for row in self.tasks),
                place=tuple(row[4] for row in self.tasks),
                loop=(1,) * len(self.tasks),
            ),
            waits=Waits(
                start_ns=tuple(ns(row[0]) for row in waits),
                woken_ns=tuple(ns(row[1]) for row in waits),
                end_ns=tuple(ns(row[2]) for row in waits),
                task=tuple(row[3] for row in waits),
                kind=tuple(WAITS.index(row[4]) for row in waits),
                number=tuple(row[5] for row in waits),
                value=tuple(row[6] for row in waits),
                place=tuple(row[7] for row in waits),
                waker=tuple(row[8] for row in waits),
            ),
            requests=Requests(
                at_ns=tuple(ns(row[0]) for row in self.requests),
                request=tuple(row[1] for row in self.requests),
                task=tuple(row[2] for row in self.requests),
                thread=tuple(row[3] for row in self.requests),
                job=tuple(row[4] for row in self.requests),
                place=tuple(row[5] for row in self.requests),
                library=(LIBRARIES.index("aiohttp"),) * len(self.requests),
            ),
            stalls=Stalls(
                start_ns=tuple(ns(row[0]) for row in self.stalls),
                length_ns=tuple(ns(row[1]) for row in self.stalls),
                looks=tuple(row[2] for row in self.stalls),
                running=tuple(row[3] for row in self.stalls),
                place=tuple(row[4] for row in self.stalls),
                leaf=tuple(row[4] for row in self.stalls),
                syscall=tuple(row[5] for row in self.stalls),
                loop=(1,) * len(self.stalls),
            ),
            made=self.made,
        )

    def timeline(self, **more: Any) -> Timeline:
        """The trial."""
        loop = sleeping(self.total, *self.asleep) if self.asleep else None
        jobs = Jobs(
            queued_ns=tuple(ns(row[0]) for row in self.jobs),
            started_ns=tuple(ns(row[1]) for row in self.jobs),
            ended_ns=tuple(ns(row[2]) for row in self.jobs),
            threads=tuple(row[3] for row in self.jobs),
        )
        named = {"arm": "program/own", "activity": self.activity(), "jobs": jobs if self.jobs else None, **more}
        return line(self.total, self.attempts, loop, **named)


def semaphored(n: int, bound: int, kind: str = "semaphore") -> Program:
    """N tasks of one gather, `bound` of which have the semaphore of line 14 at a time, each for a request of 10 ms."""
    waves = -(-n // bound)
    program = Program(total=10.0 * waves)
    main = program.task(0, 10 * waves)
    makers = [program.task(0, 10 * (k // bound + 1), main, at=20) for k in range(n)]
    for k, task in enumerate(makers):
        begin = 10 * (k // bound)
        if begin:
            program.wait(task, kind, (0, begin), waker=makers[k - bound], value=bound, at=14)
        program.fetch(task, (begin, begin + 10), at=15)
    program.wait(main, "gather", (0, 10 * waves), waker=makers[-1], at=21)
    program.asleep = [(10.0 * wave, 10.0 * wave + 9.9) for wave in range(waves)]
    return program


def serial(n: int) -> Program:
    """One task that awaits N requests of 10 ms, one after the other, in line 9."""
    program = Program(total=10.0 * n)
    main = program.task(0, 10 * n)
    for k in range(n):
        program.fetch(main, (10 * k, 10 * k + 10), at=9)
    program.asleep = [(10.0 * k, 10.0 * k + 9.9) for k in range(n)]
    return program


def batched(n: int, size: int) -> Program:
    """Batches of `size` requests of 6, and one of 10 ms, each waited for in line 30 before the next begins."""
    program = Program(total=10.0 * (n // size))
    main = program.task(0, 10 * (n // size))
    for batch in range(n // size):
        at = 10 * batch
        tasks = [program.task(at, at + (10 if k == size - 1 else 6), main, at=29) for k in range(size)]
        for k, task in enumerate(tasks):
            program.fetch(task, (at, at + (10 if k == size - 1 else 6)), at=25)
        program.wait(main, "gather", (at, at + 10), waker=tasks[-1], at=30)
    program.asleep = [(10.0 * k, 10.0 * k + 9.9) for k in range(n // size)]
    return program


def paced(n: int, sleep: float = 20.0) -> Program:
    """A task that sleeps in line 5 between the requests that it starts, which take 10 ms."""
    program = Program(total=sleep * (n - 1) + 10)
    main = program.task(0, sleep * (n - 1) + 10)
    for k in range(n):
        task = program.task(sleep * k, sleep * k + 10, main, at=4)
        program.fetch(task, (sleep * k, sleep * k + 10), at=3)
        if k < n - 1:
            program.wait(main, "sleep", (sleep * k, sleep * (k + 1)), value=round(sleep * 1000), at=5)
    program.wait(main, "gather", (sleep * (n - 1), sleep * (n - 1) + 10), waker=n + 1, at=6)
    program.asleep = [(sleep * k, sleep * (k + 1) - 0.1) for k in range(n)]
    return program


def threaded(n: int, threads: int) -> Program:
    """N awaits in line 8 of calls in an executor of so many threads, each of which makes a request of 10 ms."""
    waves = -(-n // threads)
    program = Program(total=10.0 * waves)
    main = program.task(0, 10 * waves)
    for k in range(n):
        begin = 10 * (k // threads)
        task = program.task(0, begin + 10, main, at=7)
        program.jobs.append((0.0, begin + 0.1, begin + 9.9, threads))
        program.fetch(0, (begin + 0.2, begin + 9.8), thread=1 + k % threads, job=k + 1, at=2)
        program.wait(task, "executor", (0, begin + 10), number=k + 1, at=8)
    program.wait(main, "gather", (0, 10 * waves), waker=n + 1, at=10)
    program.asleep = [(10.0 * wave, 10.0 * wave + 9.9) for wave in range(waves)]
    return program
