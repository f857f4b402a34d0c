"""What a program's requests cost beside their way through the client: executors, stalls, things made, redirects, connects, the GIL."""

import re
from collections import defaultdict
from collections.abc import Iterable
from statistics import median

from loopdiag.analysis.observed_waits import of_lookups
from loopdiag.analysis.occupancy import at_most
from loopdiag.analysis.program_index import Index
from loopdiag.analysis.program_seen import Connects, Executor, Gil, Many, Stalled
from loopdiag.analysis.program_waiting import commonest, index_of, place_of
from loopdiag.model.program import WAITS, Made
from loopdiag.model.recording import TrialResult
from loopdiag.model.timeline import Jobs, Process, Timeline

MS = 1_000_000
#: the other family of addresses is tried after a quarter of a second
FALLBACK_NS = (200 * MS, 320 * MS)
#: a lost first packet is sent again after 1, then 3, then 7 s
REPEATED_NS = ((950 * MS, 1400 * MS), (2900 * MS, 3700 * MS), (6800 * MS, 8200 * MS))
#: what ran out → how operating systems say so
RAN_OUT = {
    "ports": re.compile(r"EADDRNOTAVAIL|[Cc]annot assign requested address|[Cc]an't assign requested address|[Ee]rrno 99\b"),
    "descriptors": re.compile(r"EMFILE|ENFILE|[Tt]oo many open files|[Ee]rrno 24\b"),
}


def requests_of(line: Timeline) -> int:
    """How many requests the trial made, as far as its attempts are shown; at least 1."""
    return max(1, len({attempt.request for attempt in line.attempts}))


def executors(line: Timeline) -> tuple[Executor, ...]:
    """The lines that wait for calls in executors, longest wait first; look-ups of names are not among them."""
    index, jobs = index_of(line), line.jobs or Jobs()
    looks = of_lookups(line) if line.jobs else []
    groups: dict[int, list[tuple[int, int]]] = defaultdict(list)  # place → (time waited, the call)
    waits, told = index.activity.waits, set()
    for row, number in enumerate(waits.number):
        if index.kind(row) == "executor" and not (number and looks[number - 1 : number] == [True]):
            groups[waits.place[row]].append((waits.end_ns[row] - waits.start_ns[row], number))
            told.add(number)
    untold = [number for number, look in enumerate(looks, 1) if not look and number not in told]
    if untold:
        groups[-1] = [(jobs.ended_ns[number - 1] - jobs.queued_ns[number - 1], number) for number in untold]
    found = [
        _executor(line, jobs, place, rows, index.requests_of_job) if any(number for _, number in rows) else _threads(line, index, place)
        for place, rows in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: -each.waiting_ns))


def _executor(line: Timeline, jobs: Jobs, place: int, rows: list[tuple[int, int]], requests: dict[int, list[int]]) -> Executor:
    calls = [number - 1 for _, number in rows if number]
    return Executor(
        place=place_of(line, place),
        calls=len(rows),
        per_request=len(rows) / requests_of(line),
        waiting_ns=sum(length for length, _ in rows),
        queued_ns=sum(jobs.started_ns[call] - jobs.queued_ns[call] for call in calls),
        ran_ns=sum(jobs.ended_ns[call] - jobs.started_ns[call] for call in calls),
        threads=max((jobs.threads[call] for call in calls), default=0),
        busy=at_most((jobs.started_ns[call], jobs.ended_ns[call]) for call in calls),
        with_requests=sum(bool(requests.get(call + 1)) for call in calls) / len(rows),
    )


def _threads(line: Timeline, index: Index, place: int) -> Executor:
    """The same of threads that are no executor's of ours: AnyIO's, whose queue is a limiter that the same line waits for."""
    waits = index.activity.waits
    here = [row for row, at in enumerate(waits.place) if at == place]
    calls = [(waits.start_ns[row], waits.end_ns[row]) for row in here if index.kind(row) == "executor"]
    queue = [row for row in here if index.kind(row) == "limiter"]
    queued, ran = sum(waits.end_ns[row] - waits.start_ns[row] for row in queue), sum(end - start for start, end in calls)
    return Executor(
        place=place_of(line, place),
        calls=len(calls),
        per_request=len(calls) / requests_of(line),
        waiting_ns=queued + ran,
        queued_ns=queued,
        ran_ns=ran,
        threads=max((waits.value[row] for row in queue), default=0),
        busy=at_most(calls),
        with_requests=sum(bool(index.thread_request(*call)) for call in calls) / len(calls),
    )


def thread_hops(line: Timeline) -> float:
    """Calls in executors per request, look-ups of names not counted; where there are none, those in other threads (AnyIO's)."""
    kinds = [WAITS[kind] for kind in line.activity.waits.kind] if line.activity else []
    numbers = line.activity.waits.number if line.activity else ()
    elsewhere = sum(kind == "executor" and not number for kind, number in zip(kinds, numbers, strict=True))
    return (sum(not look for look in of_lookups(line)) or elsewhere) / requests_of(line)


def stalled(line: Timeline) -> tuple[Stalled, ...]:
    """The lines that held the loop's thread, longest first."""
    if line.activity is None:
        return ()
    groups: dict[int, list[int]] = defaultdict(list)
    for row, place in enumerate(line.activity.stalls.place):
        groups[place].append(row)
    return tuple(sorted((_stalled(line, place, rows) for place, rows in groups.items()), key=lambda each: -each.total_ns))


def _stalled(line: Timeline, place: int, rows: list[int]) -> Stalled:
    assert line.activity is not None
    seen = line.activity.stalls
    looked = [row for row in rows if seen.looks[row]]
    total = sum(seen.length_ns[row] for row in rows)
    scale = total / length if (length := sum(seen.length_ns[row] for row in looked)) else 0.0
    blocked = sum(seen.length_ns[row] * (seen.looks[row] - seen.running[row]) / seen.looks[row] for row in looked) * scale
    calls: dict[int, int] = defaultdict(int)
    for row in looked:
        if seen.syscall[row] >= 0:
            calls[seen.syscall[row]] += seen.looks[row]
    return Stalled(
        place=place_of(line, place),
        leaf=commonest(line, (seen.leaf[row] for row in rows)),
        count=len(rows),
        total_ns=total,
        blocked_ns=round(blocked) if looked else None,
        cpu_ns=total - round(blocked) if looked else None,
        syscall=max(calls, key=lambda call: calls[call], default=-1),
        per_request=len(rows) / requests_of(line),
    )


def made(line: Timeline, what: str = "") -> tuple[Many, ...]:
    """What the program made ("session", "tls-context", …; "": anything), most first."""
    found = [each for each in (line.activity.made if line.activity else ()) if not what or each.what == what]
    return tuple(_many(line, each) for each in sorted(found, key=lambda each: -each.count))


def _many(line: Timeline, each: Made) -> Many:
    return Many(
        what=each.what,
        place=place_of(line, each.place),
        count=each.count,
        per_request=each.count / requests_of(line),
        value=each.value,
        cpu_ns=each.cpu_ns,
    )


def redirects(line: Timeline) -> float:
    """Redirects per request: attempts that a redirect led to, over requests."""
    hops: dict[int, int] = defaultdict(int)
    for attempt in line.attempts:
        hops[attempt.request] = max(hops[attempt.request], attempt.hop or 0)
    return sum(hops.values()) / requests_of(line)


def connects(line: Timeline) -> Connects | None:
    """How connections were set up; None where none was, or no stamps tell."""
    links = [link for link in line.connections if {"tcp_start", "tcp_end"} <= set(link.stamps)]
    took = [link.stamps["tcp_end"] - link.stamps["tcp_start"] for link in links]
    if not took:
        return None
    late = [length - 1000 * (link.rtt_us or 0) for link, length in zip(links, took, strict=True)]  # a server far away is no step
    sent_again = [link.retransmits for link in line.connections if link.retransmits is not None]
    return Connects(
        count=len(took),
        median_ns=round(median(took)),
        longest_ns=max(took),
        fallback=sum(
            FALLBACK_NS[0] <= length <= FALLBACK_NS[1] and link.address_attempts != 1 for link, length in zip(links, late, strict=True)
        ),
        repeated_syn=sum(low <= length <= high for length in late for low, high in REPEATED_NS),
        several_addresses=sum((link.address_attempts or 0) > 1 for link in line.connections),
        retransmits=sum(sent_again) if sent_again else None,
    )


def exhausted(trials: Iterable[TrialResult]) -> dict[str, int]:
    """What ran out, by what the errors of `trials` (`Evidence.failed`) say: "ports" or "descriptors" → how many errors said so."""
    found: dict[str, int] = defaultdict(int)
    for trial in trials:
        said = {**trial.errors, **({trial.why: 1} if trial.why else {})}
        for error, count in said.items():
            for what, pattern in RAN_OUT.items():
                if pattern.search(error):
                    found[what] += count
    return dict(found)


def gil(line: Timeline) -> Gil | None:
    """How long the loop's thread may have waited for the GIL; None where the clocks do not tell."""
    lag, process = line.lag, line.process
    if lag is None or process is None or process.cpu_ns is None or line.cpu_ns is None or not line.total_ns:
        return None
    unseen = _ran_outside(line, process)  # the thread's clock was read between two iterations only
    off_cpu = max(0, lag.running_ns - unseen - process.cpu_ns - (process.run_queue_ns or 0))
    read = lag.running_ns - unseen
    loops = process.cpu_ns * lag.running_ns / read if read > 0 else process.cpu_ns  # outside of the readings it computed as much as within
    others = max(0, round(line.cpu_ns - loops))
    return Gil(others_cpu_ns=others, waited_ns=min(off_cpu, others))


def _ran_outside(line: Timeline, process: Process) -> int:
    """How long the loop ran before the first, and after the last, reading of its thread's clock."""
    if line.iterations is None:
        return 0
    first, last = process.first_ns or 0, line.total_ns if process.last_ns is None else process.last_ns
    found = 0
    for start, poll, run in zip(line.iterations.start_ns, line.iterations.poll_ns, line.iterations.run_ns, strict=True):
        begin, end = start + poll, start + poll + run
        found += (end - begin) - max(0, min(end, last) - max(begin, first))
    return found
