"""What a program did beside its requests: its raw tables → an `Activity`, cut to the trial, with every reference to something that is not there turned to 0."""

import numpy as np

from loopdiag.analysis.columns import MISSING, Ints, Rows, Tables, after, length, nanoseconds, opened
from loopdiag.analysis.process import NO_TABLE, job_rows
from loopdiag.model.program import LIBRARIES, WAITS, Activity, Requests, Stalls, Tasks, Waits
from loopdiag.model.recording import TrialResult

#: so many tasks, and four times so many waits, are looked at; of more, the first
MOST = 50_000
TABLES = ("tasks", "waits", "requests", "stalls")

Span = tuple[int, int | None]  # of the trial, on the machine's clock


def activity(tables: Tables, trial: TrialResult) -> Activity | None:
    """The program's activity in one trial; None where no program was observed (no such table, no place).

    Numbers of tasks are those of the table, places those of the trial's list, `Requests.job` and the `Waits.number` of a wait for an executor count the calls
    of `Timeline.jobs` from 1.
    """
    if not trial.places and not any(name in tables for name in TABLES):
        return None
    span = trial.t0_ns or 0, trial.t1_ns
    missing = {name: NO_TABLE for name in TABLES if name not in tables}
    tasks = _rows(tables, "tasks")
    known = min(_last(tasks), MOST)
    if _last(tasks) > known:
        missing["tasks.rest"] = f"only the first {known} of {_last(tasks)} tasks are looked at"
    chosen: dict[str, Rows] = {}
    for name, most in (("waits", 4 * MOST), ("requests", MOST), ("stalls", MOST)):
        chosen[name], more = _within(_rows(tables, name), span, most)
        if more:
            missing[f"{name}.rest"] = f"only the first {most} of {most + more} {name} are looked at"
    places, jobs = len(trial.places), job_rows(tables, *span)
    return Activity(
        places=trial.places,
        tasks=_tasks(tasks[1 : known + 1], span, known, places),
        waits=_waits(chosen["waits"], span, known, places, jobs),
        requests=_requests(chosen["requests"], span, tasks[: known + 1], places, jobs),
        stalls=_stalls(chosen["stalls"], span, places),
        made=trial.made,
        peers=trial.peers,
        not_observed=missing,
    )


def _rows(tables: Tables, name: str) -> Rows:
    found = tables.get(name)
    return np.zeros(1, dtype=[("t0", "<u8")]) if found is None or "t0" not in (found.dtype.names or ()) else found


def _last(rows: Rows) -> int:
    """The number of the last row that was opened."""
    there = np.flatnonzero(opened(rows) > 0)
    return int(there[-1]) if len(there) else 0


def _within(rows: Rows, span: Span, most: int) -> tuple[Rows, int]:
    """The rows that were opened before the trial's end, in order of time, at most so many; and how many more there are.

    Those from before its begin are kept: their ends may lie in it.
    """
    begun = opened(rows)
    inside = begun > 0
    if span[1] is not None:
        inside &= begun <= span[1]
    rows = rows[inside][np.argsort(begun[inside], kind="stable")]
    return rows[:most], max(0, len(rows) - most)


def _field(rows: Rows, name: str) -> Ints:
    return rows[name].astype(np.int64) if name in (rows.dtype.names or ()) else np.zeros(len(rows), dtype=np.int64)


def _known(numbers: Ints, most: int) -> tuple[int, ...]:
    """The numbers, 0 for those beyond `most`."""
    return tuple(np.where(numbers <= most, numbers, 0).tolist())


def _at(rows: Rows, name: str, span: Span) -> tuple[int, ...]:
    """A stamp as nanoseconds since the trial began, cut to the trial; -1 where not observed."""
    if name == "t0":
        times = np.where(opened(rows) > 0, opened(rows), MISSING)
    elif name in (rows.dtype.names or ()):
        times = nanoseconds(rows, name)
    else:
        times = np.full(len(rows), MISSING)
    last = np.iinfo(np.int64).max if span[1] is None else span[1] - span[0]
    return tuple(np.where(times == MISSING, -1, np.clip(after(times, span[0]), 0, last)).tolist())


def _tasks(rows: Rows, span: Span, known: int, places: int) -> Tasks:
    return Tasks(
        created_ns=_at(rows, "t0", span),
        first_run_ns=_at(rows, "first_run", span),
        done_ns=_at(rows, "done", span),
        parent=_known(_field(rows, "parent"), known),
        place=_known(_field(rows, "place"), places - 1),
        loop=tuple(_field(rows, "loop").tolist()),
    )


def _waits(rows: Rows, span: Span, known: int, places: int, jobs: Ints) -> Waits:
    """Waits of tasks that are known; one without an end lasted as long as the trial."""
    rows = rows[(_field(rows, "task") > 0) & (_field(rows, "task") <= known)]
    end, kind = np.array(_at(rows, "end", span), dtype=np.int64), np.array(_known(_field(rows, "kind"), len(WAITS) - 1), dtype=np.int64)
    last = max((span[1] or 0) - span[0], int(end.max(initial=0)))
    end = np.where(end < 0, last, end)
    rows, end, kind = rows[end > 0], end[end > 0], kind[end > 0]
    number = _field(rows, "number")
    return Waits(
        start_ns=tuple(np.minimum(np.array(_at(rows, "t0", span), dtype=np.int64), end).tolist()),
        woken_ns=_at(rows, "woken", span),
        end_ns=tuple(end.tolist()),
        task=tuple(_field(rows, "task").tolist()),
        kind=tuple(kind.tolist()),
        number=tuple(np.where(kind == WAITS.index("executor"), _rank(number, jobs), number).tolist()),
        value=tuple(_field(rows, "value").tolist()),
        place=_known(_field(rows, "place"), places - 1),
        waker=_known(_field(rows, "waker"), known),
    )


def _rank(rows: Ints, kept: Ints) -> Ints:
    """Where each row number stands among those that were kept, counted from 1; 0: not there."""
    if not len(kept):
        return np.zeros(len(rows), dtype=np.int64)
    found = np.minimum(np.searchsorted(kept, rows), len(kept) - 1)
    return np.where(kept[found] == rows, found + 1, 0)


def _requests(rows: Rows, span: Span, tasks: Rows, places: int, jobs: Ints) -> Requests:
    """Requests; one that no line of the program made was made where its task was: ``gather(client.get(url), …)``."""
    task = np.array(_known(_field(rows, "task"), len(tasks) - 1), dtype=np.int64)
    place = np.array(_known(_field(rows, "place"), places - 1), dtype=np.int64)
    of_task = np.array(_known(_field(tasks, "place"), places - 1), dtype=np.int64)[task]
    return Requests(
        at_ns=_at(rows, "t0", span),
        request=tuple(_field(rows, "request").tolist()),
        task=tuple(task.tolist()),
        thread=tuple(_field(rows, "thread").tolist()),
        job=tuple(_rank(_field(rows, "job"), jobs).tolist()),
        place=tuple(np.where(place > 0, place, of_task).tolist()),
        library=_known(_field(rows, "library"), len(LIBRARIES) - 1),
    )


def _stalls(rows: Rows, span: Span, places: int) -> Stalls:
    """Stretches that reach into the trial, cut to it."""
    took = length(rows, "length") if "length" in (rows.dtype.names or ()) else np.zeros(len(rows), dtype=np.int64)
    inside = opened(rows) + took > span[0]
    rows, end = rows[inside], (opened(rows) + took)[inside]
    begin = np.maximum(opened(rows), span[0])
    end = end if span[1] is None else np.minimum(end, span[1])
    return Stalls(
        start_ns=tuple((begin - span[0]).tolist()),
        length_ns=tuple((end - begin).tolist()),
        looks=tuple(_field(rows, "looks").tolist()),
        running=tuple(_field(rows, "running").tolist()),
        place=_known(_field(rows, "place"), places - 1),
        leaf=_known(_field(rows, "leaf"), places - 1),
        syscall=tuple((_field(rows, "syscall") - 1).tolist()),
        loop=tuple(_field(rows, "loop").tolist()),
    )
