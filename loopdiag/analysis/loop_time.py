"""What a trial's loop did, to be asked about any moment: when it slept in its poll, and since when a callback may have been ready.

The same bounds as `analysis/lag.py`, from a resolved timeline, and for stamps that a task makes one iteration after the callback that woke it, too.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from loopdiag.analysis.lag import SLACK_NS, SLEPT_NS, WAKE_UP_NS
from loopdiag.model.timeline import Iterations, Timeline


@dataclass(frozen=True)
class LoopTime:
    """Iterations as parallel lists, in nanoseconds since the trial began; empty lists: the loop was not observed.

    Attributes:
        begun: when each poll was entered.
        returned: when it returned.
        slept: how long it waited there for something to happen; a look at what is ready already is the loop's own work.
        polled: how long it was there with an empty ready queue, looks included.
        slept_before, polled_before: sums of the iterations before each.
        wake_up: how long a poll may have taken to return after something became ready, in the whole trial.
    """

    begun: list[int]
    returned: list[int]
    slept: list[int]
    polled: list[int]
    slept_before: list[int]
    polled_before: list[int]
    wake_up: int | None

    @classmethod
    def of(cls, timeline: Timeline) -> "LoopTime":
        """That of the timeline's loop."""
        loop = timeline.iterations or Iterations()
        run_queue_ns = None if timeline.process is None else timeline.process.run_queue_ns
        slept = list(loop.slept_ns) or [
            poll if poll > SLEPT_NS and not ready else 0 for poll, ready in zip(loop.poll_ns, loop.ready, strict=True)
        ]
        polled = [poll if not ready else 0 for poll, ready in zip(loop.poll_ns, loop.ready, strict=True)]
        return cls(
            begun=list(loop.start_ns),
            returned=[start + poll for start, poll in zip(loop.start_ns, loop.poll_ns, strict=True)],
            slept=slept,
            polled=polled,
            slept_before=[0, *accumulate(slept)],
            polled_before=[0, *accumulate(polled)],
            wake_up=None if run_queue_ns is None else WAKE_UP_NS + run_queue_ns,
        )

    @property
    def seen(self) -> bool:
        """Whether the loop was observed at all."""
        return bool(self.begun)

    def slept_in(self, start_ns: int, end_ns: int) -> int:
        """How long it slept between two moments."""
        return max(0, self._until(end_ns, self.slept, self.slept_before) - self._until(start_ns, self.slept, self.slept_before))

    def polled_in(self, start_ns: int, end_ns: int) -> int:
        """How long it was in polls with an empty ready queue between two moments, as `analysis.idle` counts it."""
        return max(0, self._until(end_ns, self.polled, self.polled_before) - self._until(start_ns, self.polled, self.polled_before))

    def _until(self, at_ns: int, lengths: list[int], before: list[int]) -> int:
        index = bisect_right(self.begun, at_ns) - 1
        return 0 if index < 0 else before[index] + min(at_ns - self.begun[index], lengths[index])

    def waited(self, at_ns: int, behind: int = 0) -> tuple[int, int | None]:
        """The least and the most that what was stamped at `at_ns` may have been ready before.

        Args:
            at_ns: the stamp.
            behind: how many iterations the stamp may come after the callback that noticed: 0 for a callback's own, 1 for that of a task that it woke.

        Returns:
            The second is None where the loop was not observed then.
        """
        index = bisect_right(self.returned, at_ns) - 1
        if index < 0:
            return 0, at_ns if self.seen else None
        least = max(0, at_ns - self.returned[index] - SLACK_NS)
        for i in range(index, index - behind - 1, -1):
            if i < 0:
                return least, at_ns
            if self.slept[i]:
                late = self.slept[i] if self.wake_up is None else min(self.slept[i], self.wake_up)
                return least, at_ns - self.returned[i] + late + SLACK_NS
        before = index - behind - 1
        return least, at_ns if before < 0 else at_ns - self._looked(before) + SLACK_NS

    def _looked(self, index: int) -> int:
        """When an iteration looked last, at the earliest: one that slept, just before it woke up."""
        return max(self.begun[index], self.returned[index] - WAKE_UP_NS) if self.slept[index] else self.begun[index]
