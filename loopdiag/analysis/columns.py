"""Raw integer columns → nanoseconds: unwraps the 32-bit stamps of a table and keeps "not observed" apart from every time."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Rows = NDArray[np.void]  # of one table, as in ``instruments/schema.py``
Tables = Mapping[str, Rows]  # a trial's, by name; row 0 is the sink

#: a stamp that was not observed
MISSING = np.iinfo(np.int64).min

TICK_SHIFT = 7  # of instruments.schema: ticks of 128 ns
WRAP = 1 << 32

STAMPS = (
    "due", "created", "first_run", "enqueued", "assigned", "resumed", "stream", "send_start", "send_end",
    "rx_kernel", "first_byte", "headers", "rx_last", "last_byte", "body", "decoded", "released", "done",
)  # fmt: skip
LINK_STAMPS = ("dns_start", "dns_end", "lookup_start", "lookup_end", "tcp_start", "tcp_end", "tls_start", "tls_end", "made", "closed")


def nanoseconds(rows: Rows, field: str) -> Ints:
    """The stamps in `field` as nanoseconds of the monotonic clock, shape (rows,); MISSING where not observed.

    A stamp holds the low 32 bits of ``clock >> 7``; it lies within 274 s of its row's ``t0``, which tells the rest.
    """
    stamps = rows[field].astype(np.int64)
    base = (rows["t0"] >> np.uint64(TICK_SHIFT)).astype(np.int64)
    distance = (stamps - base + WRAP // 2) % WRAP - WRAP // 2
    return np.where(stamps == 0, MISSING, (base + distance) << TICK_SHIFT)


def stamps(rows: Rows, fields: tuple[str, ...], since_ns: int = 0) -> dict[str, Ints]:
    """Every field of `fields` that the rows have, as nanoseconds after `since_ns`."""
    names = rows.dtype.names or ()
    return {field: after(nanoseconds(rows, field), since_ns) for field in fields if field in names}


def after(times: Ints, since_ns: int) -> Ints:
    """The times as nanoseconds after `since_ns`; MISSING stays."""
    return np.where(times == MISSING, MISSING, times - since_ns)


def opened(rows: Rows) -> Ints:
    """When each row was opened: its ``t0``, in nanoseconds."""
    return rows["t0"].astype(np.int64)


def length(rows: Rows, field: str) -> Ints:
    """A field of ticks as nanoseconds."""
    return rows[field].astype(np.int64) << TICK_SHIFT


def used(rows: Rows, since_ns: int) -> NDArray[np.int64]:
    """Row numbers of the rows that were opened at or after `since_ns`: not the sink, not the warm-up."""
    return np.flatnonzero(opened(rows) >= max(since_ns, 1))


def attempt_numbers(rows: Rows) -> Ints:
    """Each attempt's number within its request, as recorded (at most 255)."""
    return (rows["flags"].astype(np.int64) >> 16) & 0xFF


def following(requests: Ints) -> tuple[Ints, Ints]:
    """For attempts in the order in which they were opened, each one's neighbour and place within its request.

    Returns:
        The index of the same request's next attempt (-1: it is the last), and how many attempts of that request came before.
    """
    order = np.argsort(requests, kind="stable")
    same = np.zeros(len(order), dtype=bool)
    same[1:] = requests[order[1:]] == requests[order[:-1]]
    place = np.arange(len(order))
    first = np.maximum.accumulate(np.where(same, 0, place))
    then, before = np.full(len(order), -1), np.empty(len(order), dtype=np.int64)
    then[order[:-1]] = np.where(same[1:], order[1:], -1)
    before[order] = place - first
    return then, before


def one_loop(iterations: Rows | None, since_ns: int, until_ns: int | None) -> tuple[Rows | None, str]:
    """The iterations of the one loop that ran between two times, those that reach into it from outside included.

    Returns:
        Its rows, and nothing; or None, and why.
    """
    if iterations is None:
        return None, "the recording has no such table"
    begun = opened(iterations)
    inside = (iterations["thread"] != 0) & (
        (begun >= max(since_ns, 1)) | (begun + length(iterations, "poll") + length(iterations, "run") > since_ns)
    )
    if until_ns is not None:
        inside &= begun <= until_ns
    rows = iterations[inside]
    if not len(rows):
        return None, "no iteration was recorded during the trial"
    if len(np.unique(rows["thread"])) > 1:
        return None, "several loops ran during the trial"
    return rows, ""


def backwards(columns: Mapping[str, Ints], order: tuple[str, ...], slack_ns: int = 0) -> dict[tuple[str, str], int]:
    """Pairs of stamps that ran backwards, and in how many rows: (earlier, later) → count, over stamps that were observed."""
    found: dict[tuple[str, str], int] = {}
    latest = np.full(len(next(iter(columns.values()))), MISSING) if columns else np.empty(0, dtype=np.int64)
    name_of_latest = ""
    for name in (name for name in order if name in columns):
        here = columns[name]
        wrong = (here != MISSING) & (latest != MISSING) & (here < latest - slack_ns)
        if count := int(wrong.sum()):
            found[name_of_latest, name] = count
        latest = np.where(here != MISSING, np.maximum(here, latest), latest)
        name_of_latest = name
    return found
