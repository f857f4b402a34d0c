"""Columns → timelines: every attempt as phases without overlap or gap, checked against the invariants.

For every request Σ phases = done - created.  A phase ends where the next stamp that was observed begins; time in which a request should
have been run by its loop while the loop sat idle in its poll is shown by no stamp and becomes `unattributed`.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.columns import MISSING, Ints, backwards, stamps, used
from loopdiag.analysis.idle import Idle
from loopdiag.model.recording import TrialResult
from loopdiag.model.timeline import Attempt, Connection, Iterations, Phase, Timeline

Tables = Mapping[str, NDArray[np.void]]
Marks = dict[str, int]  # stamp → nanoseconds since the trial began; only what was observed

STAMPS = (
    "due", "created", "first_run", "enqueued", "assigned", "resumed", "stream", "send_start", "send_end",
    "rx_kernel", "first_byte", "headers", "rx_last", "last_byte", "body", "decoded", "released", "done",
)  # fmt: skip
LINK_STAMPS = ("dns_start", "dns_end", "tcp_start", "tcp_end", "tls_start", "tls_end", "made", "closed")
FLAGS = (
    "reused", "dns_hit", "dns_coalesced", "shared_connect", "retried", "redirected",
    "cancelled", "error", "rx_coalesced", "eager", "timed_out", "http2",
)  # fmt: skip

#: the order that stamps of one attempt must keep (others may interleave: see model/events.py)
MONOTONE = ("created", "first_run", "enqueued", "assigned", "resumed", "send_start", "first_byte", "last_byte", "body", "decoded", "done")
LINK_MONOTONE = ("dns_start", "dns_end", "tcp_start", "tcp_end", "tls_start", "tls_end", "made")

#: phases in which only the loop keeps the request waiting: idle time inside them is unattributed
LOOP_BOUND = frozenset({"start", "prepare", "resume", "handover", "finish"})


def resolve(tables: Tables, trial: TrialResult) -> Timeline:
    """The timeline of one trial.  `tables` are its raw tables (rows as in ``instruments/schema.py``, row 0 the sink)."""
    since = trial.t0_ns or 0
    attempts, links = tables.get("attempts"), tables.get("connections")
    connections = _connections(links, since) if links is not None else {}
    iterations = tables.get("iterations")
    idle = Idle.of(iterations, since)
    rows = used(attempts, since) if attempts is not None else np.empty(0, dtype=np.int64)
    faults: list[str] = []
    resolved: list[Attempt] = []
    if attempts is not None and len(rows):
        columns = stamps(attempts[rows], STAMPS)
        faults += [f"{a} after {b} in {count} attempts" for (a, b), count in backwards(columns, MONOTONE).items()]
        resolved = list(_attempts(attempts[rows], columns, connections, idle, since))
    if links is not None:
        begun = stamps(links[used(links, since)], LINK_STAMPS)
        faults += [f"{a} after {b} in {count} connections" for (a, b), count in backwards(begun, LINK_MONOTONE).items()]
    return Timeline(
        trial=trial.spec.id,
        arm=trial.spec.arm.name,
        n=trial.spec.n,
        repetition=trial.spec.repetition,
        t0_ns=since,
        total_ns=round((trial.total_s or 0) * 1e9),
        attempts=tuple(resolved),
        connections=tuple(connections.values()),
        iterations=_iterations(iterations, since, trial.t1_ns),
        unattributed_share=_unattributed(resolved),
        faults=tuple(faults),
        not_observed=trial.not_observed,
    )


def _marks(columns: Mapping[str, Ints], index: int, since: int) -> Marks:
    return {name: int(column[index]) - since for name, column in columns.items() if column[index] != MISSING}


def _connections(rows: NDArray[np.void], since: int) -> dict[int, Connection]:
    """Connection number (the row's) → connection, for those opened in the trial."""
    numbers = used(rows, since)
    columns = stamps(rows[numbers], LINK_STAMPS)
    found = {}
    for index, number in enumerate(numbers.tolist()):
        row = rows[number]
        found[number] = Connection(
            number=number,
            request=int(row["request"]) or None,
            requests=int(row["requests"]),
            stamps=_marks(columns, index, since),
            address_attempts=int(row["address_attempts"]) or None,
            tls_cpu_ns=int(row["tls_cpu_ns"]) if row["tls_steps"] else None,
            rtt_us=int(row["rtt_us"]) or None,
            retransmits=int(row["retransmits"]) if row["rtt_us"] else None,
        )
    return found


def _attempts(
    rows: NDArray[np.void], columns: Mapping[str, Ints], connections: Mapping[int, Connection], idle: Idle | None, since: int
) -> Iterator[Attempt]:
    marks = [_marks(columns, index, since) for index in range(len(rows))]
    requests = rows["request"].tolist()
    following = _next_attempt(requests)
    for index, row in enumerate(rows):
        own = marks[index]
        then = following[index]
        end = marks[then].get("enqueued") if then is not None else _done(own)
        flags = int(row["flags"])
        number = int(row["connection"])
        link = connections.get(number)
        began = link is not None and link.request == requests[index] and not flags & 1
        yield Attempt(
            request=requests[index],
            number=flags >> 16 & 0xFF,
            connection=number or None,
            status=int(row["status"]) or None,
            flags=tuple(name for bit, name in enumerate(FLAGS) if flags & 1 << bit),
            assignments=int(row["assignments"]) or None,
            wire_bytes=int(row["wire_bytes"]) or None,
            stamps=own,
            phases=tuple(_phases(own, link, began=began, end=end, idle=idle)),
        )


def _next_attempt(requests: list[int]) -> list[int | None]:
    """For each row, the row of the same request's next attempt, if there is one (rows are in the order in which they were opened)."""
    following: list[int | None] = [None] * len(requests)
    seen: dict[int, int] = {}
    for index in range(len(requests) - 1, -1, -1):
        following[index] = seen.get(requests[index])
        seen[requests[index]] = index
    return following


def _done(own: Marks) -> int | None:
    """When the request was done: as the driver said, else when the last thing was seen of it."""
    if "done" in own:
        return own["done"]
    return max((own[name] for name in ("headers", "last_byte", "body", "decoded", "released") if name in own), default=None)


#: what begins at a stamp, before and after the connection's set-up
BEFORE = (("first_run", "prepare"), ("enqueued", "pool"), ("assigned", "resume"))
AFTER = (
    ("send_start", "send"), ("send_end", "wait"), ("first_byte", "receive"),
    ("last_byte", "handover"), ("body", "decode"), ("decoded", "finish"),
)  # fmt: skip


def _boundaries(own: Marks, link: Connection | None, *, began: bool, end: int) -> Iterator[tuple[int, str]]:
    """(time, what begins there) in the order of an attempt's life; a phase lasts until the next boundary."""
    # a later attempt of a request has no creation of its own: it begins at its pool
    yield next((own[name] for name in ("created", "first_run", "enqueued") if name in own), end), "start"
    yield from ((own[stamp], phase) for stamp, phase in BEFORE if stamp in own)
    if link is not None and began:
        yield from _set_up(link.stamps)
    elif link is not None and link.stamps.get("made", 0) > own.get("assigned", end):
        yield own["assigned"], "shared"
        yield link.stamps["made"], "resume"
    for stamp, phase in AFTER:
        if stamp == "send_end" and "first_byte" in own and stamp in own:
            yield min(own[stamp], own["first_byte"]), phase  # an answer may arrive before the writer is resumed
        elif stamp == "body" and "decoded" not in own and stamp in own:
            yield own[stamp], "finish"
        elif stamp in own:
            yield own[stamp], phase


def _set_up(link: Marks) -> Iterator[tuple[int, str]]:
    for phase, begin, finish in (("dns", "dns_start", "dns_end"), ("connect", "tcp_start", "tcp_end"), ("ssl", "tls_start", "tls_end")):
        if begin in link and finish in link:
            yield link[begin], phase
            yield link[finish], "resume"


def _phases(own: Marks, link: Connection | None, *, began: bool, end: int | None, idle: Idle | None) -> Iterator[Phase]:
    if end is None:
        return
    steps = [*_boundaries(own, link, began=began, end=end), (end, "")]
    at = steps[0][0]
    for (_, name), (until, _next) in pairwise(steps):
        finish = min(max(until, at), end)
        if finish == at:
            continue
        lost = idle.between(at, finish) if idle is not None and name in LOOP_BOUND else 0
        if finish - lost > at:
            yield Phase(name=name, start_ns=at, end_ns=finish - lost)
        if lost:
            yield Phase(name="unattributed", start_ns=finish - lost, end_ns=finish)
        at = finish


def _iterations(rows: NDArray[np.void] | None, since: int, until: int | None) -> Iterations | None:
    """The loop's iterations within the trial; None where they were not observed."""
    if rows is None:
        return None
    inside = rows[used(rows, since)]
    if until is not None:
        inside = inside[inside["t0"].astype(np.int64) <= until]
    if not len(inside):
        return None
    return Iterations(
        start_ns=tuple((inside["t0"].astype(np.int64) - since).tolist()),
        poll_ns=tuple((inside["poll"].astype(np.int64) << 7).tolist()),
        run_ns=tuple((inside["run"].astype(np.int64) << 7).tolist()),
        ready=tuple(inside["ready"].tolist()),
    )


def _unattributed(attempts: list[Attempt]) -> float | None:
    """Median over attempts of the unattributed share of their time."""
    shares = []
    for attempt in attempts:
        whole = sum(phase.end_ns - phase.start_ns for phase in attempt.phases)
        lost = sum(phase.end_ns - phase.start_ns for phase in attempt.phases if phase.name == "unattributed")
        if whole:
            shares.append(lost / whole)
    return float(np.median(shares)) if shares else None
