"""When the loop sat idle in its poll, as a function that can be asked about any stretch of time."""

from dataclasses import dataclass

import numpy as np

from loopdiag.analysis.columns import Ints, Rows, length, one_loop, opened


@dataclass(frozen=True)
class Idle:
    """Idle stretches in order: `starts`, `ends` and the idle time `before` each, in nanoseconds since the trial began."""

    starts: Ints
    ends: Ints
    before: Ints

    @classmethod
    def of(cls, iterations: Rows | None, since_ns: int, until_ns: int | None = None) -> "Idle | None":
        """The idle stretches of a trial's loop; None where iterations were not observed, or several loops ran.

        A poll with callbacks in the ready queue does not wait: what it takes is the loop's own work.
        """
        rows, _ = one_loop(iterations, since_ns, until_ns)
        if rows is None:
            return None
        starts = opened(rows) - since_ns
        lengths = np.where(rows["ready"] == 0, length(rows, "poll"), 0)
        return cls(starts, starts + lengths, np.concatenate(([0], np.cumsum(lengths)[:-1])))

    def until(self, times_ns: Ints) -> Ints:
        """Idle time before each of `times_ns`."""
        index = np.searchsorted(self.starts, times_ns, side="right") - 1
        found = self.before[index] + np.minimum(times_ns, self.ends[index]) - self.starts[index]
        return np.where(index < 0, 0, found)

    def within(self, starts_ns: Ints, ends_ns: Ints) -> Ints:
        """Idle time from each of `starts_ns` to the end beside it."""
        return self.until(ends_ns) - self.until(starts_ns)

    def between(self, start_ns: int, end_ns: int) -> int:
        """Idle time from `start_ns` to `end_ns`."""
        return int(self.within(np.array([start_ns]), np.array([end_ns]))[0])
