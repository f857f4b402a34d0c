"""When the kernel received what a socket's read returned: ``SO_TIMESTAMPNS``, fetched with every read.

The stamp of a read is that of the last segment in it.  A read that brought several segments is told by the kernel's count of data segments, which then grew by
more than the number of reads; such a stamp is an upper bound of the first byte's arrival, and its attempt is flagged `rx_coalesced` (from level `detailed` on: the count
is a system call an answer).  The flag may be set
without need (a segment that arrives while the read is handled counts as well), and one segment that was received but not yet read when the connection was
made (a TLS session ticket) may hide one.

The kernel stamps by the wall clock.  Its distance from ``perf_counter`` is measured anew about once a second, because it changes only where somebody sets the
clock: then the stamps since the last measurement may be wrong by the step, which is warned of, and a stamp that lies outside of its request is not recorded.
"""

import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from .context import A, Rows
from .patching import Missing
from .recorder import now
from .schema import MASK, TICK_SHIFT

RX_KERNEL, RX_LAST, SEND_START = A["rx_kernel"], A["rx_last"], A["send_start"]

SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)  # Linux; Python names it only lately
TCP_INFO: Any = getattr(socket, "TCP_INFO", None)
IPPROTO_TCP = int(socket.IPPROTO_TCP)  # an enum's member is slow to pass on
INFO_BYTES, SEGMENTS_AT = 160, 152  # of Linux's `struct tcp_info` (4.6 and later): up to and including `tcpi_data_segs_in`

TIMESPEC = struct.Struct("@ll")
ROOM = socket.CMSG_SPACE(TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0

SAMPLE_NS = 1_000_000_000  # how long a measured distance between the clocks is trusted
STEP_NS = 100_000  # a change of their distance that is no error of measurement
WITHIN = MASK << TICK_SHIFT  # differences of stamps, in nanoseconds
FAR_NS = (1 << 31) << TICK_SHIFT  # half of what a stamp can tell apart

_recvmsg = getattr(socket.socket, "recvmsg", None)
_recvmsg_into = getattr(socket.socket, "recvmsg_into", None)
_recv_into, _getsockopt = socket.socket.recv_into, socket.socket.getsockopt
_timespec = TIMESPEC.unpack
_word = struct.Struct("=I").unpack_from


class StampedSocket(socket.socket):
    """A socket that keeps the kernel's stamp of its last read.

    Attributes:
        received: the stamp of the last read, raw; empty where the kernel gave none.
        first, last: those of the reads that brought the current answer's first and last bytes.
        reads: how often it was read.
        excess: data segments beyond one a read, when last counted.
    """

    __slots__ = ("excess", "first", "last", "reads", "received")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the socket, and ask for stamps.

        Raises:
            OSError: the kernel has no room, or does not know the option.
        """
        super().__init__(*args, **kwargs)
        self.received = self.first = self.last = b""
        self.reads = self.excess = 0
        self.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As ever."""
        got: Any = _recvmsg(self, size, ROOM, flags)  # type: ignore[misc] # `available` asked whether it is there
        self.received = got[1][0][2] if got[1] else b""
        self.reads += 1
        found: bytes = got[0]
        return found

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As ever."""
        if nbytes:
            self.received = b""
            return _recv_into(self, buffer, nbytes, flags)
        got: Any = _recvmsg_into(self, (buffer,), ROOM, flags)  # type: ignore[misc] # `available` asked whether it is there
        self.received = got[1][0][2] if got[1] else b""
        self.reads += 1
        count: int = got[0]
        return count


def available() -> socket.socket:
    """A stamped socket of no use but one: while it is open the kernel stamps every packet, so that no first read comes without.

    Raises:
        Missing: this system gives no receive stamps.
    """
    if _recvmsg is None or _recvmsg_into is None or not ROOM or TCP_INFO is None:
        raise Missing("socket.recvmsg is not there")
    try:
        keeper = StampedSocket(socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise Missing(f"SO_TIMESTAMPNS is not there: {error}") from error
    if len(keeper.getsockopt(socket.IPPROTO_TCP, TCP_INFO, INFO_BYTES)) < INFO_BYTES:
        keeper.close()
        raise Missing("tcp_info.tcpi_data_segs_in is not there")
    return keeper


def _distance() -> int:
    """How far the wall clock is ahead of ``perf_counter``, in nanoseconds, by the narrowest of a few bracketed readings."""
    best, width = 0, 1 << 62
    for _ in range(5):
        before = now()
        wall = time.time_ns()
        after = now()
        if after - before < width:
            best, width = wall - (before + after) // 2, after - before
    return best


def segments(sock: StampedSocket) -> int:
    """Data segments beyond one a read, so far; what was last counted where the socket is gone."""
    try:
        excess: int = _word(_getsockopt(sock, IPPROTO_TCP, TCP_INFO, INFO_BYTES), SEGMENTS_AT)[0] - sock.reads
    except OSError:
        return sock.excess
    return excess


def watcher(rows: Rows) -> "tuple[Callable[[int, StampedSocket, int], None], Callable[[int, StampedSocket, int], None]]":
    """The functions (row, socket, ``perf_counter_ns`` now) that stamp an answer's first read, and its last where that is another one."""
    words, counted = rows.attempts.words, rows.level > 0
    distance, until = 0, 0  # of the two clocks, and how long it is trusted
    if not counted:
        rows.dropped["attempts.rx_coalesced"] = "the kernel's count of segments is asked for from level 'detailed' on"

    def measure(at: int) -> None:
        nonlocal distance, until
        before, distance = distance, _distance()
        if until and abs(distance - before) > STEP_NS:
            rows.counters["clock_steps"] = rows.counters.get("clock_steps", 0) + 1
            step = f"{(distance - before) / 1e9:+.6f} s"
            rows.warnings.append(f"the wall clock was set by {step}: kernel receive stamps of the last second may be wrong by that")
        until = at + SAMPLE_NS

    def stamp(word: int, sent: int, raw: bytes, at: int) -> None:
        """Write `raw` to the word `word` unless it lies in the future, or before its request: that was no answer, or the clock was set."""
        if at >= until:
            measure(at)
        seconds, nanoseconds = _timespec(raw)
        received = seconds * 1_000_000_000 + nanoseconds - distance
        if at < received <= at + STEP_NS:
            received = at
        tick = received >> TICK_SHIFT & MASK
        if 0 <= at - received < FAR_NS and tick - sent & MASK < FAR_NS >> TICK_SHIFT:
            words[word] = tick
        else:
            measure(at)

    def first(row: int, sock: StampedSocket, at: int) -> None:
        raw = sock.first = sock.last = sock.received
        if counted:
            excess = segments(sock)
            if excess > sock.excess:
                rows.flag(row, "rx_coalesced")
                sock.excess = excess
        if raw:
            if at < until:  # the quick way
                seconds, nanoseconds = _timespec(raw)
                waited = at - (seconds * 1_000_000_000 + nanoseconds - distance)
                if 0 <= waited <= (at >> TICK_SHIFT) - words[row + SEND_START] << TICK_SHIFT & WITHIN:
                    words[row + RX_KERNEL] = words[row + RX_LAST] = at - waited >> TICK_SHIFT & MASK
                    return
            stamp(row + RX_KERNEL, words[row + SEND_START], raw, at)
            words[row + RX_LAST] = words[row + RX_KERNEL]

    def last(row: int, sock: StampedSocket, at: int) -> None:
        if counted:
            sock.excess = segments(sock)
        words[row + RX_LAST] = 0
        if sock.last:
            stamp(row + RX_LAST, words[row + SEND_START], sock.last, at)

    return first, last
