"""Chrome trace events (chrome://tracing, Perfetto): a process a trial; its threads are the loop, the collector, lanes of requests, connections."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from loopdiag.model.document import Document
from loopdiag.model.events import PHASES
from loopdiag.model.timeline import Attempt, Connection, Iterations, Jobs, Pause, Timeline
from loopdiag.report.steps import READY, Interval, in_flight, in_queue, lease, open_count

LOOP_THREAD = 0
COLLECTOR_THREAD = 100_000
CONNECTION_THREADS = 200_000  # from here on, after all lanes of requests
SET_UP = (
    ("dns", "dns_start", "dns_end"),
    ("lookup", "lookup_start", "lookup_end"),
    ("connect", "tcp_start", "tcp_end"),
    ("ssl", "tls_start", "tls_end"),
)
Event = dict[str, Any]
Item = TypeVar("Item")


def microseconds(nanoseconds: int) -> float:
    """Microseconds, the unit of the format."""
    return nanoseconds / 1e3


def lanes(items: Iterable[tuple[Interval, Item]]) -> list[tuple[int, Interval, Item]]:
    """Items with the lane (from 1) in which each overlaps nobody, by start."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    placed, used = [], 0
    for bounds, item in sorted(items, key=lambda pair: pair[0]):
        while busy and busy[0][0] <= bounds[0]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            used += 1
            heapq.heappush(free, used)
        lane = heapq.heappop(free)
        heapq.heappush(busy, (bounds[1], lane))
        placed.append((lane, bounds, item))
    return placed


def named(kind: str, process: int, thread: int, name: str) -> Event:
    """The label of a process or a thread."""
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}


def span(process: int, thread: int, name: str, category: str, bounds: Interval, **arguments: Any) -> Event:
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


def counter(process: int, name: str, at_ns: int, key: str, value: int) -> Event:
    """One value of a counter, from `at_ns` on."""
    return {"ph": "C", "pid": process, "name": name, "ts": microseconds(at_ns), "args": {key: value}}


def attempt_events(process: int, lane: int, attempt: Attempt, t0_ns: int) -> Iterator[Event]:
    """The attempt as a span, its phases within it."""
    bounds = (t0_ns + attempt.phases[0].start_ns, t0_ns + attempt.phases[-1].end_ns)
    facts = {"status": attempt.status, "connection": attempt.connection, "flags": list(attempt.flags), "attempt": attempt.number}
    facts |= {"hop": attempt.hop, "lag_low_ns": attempt.lag_low_ns, "lag_high_ns": attempt.lag_high_ns}
    yield span(process, lane, f"request {attempt.request}", "request", bounds, **facts)
    for phase in attempt.phases:
        yield span(process, lane, phase.name, PHASES[phase.name][0], (t0_ns + phase.start_ns, t0_ns + phase.end_ns))


def request_events(process: int, line: Timeline, t0_ns: int) -> Iterator[Event]:
    """All attempts in lanes; those without phases are left out."""
    placed = lanes(((a.phases[0].start_ns, a.phases[-1].end_ns), a) for a in line.attempts if a.phases)
    for lane in sorted({lane for lane, _, _ in placed}):
        yield named("thread_name", process, lane, f"requests, lane {lane}")
    for lane, _, attempt in placed:
        yield from attempt_events(process, lane, attempt, t0_ns)


def connection_events(process: int, line: Timeline, t0_ns: int) -> Iterator[Event]:
    """A thread a connection, or several where it carries several requests at once: its set-up, then what it carried."""
    carried: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in line.attempts:
        if attempt.connection is not None:
            carried[attempt.connection].append(attempt)
    thread = CONNECTION_THREADS
    for link in line.connections:
        placed = lanes((lease(attempt, link), attempt) for attempt in carried[link.number])
        streams = max((lane for lane, _, _ in placed), default=1)
        for lane in range(streams):
            name = f"connection {link.number}" + (f", stream lane {lane + 1}" if streams > 1 else "")
            yield named("thread_name", process, thread + lane, name)
        yield from set_up_events(process, thread, link, t0_ns)
        for lane, (begin, end), attempt in placed:
            bounds = (t0_ns + begin, t0_ns + end)
            yield span(process, thread + lane - 1, f"request {attempt.request}", "connection", bounds, attempt=attempt.number)
        thread += streams


def set_up_events(process: int, thread: int, link: Connection, t0_ns: int) -> Iterator[Event]:
    """How the connection was opened, and when it was closed."""
    facts = {"opened_by": link.request, "rtt_us": link.rtt_us, "retransmits": link.retransmits}
    for phase, begin, end in SET_UP:
        if begin in link.stamps and end in link.stamps:
            yield span(process, thread, phase, "connection", (t0_ns + link.stamps[begin], t0_ns + link.stamps[end]), **facts)
    if "closed" in link.stamps:
        at = microseconds(t0_ns + link.stamps["closed"])
        yield {"ph": "i", "s": "t", "pid": process, "tid": thread, "name": "closed", "cat": "connection", "ts": at}


def loop_events(process: int, loop: Iterations, t0_ns: int, *, knows_ready: bool) -> Iterator[Event]:
    """Each iteration's poll and run, and the length of the ready queue when it began, where the loop shows it."""
    for start, poll, run, ready in zip(loop.start_ns, loop.poll_ns, loop.run_ns, loop.ready, strict=True):
        begun = t0_ns + start + poll
        yield span(process, LOOP_THREAD, "poll", "loop", (t0_ns + start, begun))
        yield span(process, LOOP_THREAD, "run", "loop", (begun, begun + run))
        if knows_ready:
            yield counter(process, "ready queue", t0_ns + start, "callbacks", ready)


def pause_events(process: int, pauses: Iterable[Pause], t0_ns: int) -> Iterator[Event]:
    """The collector's pauses."""
    for pause in pauses:
        bounds = (t0_ns + pause.start_ns, t0_ns + pause.start_ns + pause.length_ns)
        yield span(process, COLLECTOR_THREAD, f"generation {pause.generation}", "collector", bounds)


def counters(process: int, line: Timeline, t0_ns: int) -> Iterator[Event]:
    """How many requests were in flight and in the pool's queue, how many jobs executors had."""
    jobs = line.jobs or Jobs()
    counted = (
        ("in flight", "requests", in_flight(line)),
        ("pool queue", "requests", in_queue(line)),
        ("executor queue", "jobs", list(zip(jobs.queued_ns, jobs.started_ns, strict=True))),
        ("executor threads at work", "threads", list(zip(jobs.started_ns, jobs.ended_ns, strict=True))),
    )
    for name, key, spans in counted:
        for at, count in open_count(spans):
            yield counter(process, name, t0_ns + at, key, count)


def trial_events(process: int, line: Timeline, zero_ns: int) -> Iterator[Event]:
    """All events of one trial."""
    t0_ns = line.t0_ns - zero_ns
    yield named("process_name", process, LOOP_THREAD, f"{line.arm} N={line.n} repetition {line.repetition}")
    if line.iterations:
        yield named("thread_name", process, LOOP_THREAD, "event loop")
        yield from loop_events(process, line.iterations, t0_ns, knows_ready=READY not in line.not_observed)
    if line.pauses:
        yield named("thread_name", process, COLLECTOR_THREAD, "garbage collector")
        yield from pause_events(process, line.pauses, t0_ns)
    yield from counters(process, line, t0_ns)
    yield from request_events(process, line, t0_ns)
    yield from connection_events(process, line, t0_ns)


def render(document: Document) -> str:
    """All timeline trials on the machine's monotonic clock, the first one's first stamp as zero."""
    zero = min((line.t0_ns for line in document.timelines), default=0)
    events = [event for k, line in enumerate(document.timelines, 1) for event in trial_events(k, line, zero)]
    other = {"loopdiag": document.recording.loopdiag, "scenario": document.recording.scenario.name}
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}).decode()
