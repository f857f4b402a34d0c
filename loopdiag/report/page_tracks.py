"""What the page draws under the waterfall: the loop's iterations, collector pauses, executor jobs, and what they sum to; microseconds."""

from collections.abc import Iterable, Sequence
from typing import Any

from loopdiag.model.timeline import Iterations, Jobs, Lag, Pause, Process, Timeline
from loopdiag.report.page_columns import column, deltas, micros, packed
from loopdiag.report.steps import READY, busy

BINS = 1000  # of the loop's lane where its iterations are not in the page one by one
MOST_ITERATIONS = 120_000  # of all timelines of the page, one by one
MOST_OF_ONE = 20_000  # of one timeline
BLOCKED_NS = 10_000_000  # an iteration that ran so long kept everything else waiting for longer than people notice
MOST_MARKS = 2_000  # blocked iterations, pauses or jobs of one timeline


def singly(lines: Sequence[Timeline]) -> set[int]:
    """The timelines (by place) whose iterations stand in the page one by one: first repetitions and large N first, as long as there is room."""
    room, chosen = MOST_ITERATIONS, set()
    for k in sorted(range(len(lines)), key=lambda k: (lines[k].repetition, -lines[k].n)):
        loop = lines[k].iterations
        if loop is not None and len(loop.start_ns) <= min(room, MOST_OF_ONE):
            room -= len(loop.start_ns)
            chosen.add(k)
    return chosen


def track_columns(line: Timeline, *, single: bool) -> dict[str, Any]:
    """All tracks of one timeline; None where nothing was observed."""
    return {
        "loop": loop_columns(line, line.iterations, single=single) if line.iterations else None,
        "pauses": pause_columns(line.pauses),
        "jobs": job_columns(line.jobs) if line.jobs else None,
        "lag": lag_figures(line.lag) if line.lag else None,
        "process": process_figures(line.process) if line.process else None,
    }


def loop_columns(line: Timeline, loop: Iterations, *, single: bool) -> dict[str, Any]:
    """Iterations one by one (`gap` to the one before, `poll`, `run`, `ready`) or as shares of ``BINS`` bins; and those that blocked."""
    made: dict[str, Any] = {"count": len(loop.start_ns), "blocked": blocked(loop), "knowsReady": READY not in line.not_observed}
    if not single:
        return made | {"bins": busy(loop, line.total_ns, BINS)}
    gaps, polls, runs = steps(loop)
    return made | {"gap": packed(gaps), "poll": packed(polls), "run": packed(runs), "ready": packed(loop.ready)}


def steps(loop: Iterations) -> tuple[list[int], list[int], list[int]]:
    """Gaps, polls and runs in microseconds, rounded as times.  The recorder's ticks leave less than a microsecond between iterations: no gap."""
    begins = [micros(at) for at in loop.start_ns]
    wakes = [micros(at + poll) for at, poll in zip(loop.start_ns, loop.poll_ns, strict=True)]
    ends = [micros(at + poll + run) for at, poll, run in zip(loop.start_ns, loop.poll_ns, loop.run_ns, strict=True)]
    for k, (end, begin) in enumerate(zip(ends, begins[1:], strict=False)):
        if abs(begin - end) <= 1:
            ends[k] = begin
    gaps = [begin - end for end, begin in zip([0, *ends], begins, strict=False)]
    polls = [wake - begin for begin, wake in zip(begins, wakes, strict=True)]
    return gaps, polls, [end - wake for wake, end in zip(wakes, ends, strict=True)]


def blocked(loop: Iterations) -> list[list[int]]:
    """[when it began to run, how long, callbacks that were ready] of the iterations that ran for ``BLOCKED_NS`` or longer; the longest, by time."""
    rows = zip(loop.start_ns, loop.poll_ns, loop.run_ns, loop.ready, strict=True)
    found = [(at + poll, run, ready) for at, poll, run, ready in rows if run >= BLOCKED_NS]
    longest = sorted(found, key=lambda row: -row[1])[:MOST_MARKS]
    return [[micros(at), micros(run), ready] for at, run, ready in sorted(longest)]


def pause_columns(pauses: Iterable[Pause]) -> dict[str, Any]:
    """The longest pauses, by time; `count` says how many there were."""
    seen = list(pauses)
    longest = sorted(sorted(seen, key=lambda pause: -pause.length_ns)[:MOST_MARKS], key=lambda pause: pause.start_ns)
    return {
        "count": len(seen),
        "start": deltas(pause.start_ns for pause in longest),
        "length": [micros(pause.length_ns) for pause in longest],
        "generation": column([pause.generation for pause in longest]),
    }


def job_columns(jobs: Jobs) -> dict[str, Any]:
    """The first jobs: when each was queued, how long it waited and ran, and how many threads there were; `count` says how many jobs."""
    rows = sorted(zip(jobs.queued_ns, jobs.started_ns, jobs.ended_ns, jobs.threads, strict=True))[:MOST_MARKS]
    return {
        "count": len(jobs.queued_ns),
        "queued": deltas(row[0] for row in rows),
        "wait": [micros(started) - micros(queued) for queued, started, _, _ in rows],
        "length": [micros(ended) - micros(started) for _, started, ended, _ in rows],
        "threads": column([row[3] for row in rows]),
    }


def lag_figures(lag: Lag) -> dict[str, int | None]:
    """The loop's lag over the whole trial."""
    return {
        "running": micros(lag.running_ns),
        "blocked": micros(lag.blocked_ns),
        "blocks": lag.blocked,
        "longest": micros(lag.longest_ns),
        "expected": micros(lag.expected_wait_ns),
        "kernel": None if lag.kernel_ns is None else micros(lag.kernel_ns),
    }


def process_figures(process: Process) -> dict[str, int | None]:
    """What the operating system counted; times in microseconds."""
    return {
        "cpu": None if process.cpu_ns is None else micros(process.cpu_ns),
        "runQueue": None if process.run_queue_ns is None else micros(process.run_queue_ns),
        "waits": process.waits,
        "preemptions": process.preemptions,
        "descriptors": process.descriptors,
        "threads": process.threads,
    }
