"""The phase rule, over whole columns at once: every attempt as phases without overlap or gap.

A life passes `SLOTS` in their order.  What begins at a slot lasts until the next slot that was observed; a slot's time is never before that of
an earlier one and never after the attempt's end, so that no phase is negative and Σ phases = end - start exactly.

Two kinds of time are shown by no stamp, and are `unattributed`: time in which only the loop kept the request waiting while that loop sat idle
in its poll, and time between two stamps that may not follow each other (see ``model/events.py``), so that others are missing between them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.columns import MISSING, Ints
from loopdiag.analysis.idle import Idle
from loopdiag.model.events import MAY_FOLLOW, PHASES
from loopdiag.model.timeline import Phase

NAMES = tuple(PHASES)
CODE = {name: code for code, name in enumerate(NAMES)}
LOST = CODE["unattributed"]

#: (slot, what begins there): a stamp of the attempt or of the connection that it set up.  Who sets a connection up is `resumed` before (httpcore) or
#: after it (aiohttp); either way the request goes on where both are over.
SLOTS = (
    ("due", "due"), ("created", "start"), ("first_run", "prepare"), ("enqueued", "pool"), ("assigned", "resume"),
    ("dns_start", "dns"), ("dns_end", "resume"), ("lookup_start", "lookup"), ("lookup_end", "resume"),
    ("tcp_start", "connect"), ("tcp_end", "resume"),
    ("tls_start", "ssl"), ("tls_end", "resume"), ("made", "resume"),
    ("resumed", "prepare"), ("stream", "prepare"), ("send_start", "send"), ("send_end", "wait"), ("rx_kernel", "kernel"),
    ("first_byte", "receive"), ("headers", "receive"), ("last_byte", "handover"), ("body", "finish"), ("decoded", "finish"),
)  # fmt: skip
SLOT = {name: index for index, (name, _) in enumerate(SLOTS)}
SET_UP = ("dns_start", "dns_end", "lookup_start", "lookup_end", "tcp_start", "tcp_end", "tls_start", "tls_end", "made")
OPENINGS = ("dns_start", "lookup_start", "tcp_start", "tls_start")  # each ends at the slot after it
#: slots that a connect follows, each unless one of the others stands between
BEFORE_CONNECT = (("lookup_end", ()), ("dns_end", ("lookup_start",)), ("assigned", ("lookup_start", "dns_start")))
CHAIN = (*(name for name, _ in SLOTS if name in MAY_FOLLOW), "done")
ANSWERED = frozenset({"first_byte", "headers", "last_byte", "body", "decoded"})

#: phases in which only the loop keeps the request waiting: idle time inside them is unattributed
LOOP_BOUND = frozenset({"start", "prepare", "resume", "handover", "finish"})
_BOUND = np.array([name in LOOP_BOUND for name in NAMES])

Bools = NDArray[np.bool_]
Codes = NDArray[np.int8]


@dataclass(frozen=True)
class Lives:
    """Attempts as columns, in nanoseconds since the trial began, MISSING where not observed; each of shape (attempts,).

    Attributes:
        stamps: the attempt's own stamps.
        link: the stamps of its connection.
        began: whether the attempt set that connection up.
        shares: whether it waited on a connection that another request opened.
        failed: whether it was cancelled or ended in an error, so that it may end at any stamp.
        end: when it was over.
    """

    stamps: Mapping[str, Ints]
    link: Mapping[str, Ints]
    began: Bools
    shares: Bools
    failed: Bools
    end: Ints


@dataclass(frozen=True)
class Charged:
    """Segments of attempts: segment j of attempt i is called ``NAMES[codes[i, j]]`` from ``edges[i, j]`` to ``edges[i, j + 1]``.

    The last ``lost[i, j]`` nanoseconds of it are unattributed.  Most segments are empty.
    """

    edges: Ints  # (attempts, slots + 1), rising along each row
    codes: Codes  # (attempts, slots)
    lost: Ints  # (attempts, slots)

    @property
    def total(self) -> Ints:
        """Σ phases of each attempt."""
        return np.asarray(self.edges[:, -1] - self.edges[:, 0])

    @property
    def unattributed(self) -> Ints:
        """How much of it no stamp shows."""
        return np.asarray(self.lost.sum(axis=1) + self.spent("unattributed"))

    def spent(self, name: str) -> Ints:
        """Time of each attempt in the phase `name`, before idle time is taken out of it."""
        return np.asarray((np.diff(self.edges, axis=1) * (self.codes == CODE[name])).sum(axis=1))

    def phases(self) -> list[tuple[Phase, ...]]:
        """The phases of each attempt; neighbours of one name are one phase."""
        rows = zip(self.edges.tolist(), self.codes.tolist(), self.lost.tolist(), strict=True)
        return [_phases(edges, codes, lost) for edges, codes, lost in rows]


def charge(lives: Lives, idle: Idle | None) -> Charged:
    """Give every stretch of every life its phase."""
    times = _times(lives)
    observed = times != MISSING
    places = np.arange(len(SLOTS))
    begin = np.where(observed.any(axis=1), times[np.arange(len(times)), observed.argmax(axis=1)], 0)
    end = np.maximum(lives.end, begin)
    edges = np.empty((len(times), len(SLOTS) + 1), dtype=np.int64)
    np.maximum.accumulate(times, axis=1, out=edges[:, :-1])
    edges[:, -1] = end
    np.clip(edges, begin[:, None], end[:, None], out=edges)
    latest = np.maximum.accumulate(np.where(observed, places, 0), axis=1)
    codes = np.take_along_axis(_codes(lives, observed), latest, axis=1)
    return Charged(edges, codes, _lost(edges, codes, idle))


def _times(lives: Lives) -> Ints:
    """The time of each slot, shape (attempts, slots)."""
    own = lives.stamps
    absent = np.full(len(lives.end), MISSING)
    times = np.stack([own.get(name, absent) if name in MAY_FOLLOW else absent for name, _ in SLOTS], axis=1)
    sent = own.get("send_start", absent)
    for name in SET_UP:
        mine = lives.began | (lives.shares if name == "made" else False)
        times[:, SLOT[name]] = np.where(mine, _not_after(lives.link.get(name, absent), sent), MISSING)
    first = own.get("first_byte", absent)
    for name in ("send_end", "rx_kernel"):
        # an answer may arrive before the writer is resumed, and the kernel's clock is not quite the process's
        times[:, SLOT[name]] = _not_after(times[:, SLOT[name]], first)
    times[_unfinished(lives, times), SLOT["resumed"]] = MISSING
    body = times[:, SLOT["body"]]
    times[lives.failed & (body == MISSING), SLOT["last_byte"]] = MISSING  # the last byte so far: the body never came to its end
    headers = _not_after(own.get("headers", absent), own.get("last_byte", absent))
    times[:, SLOT["headers"]] = np.where(first == MISSING, headers, MISSING)
    return times


def _unfinished(lives: Lives, times: Ints) -> Bools:
    """Which attempts ended while they waited for a set-up, their own or another's, though they had been resumed before it."""
    over = (times[:, SLOT["made"]] != MISSING) | (times[:, SLOT["send_start"]] != MISSING)
    begun = times[:, [SLOT[name] for name in OPENINGS]].max(axis=1)
    return np.asarray(~over & (lives.shares | (lives.began & (begun != MISSING) & (begun >= times[:, SLOT["resumed"]]))))


def _not_after(times: Ints, bound: Ints) -> Ints:
    """The earlier of the two, where both were observed; else `times`."""
    return np.where(bound == MISSING, times, np.minimum(times, bound))


def _codes(lives: Lives, observed: Bools) -> Codes:
    """What begins at each slot, shape (attempts, slots)."""
    codes = np.tile(np.array([CODE[phase] for _, phase in SLOTS], dtype=np.int8), (len(observed), 1))
    for slot, phase, where in (
        ("due", "start", ~observed[:, SLOT["created"]]),
        ("assigned", "shared", lives.shares),
        ("resumed", "stream", observed[:, SLOT["stream"]]),
        ("body", "decode", observed[:, SLOT["decoded"]]),
    ):
        codes[where, SLOT[slot]] = CODE[phase]
    for name in OPENINGS:  # whose end is missing, though something came after it
        place = SLOT[name]
        codes[observed[:, place] & ~observed[:, place + 1] & observed[:, place + 2 :].any(axis=1), place] = LOST
    codes[_blind(observed) & lives.began[:, None]] = LOST
    codes[_gaps(lives, observed)] = LOST
    return codes


def _blind(observed: Bools) -> Bools:
    """Slots that are followed by a connect that no stamp shows, shape (attempts, slots)."""
    found = np.zeros_like(observed)
    unseen = observed[:, SLOT["made"]] & ~observed[:, SLOT["tcp_start"]]
    for name, instead in BEFORE_CONNECT:
        found[:, SLOT[name]] = unseen & ~observed[:, [SLOT[other] for other in instead]].any(axis=1)
    return found


def _gaps(lives: Lives, observed: Bools) -> Bools:
    """Slots from which on a stamp is missing, shape (attempts, slots): few patterns of stamps occur, so each is looked at once."""
    bits = lives.failed.astype(np.int64) << len(CHAIN)
    for place, name in enumerate(CHAIN):
        of_slot = name == "headers"  # which is one only where no first byte was seen
        seen = observed[:, SLOT[name]] if of_slot else lives.stamps.get(name, np.full(len(bits), MISSING)) != MISSING
        bits |= seen.astype(np.int64) << place
    patterns, which = np.unique(bits, return_inverse=True)
    return np.array([_gap(int(pattern)) for pattern in patterns], dtype=bool).reshape(-1, len(SLOTS))[which]


def _gap(pattern: int) -> list[bool]:
    """Which slots begin a stretch that ends at a stamp that may not follow; a request that did not fail is done after its answer only."""
    missing = [False] * len(SLOTS)
    before, failed = "", pattern >> len(CHAIN)
    for place, name in enumerate(CHAIN):
        if pattern >> place & 1:
            unanswered = name == "done" and not failed and before not in ANSWERED
            if name not in MAY_FOLLOW[before] or unanswered:
                for slot in range(SLOT.get(before, 0), SLOT.get(name, len(SLOTS))):
                    missing[slot] = SLOTS[slot][0] not in OPENINGS
            before = name
    return missing


def _lost(edges: Ints, codes: Codes, idle: Idle | None) -> Ints:
    """Idle time of the loop inside segments in which only the loop kept the request waiting."""
    lost = np.zeros(codes.shape, dtype=np.int64)
    if idle is not None:
        bound = _BOUND[codes] & (edges[:, 1:] > edges[:, :-1])
        lost[bound] = idle.within(edges[:, :-1][bound], edges[:, 1:][bound])
    return lost


def _phases(edges: list[int], codes: list[int], lost: list[int]) -> tuple[Phase, ...]:
    found: list[Phase] = []
    for index, code in enumerate(codes):
        start, end = edges[index], edges[index + 1]
        for name, begin, finish in ((NAMES[code], start, end - lost[index]), ("unattributed", end - lost[index], end)):
            if finish > begin:
                joined = found.pop().start_ns if found and found[-1].name == name else begin
                found.append(Phase(name=name, start_ns=joined, end_ns=finish))
    return tuple(found)
