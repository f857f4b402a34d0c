"""How long the loop kept what was ready waiting: over a trial, and for the first byte of each answer.

A callback at time t runs in the iteration whose poll returned last before it.  What it reads was ready when that poll returned, so it waited at
least since then.  Where the poll did not block, it may have been ready since the poll before looked, and no longer, because that one did not
report it; where the poll blocked, nothing was ready when it was entered, and the wait is longer by the wake-up alone: at most the poll itself, and
at most what the thread waited for a core in the whole trial.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.columns import MISSING, Ints, Rows, Tables, length, nanoseconds, one_loop, opened, used
from loopdiag.model.timeline import Lag

#: an iteration that runs so long keeps everything waiting for a time that a user sees
BLOCKED_NS = 10_000_000
#: a poll that took longer than this has blocked: a look without waiting takes some microseconds, and a little more for each event; with cold caches,
#: after a callback that slept, up to a hundred. A short wait that is taken for a look widens a bound, a look that is taken for a wait makes it wrong
LOOK_NS, EVENT_NS = 200_000, 2_000
#: likewise where a sum over polls is wanted, in which a few wrong ones weigh little, and neither side may be preferred
SLEPT_NS = 50_000
#: from the moment when something becomes ready to the return of the poll that waited for it, where a core is free
WAKE_UP_NS = 250_000
#: stamps are cut to ticks of 128 ns on both sides
SLACK_NS = 256


@dataclass(frozen=True)
class Bounds:
    """What a loop's iterations say about callbacks, in nanoseconds.

    Attributes:
        returned: when each iteration's poll returned, since the trial began.
        blocked: whether it had waited.
        looked: when it looked last, at the earliest; what it found it had to take out, one by one, before it returned.
        wake_up: how long it may have taken to return, had it waited.
    """

    returned: Ints
    looked: Ints
    blocked: NDArray[np.bool_]
    wake_up: Ints

    @classmethod
    def of(cls, iterations: Rows | None, since_ns: int, until_ns: int | None = None, run_queue_ns: int | None = None) -> "Bounds | None":
        """Those of the trial's only loop, whose thread waited for a core for `run_queue_ns` in all (None: not observed); None where there is none."""
        rows, _ = one_loop(iterations, since_ns, until_ns)
        if rows is None:
            return None
        poll, look = length(rows, "poll"), LOOK_NS + EVENT_NS * rows["events"].astype(np.int64)
        returned = opened(rows) - since_ns + poll
        wake_up = poll if run_queue_ns is None else np.minimum(poll, WAKE_UP_NS + run_queue_ns)
        return cls(returned, returned - np.minimum(poll, look), (rows["ready"] == 0) & (poll > look), wake_up)

    def at(self, callbacks: Ints) -> tuple[Ints, Ints]:
        """The least and the most that each callback may have waited since it was ready; MISSING where that cannot be told."""
        index = np.searchsorted(self.returned, callbacks, side="right") - 1
        known = (callbacks != MISSING) & (index >= 0)
        since, before = callbacks - self.returned[index], callbacks - self.looked[np.maximum(index - 1, 0)]
        high = np.where(self.blocked[index], since + self.wake_up[index], before) + SLACK_NS
        bounded = known & (self.blocked[index] | (index > 0))
        return np.where(known, np.maximum(since - SLACK_NS, 0), MISSING), np.where(bounded, high, MISSING)


def waited(rows: Rows) -> NDArray[np.bool_]:
    """Whether each iteration's poll waited for something to happen, rather than only looked."""
    return np.asarray((rows["ready"] == 0) & (length(rows, "poll") > SLEPT_NS + EVENT_NS * rows["events"].astype(np.int64)))


def lag(tables: Tables, since_ns: int, until_ns: int | None) -> tuple[Lag | None, str]:
    """The trial's account; or None, and why there is none."""
    if until_ns is None or until_ns <= since_ns:
        return None, "the trial did not end"
    rows, why = one_loop(tables.get("iterations"), since_ns, until_ns)
    if rows is None:
        return None, why
    returned = opened(rows) + length(rows, "poll")
    run = np.minimum(returned + length(rows, "run"), until_ns) - np.maximum(returned, since_ns)
    run = np.maximum(run, 0)
    long = run >= BLOCKED_NS
    squares = float((run.astype(np.float64) ** 2).sum())
    found = Lag(
        running_ns=int(run.sum()),
        blocked_ns=int(run[long].sum()),
        blocked=int(long.sum()),
        longest_ns=int(run.max()),
        expected_wait_ns=round(squares / (2 * (until_ns - since_ns))),
        kernel_ns=_kernel(tables.get("attempts"), since_ns),
    )
    return found, ""


def _kernel(attempts: Rows | None, since_ns: int) -> int | None:
    """Time that first bytes waited in the kernel, over all attempts; None where no kernel stamp is."""
    if attempts is None:
        return None
    rows = attempts[used(attempts, since_ns)]
    received, read = nanoseconds(rows, "rx_kernel"), nanoseconds(rows, "first_byte")
    seen = (received != MISSING) & (read != MISSING)
    return int(np.maximum(read - received, 0)[seen].sum()) if seen.any() else None
