"""Chrome trace events (chrome://tracing, Perfetto): a process a trial, lanes of requests, the loop's iterations as a thread."""

import heapq
from collections.abc import Iterator
from typing import Any

import msgspec

from loopdiag.model.document import Document
from loopdiag.model.events import PHASES
from loopdiag.model.timeline import Attempt, Iterations, Timeline

LOOP_THREAD = 0
Event = dict[str, Any]


def microseconds(nanoseconds: int) -> float:
    """Microseconds, the unit of the format."""
    return nanoseconds / 1e3


def lanes(attempts: tuple[Attempt, ...]) -> list[tuple[int, Attempt]]:
    """Attempts with the lane (from 1) in which each overlaps nobody, by start; attempts without phases are left out."""
    shown = sorted((a for a in attempts if a.phases), key=lambda a: a.phases[0].start_ns)
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    placed, used = [], 0
    for attempt in shown:
        while busy and busy[0][0] <= attempt.phases[0].start_ns:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            used += 1
            heapq.heappush(free, used)
        lane = heapq.heappop(free)
        heapq.heappush(busy, (attempt.phases[-1].end_ns, lane))
        placed.append((lane, attempt))
    return placed


def named(kind: str, process: int, thread: int, name: str) -> Event:
    """The label of a process or a thread."""
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}


def span(process: int, thread: int, name: str, category: str, bounds: tuple[int, int], **arguments: Any) -> Event:
    """One complete event; `bounds` in nanoseconds."""
    start, end = bounds
    event = {
        "ph": "X",
        "pid": process,
        "tid": thread,
        "name": name,
        "cat": category,
        "ts": microseconds(start),
        "dur": microseconds(end - start),
    }
    return event | ({"args": arguments} if arguments else {})


def attempt_events(process: int, lane: int, attempt: Attempt, t0_ns: int) -> Iterator[Event]:
    """The attempt as a span, its phases within it."""
    bounds = (t0_ns + attempt.phases[0].start_ns, t0_ns + attempt.phases[-1].end_ns)
    facts = {"status": attempt.status, "connection": attempt.connection, "flags": list(attempt.flags), "attempt": attempt.number}
    yield span(process, lane, f"request {attempt.request}", "request", bounds, **facts)
    for phase in attempt.phases:
        yield span(process, lane, phase.name, PHASES[phase.name][0], (t0_ns + phase.start_ns, t0_ns + phase.end_ns))


def loop_events(process: int, loop: Iterations, t0_ns: int) -> Iterator[Event]:
    """What each iteration ran, and the length of the ready queue when it began."""
    for start, poll, run, ready in zip(loop.start_ns, loop.poll_ns, loop.run_ns, loop.ready, strict=True):
        begun = t0_ns + start + poll
        yield span(process, LOOP_THREAD, "run", "loop", (begun, begun + run))
        yield {"ph": "C", "pid": process, "name": "ready queue", "ts": microseconds(t0_ns + start), "args": {"callbacks": ready}}


def trial_events(process: int, line: Timeline, zero_ns: int) -> Iterator[Event]:
    """All events of one trial."""
    t0_ns = line.t0_ns - zero_ns
    yield named("process_name", process, LOOP_THREAD, f"{line.arm} N={line.n} repetition {line.repetition}")
    placed = lanes(line.attempts)
    if line.iterations:
        yield named("thread_name", process, LOOP_THREAD, "event loop")
        yield from loop_events(process, line.iterations, t0_ns)
    for lane in sorted({lane for lane, _ in placed}):
        yield named("thread_name", process, lane, f"requests, lane {lane}")
    for lane, attempt in placed:
        yield from attempt_events(process, lane, attempt, t0_ns)


def render(document: Document) -> str:
    """All timeline trials on the machine's monotonic clock, the first one's first stamp as zero."""
    zero = min((line.t0_ns for line in document.timelines), default=0)
    events = [event for k, line in enumerate(document.timelines, 1) for event in trial_events(k, line, zero)]
    other = {"loopdiag": document.recording.loopdiag, "scenario": document.recording.scenario.name}
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}).decode()
