"""What else happened in the process during a trial: collections of the garbage collector, calls in executors, what the system counted."""

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.columns import MISSING, Ints, Rows, Tables, length, nanoseconds, opened
from loopdiag.model.timeline import Jobs, Pause, Process

NO_TABLE = "the recording has no such table"


def _overlapping(rows: Rows, end: Ints, since_ns: int, until_ns: int | None) -> NDArray[np.bool_]:
    """Rows of a table without its sink that reach into the trial."""
    begun = opened(rows)
    inside = (begun > 0) & (end >= since_ns)
    return inside if until_ns is None else inside & (begun <= until_ns)


def pauses(tables: Tables, since_ns: int, until_ns: int | None) -> tuple[Pause, ...]:
    """Collections that reach into the trial, cut to it, in nanoseconds after `since_ns`."""
    rows = tables.get("pauses")
    if rows is None:
        return ()
    end = opened(rows) + length(rows, "length")
    rows = rows[_overlapping(rows, end, since_ns, until_ns)]
    start = np.maximum(opened(rows), since_ns)
    end = opened(rows) + length(rows, "length")
    end = end if until_ns is None else np.minimum(end, until_ns)
    columns = zip((start - since_ns).tolist(), (end - start).tolist(), rows["generation"].tolist(), strict=True)
    return tuple(Pause(start_ns=at, length_ns=took, generation=generation) for at, took, generation in columns)


def job_rows(tables: Tables, since_ns: int, until_ns: int | None) -> Ints:
    """Row numbers of the calls that `jobs` returns, in its order."""
    rows = tables.get("executor")
    return np.empty(0, dtype=np.int64) if rows is None else np.flatnonzero(_overlapping(rows, opened(rows), since_ns, until_ns))


def jobs(tables: Tables, since_ns: int, until_ns: int | None) -> Jobs | None:
    """Calls in executors that were submitted during the trial; one that had not begun or ended when the trial did is cut there.

    Returns None where the recording has no such table.
    """
    rows = tables.get("executor")
    if rows is None:
        return None
    rows = rows[_overlapping(rows, opened(rows), since_ns, until_ns)]
    queued, started, ended = opened(rows), nanoseconds(rows, "started"), nanoseconds(rows, "ended")
    last = until_ns or max(int(column.max(initial=since_ns)) for column in (queued, started, ended))
    started = np.clip(np.where(started == MISSING, last, started), queued, last)
    ended = np.clip(np.where(ended == MISSING, last, ended), started, last)
    return Jobs(
        queued_ns=tuple((queued - since_ns).tolist()),
        started_ns=tuple((started - since_ns).tolist()),
        ended_ns=tuple((ended - since_ns).tolist()),
        threads=tuple(rows["threads"].tolist()),
    )


def process(tables: Tables, since_ns: int, until_ns: int | None) -> tuple[Process | None, str]:
    """The difference of the first and the last sample of the trial; or None, and why there is none."""
    rows = tables.get("samples")
    if rows is None:
        return None, NO_TABLE
    rows = rows[_overlapping(rows, opened(rows), since_ns, until_ns)]
    if not len(rows):
        return None, "no sample was taken during the trial"
    loops, counts = np.unique(rows["loop"], return_counts=True)
    mine = rows[rows["loop"] == loops[np.argmax(counts)]]
    found = Process(
        cpu_ns=_grown(mine, "cpu_ns", "run_queue_ns", 64),
        run_queue_ns=_grown(mine, "run_queue_ns", "cpu_ns", 64),
        waits=_grown(mine, "waits", "preemptions", 32),
        preemptions=_grown(mine, "preemptions", "waits", 32),
        descriptors=int(rows["descriptors"].max()) or None,
        threads=int(rows["threads"].max()) or None,
        first_ns=int(opened(mine)[0]) - since_ns,
        last_ns=int(opened(mine)[-1]) - since_ns,
    )
    return found, ""


def _grown(rows: Rows, field: str, partner: str, bits: int) -> int | None:
    """By how much a count grew from the first sample to the last, over its wrap; None where fewer than two samples saw it.

    Both fields of a pair come from one reading: it was not made where both are 0.
    """
    seen = rows[field][(rows[field] != 0) | (rows[partner] != 0)]
    return (int(seen[-1]) - int(seen[0])) % (1 << bits) if len(seen) > 1 else None
