"""A stretch in which a request waited for the outside, shared out between the outside and the loop.

The answer was ready at some moment, and was read later.  While the loop slept, the outside alone was waited for; from when the answer was ready, the loop alone.
Between them is time in which the outside was not ready, and the loop was busy with others.  To have one of the two quicker would gain little there:

- had the outside been quicker, the loop would still have had its work, and all that it slept in the stretch is the most that could be gained;
- had the loop been quicker, the answer would have been no sooner, and how long it kept the request waiting is the most that could be gained.

That time is shared out as these gains are.  So CPU that overlaps with waiting is not charged where the loop sleeps before the answer comes, waiting that overlaps
with a loop that never sleeps is not charged either, and between these ends no small change tips the whole.
"""

from typing import NamedTuple

from loopdiag.analysis.loop_time import LoopTime

LOOP = "loop"


class Piece(NamedTuple):
    """A stretch of one account, in nanoseconds since the trial began; as `model.ledger.Step`."""

    start_ns: int
    end_ns: int
    account: str
    own: bool = True
    least_ns: int | None = None
    most_ns: int | None = None


class Ready(NamedTuple):
    """When an answer was ready: the best estimate, and the earliest and latest moment that the evidence allows."""

    at_ns: int
    earliest_ns: int
    latest_ns: int


def exactly(at_ns: int, start_ns: int, end_ns: int) -> Ready:
    """Ready at a moment that a stamp tells, inside the stretch."""
    at = min(max(at_ns, start_ns), end_ns)
    return Ready(at, at, at)


def within(start_ns: int, end_ns: int, waited: tuple[int, int | None], needed_ns: int) -> Ready:
    """Ready at a moment that only the loop's iterations bound.

    Args:
        start_ns: the stretch's begin.
        end_ns: when the answer was read.
        waited: the least and the most that it may have waited until then (`LoopTime.waited`).
        needed_ns: what the outside needs for the like at least.
    """
    least, most = waited
    latest = max(start_ns, end_ns - least)
    earliest = start_ns if most is None else min(latest, max(start_ns, end_ns - most))
    if most is None:  # the loop was not observed: nothing says that it was late
        return Ready(end_ns, start_ns, end_ns)
    return Ready(min(max(earliest, start_ns + needed_ns), latest), earliest, latest)


def shared(account: str, span: tuple[int, int], ready: Ready, *, loop: LoopTime, besides_ns: int = 0) -> list[Piece]:
    """The stretch as the outside's part and the loop's, in order; empty parts are left out.

    Args:
        account: of the outside.
        span: when the request began to wait, and when the answer was read.
        ready: when the answer was there.
        loop: what the loop did.
        besides_ns: how long the loop kept the same request waiting elsewhere, or ran for it.
    """
    start_ns, end_ns = span
    length, slept = end_ns - start_ns, loop.slept_in(start_ns, end_ns)

    def outside(ready_ns: int) -> int:
        if not loop.seen:
            return ready_ns - start_ns
        late = end_ns - ready_ns - loop.slept_in(ready_ns, end_ns)  # while the loop slept, nothing was ready
        both = length - late - slept
        gains = late + besides_ns + slept
        return slept + (both * slept // gains if gains else 0)

    charged = outside(ready.at_ns)
    least, most = min(charged, outside(ready.earliest_ns)), max(charged, outside(ready.latest_ns))
    border = start_ns + charged
    bounds = ((None, None), (None, None)) if least == most else ((least, most), (length - most, length - least))
    pieces = (Piece(start_ns, border, account, True, *bounds[0]), Piece(border, end_ns, LOOP, False, *bounds[1]))
    return [piece for piece in pieces if piece.end_ns > piece.start_ns]


def ran(start_ns: int, end_ns: int, loop: LoopTime, otherwise: str, *, own: bool) -> list[Piece]:
    """A stretch in which only the loop could keep a request waiting: the loop's while it ran, `otherwise` while it slept."""
    border = end_ns - min(end_ns - start_ns, loop.slept_in(start_ns, end_ns))
    pieces = (Piece(start_ns, border, LOOP, own), Piece(border, end_ns, otherwise))
    return [piece for piece in pieces if piece.end_ns > piece.start_ns]
