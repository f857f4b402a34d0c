"""What must hold of every recording, whatever was measured: checked over whole columns, one line a broken rule."""

from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.columns import (
    LINK_STAMPS,
    MISSING,
    STAMPS,
    Ints,
    Rows,
    Tables,
    attempt_numbers,
    backwards,
    length,
    nanoseconds,
    opened,
    stamps,
    used,
)
from loopdiag.analysis.lives import Attempts, Chunk
from loopdiag.analysis.phases import charge
from loopdiag.model.events import MAY_FOLLOW

#: the order that stamps of one attempt must keep (others may interleave: see model/events.py)
MONOTONE = ("created", "first_run", "enqueued", "assigned", "resumed", "send_start", "first_byte", "last_byte", "body", "decoded", "done")
LINK_MONOTONE = ("dns_start", "dns_end", "tcp_start", "tcp_end", "tls_start", "tls_end", "made")

#: what the kernel stamps on its own clock may seem so much later than what the loop read afterwards
KERNEL_SLACK_NS = 20_000
#: an iteration is stamped in two places, between which the process may lose its core for a while
ITERATION_SLACK_NS = 5_000_000

_START = len(STAMPS)
_LATER = np.iinfo(np.int64).max

Counts = dict[str, int]  # broken rule → how often


@cache
def legal_pairs(unseen: frozenset[str] = frozenset()) -> NDArray[np.bool_]:
    """Which stamp may be seen after which, shape (stamps and the start, stamps), where those in `unseen` happen but are not observed."""
    after: dict[str, set[str]] = {before: set(names) for before, names in MAY_FOLLOW.items()}
    for hidden in unseen & set(after):
        for names in after.values():
            if hidden in names:
                names.update(after[hidden])
    return np.array([[name in after[before] for name in STAMPS] for before in (*STAMPS, "")])


def check(tables: Tables, since_ns: int, unseen: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """One line for each rule that the trial's rows break, with how many rows do; nothing where all hold.

    Args:
        tables: a trial's raw tables.
        since_ns: when the trial began; earlier rows are the warm-up's.
        unseen: stamps of attempts that the instruments could not observe.
    """
    found: Counts = {}
    attempts = Attempts(tables, since_ns)
    phases = np.zeros(len(attempts.numbers), dtype=np.int64)
    at = 0
    for chunk in attempts.chunks():
        for rule, count in _of_chunk(chunk, attempts, legal_pairs(unseen)):
            found[rule] = found.get(rule, 0) + count
        charged = charge(chunk.lives, None)
        here = slice(at, at + len(chunk.rows))
        phases[here] = charged.total - charged.spent("due")
        at = here.stop
    found |= dict(_of_requests(tables, attempts, phases)) if len(phases) else {}
    if (links := tables.get("connections")) is not None:
        begun = stamps(links[used(links, since_ns)], LINK_STAMPS)
        found |= {f"{a} after {b} in {{}} connections": count for (a, b), count in backwards(begun, LINK_MONOTONE).items()}
    if (iterations := tables.get("iterations")) is not None:
        found |= dict(_of_iterations(iterations, since_ns))
    return tuple(rule.format(count) for rule, count in found.items() if count)


def _of_chunk(chunk: Chunk, attempts: Attempts, may_follow: NDArray[np.bool_]) -> Iterator[tuple[str, int]]:
    """What can be seen in an attempt by itself: the order of its stamps, its connection."""
    own, absent = chunk.lives.stamps, np.full(len(chunk.rows), MISSING)
    yield from ((f"{a} after {b} in {{}} attempts", count) for (a, b), count in backwards(own, MONOTONE).items())
    for kernel, read in (("rx_kernel", "first_byte"), ("rx_last", "last_byte")):
        received, callback = own.get(kernel, absent), own.get(read, absent)
        late = (received != MISSING) & (callback != MISSING) & (received > callback + KERNEL_SLACK_NS)
        yield f"{kernel} after {read} in {{}} attempts", int(late.sum())
    yield from _illegal(own, len(chunk.rows), may_follow)
    number = chunk.rows["connection"].astype(np.int64)
    yield "a connection that is not there in {} attempts", int((attempts.links.known(number) != number).sum())
    sent, made = own.get("send_start", absent), chunk.lives.link.get("made", absent)
    early = (sent != MISSING) & (made != MISSING) & (sent < made) & (number > 0)
    yield "sent before the connection was made in {} attempts", int(early.sum())


def _illegal(own: Mapping[str, Ints], rows: int, may_follow: NDArray[np.bool_]) -> Iterator[tuple[str, int]]:
    """Stamps in an order that the transition table does not have; ties are taken in the order of the columns."""
    times = np.full((rows, len(STAMPS)), _LATER)
    for place, name in enumerate(STAMPS):
        if name in own:
            times[:, place] = np.where(own[name] == MISSING, _LATER, _as_read(own, name))
    order = np.argsort(times, axis=1, kind="stable")
    seen = np.take_along_axis(times, order, axis=1) != _LATER
    before = np.concatenate((np.full((rows, 1), _START), order[:, :-1]), axis=1)
    broken = seen & ~may_follow[before, order]
    pairs, counts = np.unique(before[broken] * len(STAMPS) + order[broken], return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        first, then = (*STAMPS, "the start")[pair // len(STAMPS)], STAMPS[pair % len(STAMPS)]
        yield f"{then} may not follow {first}, but does in {{}} attempts", count


def _as_read(own: Mapping[str, Ints], name: str) -> Ints:
    """The time that places a stamp in its life: what the kernel received is there when the loop reads it, whatever its clock says."""
    read = own.get({"rx_kernel": "first_byte", "rx_last": "last_byte"}.get(name, ""))
    return own[name] if read is None else np.where(read == MISSING, own[name], np.minimum(own[name], read))


def _of_requests(tables: Tables, attempts: Attempts, phases: Ints) -> Iterator[tuple[str, int]]:
    """What can only be seen over all attempts of a request: their numbers, and that nothing of its time is lost or counted twice."""
    rows = tables["attempts"]
    recorded = attempt_numbers(rows)[attempts.numbers]
    yield "numbered out of turn: {} attempts", int((recorded != np.minimum(attempts.place, 0xFF)).sum())
    _, which = np.unique(attempts.requests, return_inverse=True)
    summed = np.zeros(int(which.max()) + 1, dtype=np.int64)
    np.add.at(summed, which, phases)
    created = nanoseconds(rows, "created")[attempts.numbers]
    done = nanoseconds(rows, "done")[attempts.numbers]
    lasted = np.full(len(summed), MISSING)
    first, last = attempts.place == 0, (attempts.then < 0) & (done != MISSING)
    started = np.full(len(summed), MISSING)
    started[which[first]] = created[first]
    lasted[which[last]] = done[last] - started[which[last]]
    known = np.zeros(len(summed), dtype=bool)
    known[which[last]] = started[which[last]] != MISSING
    yield "Σ phases is not done - created in {} requests", int((summed != lasted)[known].sum())


def _of_iterations(iterations: Rows, since_ns: int) -> Iterator[tuple[str, int]]:
    """Rows of one loop follow each other and do not overlap; the last row of a loop may be unfinished."""
    rows = iterations[used(iterations, since_ns)]
    rows = rows[rows["thread"] != 0]
    rows = rows[np.argsort(rows["thread"], kind="stable")]
    begun, same = opened(rows), rows["thread"][1:] == rows["thread"][:-1]
    step = np.diff(begun)
    yield "iterations out of order: {}", int((same & (step < 0)).sum())
    end = (begun + length(rows, "poll") + length(rows, "run"))[:-1]
    yield "iterations that overlap the next: {}", int((same & (step >= 0) & (end > begun[1:] + ITERATION_SLACK_NS)).sum())
