"""A link of limited bandwidth in front of the target: all answers share it, piece by piece, as packets share a line."""

from collections import deque
from collections.abc import Callable
from time import perf_counter_ns as clock

from loopdiag.lab.servers.deadlines import Deadlines

LEAST_BYTES, MOST_BYTES = 1448, 1 << 16  # of a piece: a packet's, and what a socket takes at once
PIECE_S = 0.0005
NS = 1_000_000_000


class Transfer:
    """One answer, or a part of it, on its way."""

    __slots__ = ("at", "content", "hand_over", "sent")

    def __init__(self, content: bytes, hand_over: Callable[[bytes], bool], sent: Callable[[], None]) -> None:
        self.content, self.hand_over, self.sent = content, hand_over, sent
        self.at = 0


class Link:
    """Hands content over no faster than `bytes_per_s`, whose transfers take turns.

    A piece is handed over when a line of that speed would have delivered its last byte.  The time is that of the line since it last was idle, so
    that a call that comes late makes none of the following late.
    """

    def __init__(self, bytes_per_s: float, deadlines: Deadlines) -> None:
        self._rate, self._deadlines = bytes_per_s, deadlines
        self._piece = round(min(max(bytes_per_s * PIECE_S, LEAST_BYTES), MOST_BYTES))
        self._turns: deque[Transfer] = deque()
        self._began_ns = self._carried = 0  # when the line last began, and the bytes since then
        self._busy = False

    def send(self, content: bytes, hand_over: Callable[[bytes], bool], sent: Callable[[], None]) -> None:
        """Send `content`, at least one byte.

        Args:
            content: what to send.
            hand_over: gets each piece; whether the receiver is still there.
            sent: called once, after the last piece, or when the receiver has gone.
        """
        self._turns.append(Transfer(content, hand_over, sent))
        if not self._busy:
            self._busy, self._began_ns, self._carried = True, clock(), 0
            self._next()

    def _next(self) -> None:
        """Let the first in line have the link for one piece."""
        first = self._turns[0]
        self._carried += min(self._piece, len(first.content) - first.at)
        self._deadlines.at(self._began_ns + round(self._carried * NS / self._rate), self._deliver)

    def _deliver(self) -> None:
        first = self._turns.popleft()
        piece = first.content[first.at : first.at + self._piece]
        first.at += len(piece)
        if first.hand_over(piece) and first.at < len(first.content):
            self._turns.append(first)
        else:
            first.sent()
        self._busy = bool(self._turns)
        if self._busy:
            self._next()
