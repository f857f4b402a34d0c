"""When the loop sat idle in its poll, as a function that can be asked about any stretch of time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Idle:
    """Idle stretches in order: `starts`, `ends` and the idle time `before` each, in nanoseconds since the trial began."""

    starts: Ints
    ends: Ints
    before: Ints

    @classmethod
    def of(cls, iterations: NDArray[np.void] | None, since_ns: int) -> "Idle | None":
        """The idle stretches of a trial's loop; None where iterations were not observed, or several loops ran."""
        if iterations is None:
            return None
        rows = iterations[iterations["t0"].astype(np.int64) >= max(since_ns, 1)]
        if not len(rows) or len(np.unique(rows["thread"][rows["thread"] != 0])) != 1:
            return None
        starts = rows["t0"].astype(np.int64) - since_ns
        lengths = rows["poll"].astype(np.int64) << 7
        return cls(starts, starts + lengths, np.concatenate(([0], np.cumsum(lengths)[:-1])))

    def until(self, time_ns: int) -> int:
        """Idle time before `time_ns`."""
        index = int(np.searchsorted(self.starts, time_ns, side="right")) - 1
        if index < 0:
            return 0
        return int(self.before[index] + min(time_ns, int(self.ends[index])) - self.starts[index])

    def between(self, start_ns: int, end_ns: int) -> int:
        """Idle time from `start_ns` to `end_ns`."""
        return self.until(end_ns) - self.until(start_ns)
