"""Raw integer columns → nanoseconds: unwraps the 32-bit stamps of a table and keeps "not observed" apart from every time."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

#: a stamp that was not observed
MISSING = np.iinfo(np.int64).min

TICK_SHIFT = 7  # of instruments.schema: ticks of 128 ns
WRAP = 1 << 32


def nanoseconds(rows: NDArray[np.void], field: str) -> Ints:
    """The stamps in `field` as nanoseconds of the monotonic clock, shape (rows,); MISSING where not observed.

    A stamp holds the low 32 bits of ``clock >> 7``; it lies within 274 s of its row's ``t0``, which tells the rest.
    """
    stamps = rows[field].astype(np.int64)
    base = (rows["t0"] >> np.uint64(TICK_SHIFT)).astype(np.int64)
    distance = (stamps - base + WRAP // 2) % WRAP - WRAP // 2
    return np.where(stamps == 0, MISSING, (base + distance) << TICK_SHIFT)


def stamps(rows: NDArray[np.void], fields: tuple[str, ...]) -> dict[str, Ints]:
    """Every field of `fields` that the rows have, as nanoseconds."""
    names = rows.dtype.names or ()
    return {field: nanoseconds(rows, field) for field in fields if field in names}


def used(rows: NDArray[np.void], since_ns: int) -> NDArray[np.int64]:
    """Row numbers of the rows that were opened at or after `since_ns`: not the sink, not the warm-up."""
    return np.flatnonzero(rows["t0"].astype(np.int64) >= max(since_ns, 1))


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
