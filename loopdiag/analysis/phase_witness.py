"""Each phase against an independent witness: the server's and the kernel's stamps of the same requests and connections, on the same clock.

What the witness cannot know is how long the client's loop was busy before it looked: that time is the loop's own account (`Idle`), and is taken
off.  What remains is time in which the client's loop sat idle although, by the witness, what it waited for had happened; or a stamp that
lies before its cause.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.columns import MISSING, Ints, stamps, used
from loopdiag.analysis.idle import Idle
from loopdiag.analysis.witness import SLACK_NS

Tables = Mapping[str, NDArray[np.void]]
Columns = dict[str, Ints]

ATTEMPT_STAMPS = ("send_start", "send_end", "rx_kernel", "first_byte", "rx_last", "last_byte")
LINK_STAMPS = ("dns_start", "dns_end", "tcp_start", "tcp_end", "tls_start", "tls_end")
SERVED = ("received_ns", "begun_ns", "ended_ns")
ACCEPTED = ("accepted_ns", "handshaken_ns")

#: pairs that may never run backwards, in `request_columns`
REQUEST_ORDERS = (
    ("send_start", "received_ns"),
    ("begun_ns", "rx_kernel"),
    ("begun_ns", "first_byte"),
    ("rx_kernel", "first_byte"),
    ("begun_ns", "last_byte"),
    ("rx_last", "last_byte"),
)
#: and in `connection_columns`
CONNECTION_ORDERS = (("tcp_start", "accepted_ns"), ("tcp_start", "tls_end"), ("accepted_ns", "tls_end"), ("tls_end", "handshaken_ns"))


def request_columns(tables: Tables, since_ns: int) -> Columns:
    """Stamps of both sides for every request that has one attempt and one answer, in the order of their numbers (nanoseconds; MISSING).

    Args:
        tables: the client's ``attempts`` and the server's ``server_requests``.
        since_ns: the trial's start; earlier rows are warm-up.
    """
    rows = tables["attempts"][used(tables["attempts"], since_ns)]
    served = tables["server_requests"]
    served = served[served["received_ns"].astype(np.int64) >= since_ns]
    ours, theirs = _matched(rows["request"], served["request"], once=True)
    return stamps(rows[ours], ATTEMPT_STAMPS) | _witnessed(served[theirs], SERVED)


def connection_columns(tables: Tables, since_ns: int) -> Columns:
    """The same for every connection, matched by the client's port; the connections that had one port follow each other in the same order.

    Args:
        tables: the client's ``connections`` and the server's ``server_connections``.
        since_ns: the trial's start.
    """
    rows = tables["connections"][used(tables["connections"], since_ns)]
    served = tables["server_connections"]
    ours, theirs = _matched(rows["local_port"], served["peer_port"], once=False)
    return stamps(rows[ours], LINK_STAMPS) | _witnessed(served[theirs], ACCEPTED)


def backwards(columns: Columns, orders: tuple[tuple[str, str], ...]) -> dict[tuple[str, str], int]:
    """Which pairs ran backwards by more than the two ticks that stamps are cut to, and how often; only where both were observed."""
    found = {}
    for cause, effect in orders:
        if cause in columns and effect in columns:
            both = (columns[cause] != MISSING) & (columns[effect] != MISSING)
            if wrong := int((both & (columns[effect] < columns[cause] - SLACK_NS)).sum()):
                found[cause, effect] = wrong
    return found


@dataclass(frozen=True)
class Distance:
    """How far the client's stamps lie from their witness when the loop's busy time is taken off; `idle` counts from `since_ns`."""

    idle: Idle | None
    since_ns: int

    @classmethod
    def of(cls, tables: Tables, since_ns: int) -> "Distance":
        """With the iterations of `tables`, from the trial's start on."""
        return cls(Idle.of(tables.get("iterations"), since_ns), since_ns)

    def late(self, causes: Ints, effects: Ints) -> Ints:
        """How long after each cause, which the witness saw, the client saw its effect: idle nanoseconds; the whole time, negative, where it was before."""
        return np.where(effects < causes, effects - causes, self.idle_ns(causes, effects))

    def idle_ns(self, starts: Ints, ends: Ints) -> Ints:
        """Time between two moments in which the loop was not busy; all of it where the loop's iterations were not observed."""
        return ends - starts if self.idle is None else self.idle.within(starts - self.since_ns, ends - self.since_ns)

    def requests(self, columns: Columns) -> dict[str, Ints]:
        """Phase → distance of each request.

        ``wait``: what it is longer or shorter than from the server's receipt to the answer's begin.  ``receive``: likewise, than from the
        answer's begin to its end.  ``kernel``: from the answer's begin to the kernel's stamp, where there is one.
        """
        first = self.late(columns["begun_ns"], columns["first_byte"])
        found = {
            "wait": np.abs(first - self.late(columns["received_ns"], columns["send_end"])),
            "receive": np.abs(self.late(columns["ended_ns"], columns["last_byte"]) - first),
        }
        seen = columns["rx_kernel"] != MISSING
        if seen.any():
            found["kernel"] = np.abs(columns["rx_kernel"] - columns["begun_ns"])[seen]
        return found

    def connections(self, columns: Columns) -> dict[str, Ints]:
        """Phase → distance of each connection.

        ``connect``: its end from the server's accept.  ``ssl``: its end from the end of the server's handshake, plus its begin from the
        connect's end, where there is TLS.
        """
        found = {"connect": np.abs(self.late(columns["accepted_ns"], columns["tcp_end"]))}
        secure = {name: column[columns["tls_end"] != MISSING] for name, column in columns.items()}
        if len(secure["tls_end"]):
            begin = self.late(secure["tcp_end"], secure["tls_start"])
            found["ssl"] = np.abs(begin) + np.abs(secure["handshaken_ns"] - secure["tls_end"])
        return found

    def look_ups(self, columns: Columns, begun: Ints, ended: Ints) -> Ints:
        """Idle nanoseconds of each connection's ``dns`` phase in which no look-up of the process was under way.

        Args:
            columns: of the connections.
            begun: when each look-up entered the system's resolver, by a witness inside it.
            ended: when it left it.
        """
        idle = self.idle_ns(columns["dns_start"], columns["dns_end"])
        for first, last in _union(begun, ended):
            starts, ends = np.maximum(columns["dns_start"], first), np.minimum(columns["dns_end"], last)
            idle -= np.where(starts < ends, self.idle_ns(starts, ends), 0)
        return idle


def outside(columns: Columns, begun: Ints, ended: Ints) -> int:
    """How many look-ups lie in no connection's ``dns`` phase; arguments as in `Distance.look_ups`."""
    starts, ends = columns["dns_start"] - SLACK_NS, columns["dns_end"] + SLACK_NS
    seen = (columns["dns_start"] != MISSING) & (columns["dns_end"] != MISSING)
    return sum(
        not bool((seen & (starts <= first) & (last <= ends)).any()) for first, last in zip(begun.tolist(), ended.tolist(), strict=True)
    )


def _matched(ours: NDArray[np.void], theirs: NDArray[np.void], *, once: bool) -> tuple[Ints, Ints]:
    """Row numbers on both sides, in the order of the keys: of keys other than 0 that each side has equally often, or `once`."""
    orders = [np.argsort(keys, kind="stable") for keys in (ours, theirs)]
    counts = [np.unique(keys, return_counts=True) for keys in (ours, theirs)]
    known, left, right = np.intersect1d(counts[0][0], counts[1][0], return_indices=True)
    often = counts[0][1][left], counts[1][1][right]
    agreed = known[(known != 0) & (often[0] == often[1]) & ((often[0] == 1) | (not once))]
    left_rows, right_rows = (order[np.isin(keys[order], agreed)] for order, keys in zip(orders, (ours, theirs), strict=True))
    return left_rows, right_rows


def _witnessed(rows: NDArray[np.void], fields: tuple[str, ...]) -> Columns:
    """The server's stamps; it writes 0 where it observed nothing."""
    columns = {field: rows[field].astype(np.int64) for field in fields}
    return {field: np.where(column == 0, MISSING, column) for field, column in columns.items()}


def _union(begun: Ints, ended: Ints) -> list[tuple[int, int]]:
    """Overlapping stretches as one, in order."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(zip(begun.tolist(), ended.tolist(), strict=True)):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged
