"""py-spy's trace and the CPU clock's readings → profiles: which stack stood, and how much CPU was spent while it did.

The trace tells when a thread that was on a CPU was first seen with another stack.  On the axis of CPU spent, such sightings come at random
(py-spy waits exponentially distributed times, whatever the program does), so the CPU from one sighting to the next belongs, on average, to
the stacks at its two ends: up to one mean distance (1 / rate) is shared half and half, the rest is the earlier stack's, which must have been
seen again meanwhile.  So the weights add up to the CPU that was spent between t0 and t1, exactly; a late or lost sample changes no sum; time
in which the client waits has no weight.

What is exact: the order; the sum; the time of each change, up to one shift of the whole trace.  What is an estimate: that shift (py-spy's
clock begins between two moments that are known, a few milliseconds apart); each stack's own weight, by sampling; and which stack stood between two sightings of the same.
py-spy reads while the client runs on: a stack that changes meanwhile is lost (`lost`: some 5 % of the samples with aiohttp, 15 % in httpx's pool), or
comes out with an old leaf above a new caller.  Both take from code that calls many short functions and give to code that stays put.
A thread that waits for a free core counts as one on a CPU when it is seen, but gets no weight for the wait.
Where several threads compute, they share what is spent between two sightings equally: how much each had of it is not told.
"""

import gzip
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loopdiag.errors import InputError
from loopdiag.lab.probes.cpu_clock import CpuCurve
from loopdiag.lab.probes.paths import short
from loopdiag.lab.probes.pyspy import TAKEN, TRACE, Taken
from loopdiag.model.profile import Frame, Profile
from loopdiag.model.recording import TrialResult

US = 1_000
MAIN = "main"
BEGINS_NS = 1_000_000  # from py-spy's start to its clock's, where no more is known
#: functions below which a thread waits in C: for a socket, for another thread, for time
BLOCKING = frozenset({
    "_worker", "accept", "acquire", "connect", "do_handshake", "get", "getaddrinfo", "poll", "read", "readinto", "recv", "recv_into", "select", "sleep", "wait",
})  # fmt: skip
THREAD = re.compile(r"thread \((\w+)\)(?:: (.*))?")

Stack = tuple[tuple[str, str, int | None], ...]  # function, file, line; outermost first


class Event(msgspec.Struct):
    """One line of the trace."""

    name: str
    ph: str
    ts: int  # µs since py-spy's clock began
    tid: int
    pid: int
    args: dict[str, Any] = {}


class Seen(NamedTuple):
    """A thread was seen with a stack that it had not before."""

    at_us: int
    thread: str
    stack: Stack


def read(folder: Path, trial: TrialResult) -> tuple[Profile, ...]:
    """The profiles of one trial's threads, the main thread first; none where the trial was not profiled or has no timed part.

    Raises:
        InputError: the trace is damaged.
    """
    if trial.t0_ns is None or trial.t1_ns is None or not (folder / TAKEN).exists():
        return ()
    try:
        taken = msgspec.json.decode((folder / TAKEN).read_bytes(), type=Taken)
        events = msgspec.json.decode(gzip.decompress((folder / TRACE).read_bytes()), type=list[Event])
        return profiles(events, taken, trial)
    except (OSError, EOFError, ValueError, LookupError) as error:
        raise InputError(f"{folder / TRACE}: damaged: {error}") from error


def profiles(events: list[Event], taken: Taken, trial: TrialResult) -> tuple[Profile, ...]:
    """The events as profiles.

    Raises:
        ValueError: a frame ends that never began, or a clock goes backwards.
    """
    t0, t1 = trial.t0_ns, trial.t1_ns
    assert t0 is not None
    assert t1 is not None
    curve = CpuCurve(taken.cpu_at_ns, taken.cpu_ns)
    if not curve.ascends():
        raise ValueError("a clock goes backwards")
    zero = _zero_ns(events, taken)
    seen = [(zero + one.at_us * US, one) for one in sightings(events)]
    inside = [(at, one) for at, one in seen if t0 <= at < t1]
    step = max(1, round(1e9 / taken.rate_hz))
    spans = list(shares([curve.at(at) for at, _ in inside], curve.at(t0), curve.at(t1), step))
    of_main = sum(end - begin for (_, one), (begin, end) in zip(inside, spans, strict=True) if one.thread == MAIN)
    beside = _beside if 2 * of_main < curve.at(t1) - curve.at(t0) else _alone
    made: dict[str, _Columns] = {MAIN: _Columns()}
    for at_work, (begin, end) in zip(beside(inside, step), spans, strict=True):
        bounds = [begin + (end - begin) * k // len(at_work) for k in range(len(at_work) + 1)]
        for one, (low, high) in zip(at_work, pairwise(bounds), strict=True):
            made.setdefault(one.thread, _Columns()).add(one.stack, low, high, step, curve, t0)
    return tuple(
        Profile(
            trial=trial.spec.id,
            arm=trial.spec.arm.name,
            n=trial.spec.n,
            repetition=trial.spec.repetition,
            thread=thread,
            rate_hz=float(taken.rate_hz),
            frames=tuple(Frame(function=function, file=short(file), line=line) for function, file, line in columns.frames),
            stacks=tuple(columns.stacks),
            at_ns=tuple(columns.at_ns),
            stack=tuple(columns.stack),
            weight_ns=tuple(columns.weight_ns),
            lost=taken.lost,
            cpu_ns=None if trial.cpu_s is None else round(trial.cpu_s * 1e9),
        )
        for thread, columns in made.items()
        if columns.stack or thread == MAIN
    )


def sightings(events: list[Event]) -> Iterator[Seen]:
    """Each change of a thread's stack, in order of time; the last events only end what still stands.

    Raises:
        ValueError: a frame ends that never began.
    """
    standing: dict[int, list[Event]] = {}
    changes = [event for event in events if event.ph in {"B", "E"}]
    for event, after in pairwise([*changes, None]):
        assert event is not None
        stack = standing.setdefault(event.tid, [])
        if event.ph == "B":
            stack.append(event)
        elif not stack:
            raise ValueError(f"{event.name} ends at {event.ts} µs and never began")
        else:
            stack.pop()
        whole = after is None or (after.ts, after.tid) != (event.ts, event.tid)
        if whole and stack:
            thread, frames = _named(stack)
            if frames:
                yield Seen(event.ts, thread, frames)


def shares(spent: list[int], first: int, last: int, step: int) -> Iterator[tuple[int, int]]:
    """For each sighting, at CPU `spent`, the CPU from where to where belongs to it; together, all from `first` to `last`."""
    begin = first
    for k, here in enumerate(spent):
        after = spent[k + 1] if k + 1 < len(spent) else None
        end = last if after is None else after - min(after - here, step) // 2
        yield begin, end
        begin = end


def _alone(seen: list[tuple[int, Seen]], _step: int) -> Iterator[list[Seen]]:
    """Who was at work from each sighting on: the one that was seen, where one thread does nearly all."""
    yield from ([one] for _, one in seen)


def _beside(seen: list[tuple[int, Seen]], step: int) -> Iterator[list[Seen]]:
    """The same where several threads share the work: with it the others, as far as they stand where they were seen last.

    The trace does not tell when a thread waits; what may block is taken to be at work for the one look at which it was seen.
    """
    standing: dict[str, tuple[int, Seen]] = {}
    for at, one in seen:
        standing[one.thread] = at, one
        yield [one, *(other for when, other in standing.values() if other is not one and (at - when < step or not _may_block(other)))]


def _may_block(one: Seen) -> bool:
    return one.stack[-1][0].rpartition(".")[2] in BLOCKING


class _Columns:
    """One thread's profile in the making."""

    def __init__(self) -> None:
        self.frames: dict[tuple[str, str, int | None], int] = {}
        self.stacks: dict[tuple[int, ...], int] = {}
        self.at_ns: list[int] = []
        self.stack: list[int] = []
        self.weight_ns: list[int] = []

    def add(self, stack: Stack, begin: int, end: int, step: int, curve: CpuCurve, t0_ns: int) -> None:  # noqa: PLR0913, PLR0917 - a share and its clock
        """Put the CPU from `begin` to `end` down to `stack`, in parts of at most one sample's worth, each at the time when it was spent."""
        if end <= begin:
            return
        numbers = tuple(self.frames.setdefault(frame, len(self.frames)) for frame in stack)
        number = self.stacks.setdefault(numbers, len(self.stacks))
        parts = -(-(end - begin) // step)
        bounds = [begin + (end - begin) * k // parts for k in range(parts + 1)]
        for low, high in pairwise(bounds):
            self.at_ns.append(max(curve.when(low) - t0_ns, self.at_ns[-1] if self.at_ns else 0))
            self.stack.append(number)
            self.weight_ns.append(high - low)


def _zero_ns(events: list[Event], taken: Taken) -> int:
    """When py-spy's clock began.

    Not before it was started, and as long before its last event (made when it had been told to stop, and before it said that it had
    written) as that event says.
    """
    end = max((event.ts for event in events), default=0) * US
    low, high = max(taken.started_ns, taken.stopped_ns - end), taken.wrote_ns - end
    return low + min(BEGINS_NS, max(0, high - low) // 2)


def _named(stack: list[Event]) -> tuple[str, Stack]:
    """The thread that stands outermost, and its frames."""
    first, *rest = stack
    found = THREAD.fullmatch(first.name)
    if found is None:
        return MAIN, tuple(map(_frame, stack))
    number, name = found.groups()
    main = number == str(first.pid) or name == "MainThread"
    return MAIN if main else name or number, tuple(map(_frame, rest))


def _frame(event: Event) -> tuple[str, str, int | None]:
    return event.name, str(event.args.get("filename", "")), event.args.get("line") or None
