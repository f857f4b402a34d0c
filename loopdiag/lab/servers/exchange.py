"""One HTTP/1.1 request from its receipt to the end of its answer."""

from collections.abc import Callable
from functools import lru_cache
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loopdiag.lab.servers.http1 import Http1Connection

REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}
VARY, CODED = "vary: accept-encoding\r\n", "content-encoding: gzip\r\n"
JOIN_BYTES = 1 << 16  # a larger body is not copied behind its head


class Exchange:
    """Waits for a place of service, thinks, and writes; or refuses at once."""

    __slots__ = ("begun_ns", "body", "chunks", "connection", "gzip", "head_only", "last", "location", "number", "row", "status")

    def __init__(self, connection: "Http1Connection", status: int, number: int) -> None:
        self.connection, self.status, self.number = connection, status, number
        self.head_only = self.gzip = self.last = False
        self.chunks = False  # whether the client takes them, where there is a gap
        self.row = self.begun_ns = 0
        self.body = self.location = b""  # location: where a request is sent on to

    def admit(self) -> None:
        """Refuse at once, or wait for a place of service."""
        if self.status in {200, 302}:
            self.connection.front.slots.enter(self._begin)
        else:
            self._refuse()

    def _begin(self) -> None:
        front = self.connection.front
        think_ns = front.behaviour.think_ns(self.number)
        if self.connection.transport is None:
            front.slots.leave()
        elif think_ns:
            front.deadlines.at(clock() + think_ns, self._compute)
        else:
            self._compute()

    def _compute(self) -> None:
        self.connection.front.core.enter(self._answer)

    def _refuse(self) -> None:
        retry = self.connection.front.retry_after if self.status == 429 else ""
        self.body = f'{{"status":{self.status}}}'.encode()
        self.begun_ns = clock()
        head = make_head(self.status, retry, len(self.body), self.last)
        self._write(head if self.head_only else head + self.body)
        self._end()

    def _answer(self) -> None:
        """Write the answer, or its head if the body comes after a gap."""
        connection = self.connection
        front = connection.front
        if connection.transport is None:
            front.slots.leave()
            return
        if self.location:
            self._send(make_head(302, f"location: {self.location.decode()}\r\n", 0, self.last), self._leave)
            return
        body = front.behaviour.body(self.number)
        packed = body.gzip if self.gzip else None
        self.body = content = body.identity if packed is None else packed
        coding = "" if body.gzip is None else VARY if packed is None else VARY + CODED
        head = make_head(200, coding, None if self.chunks else len(content), self.last)
        if self.head_only:
            self._send(head, self._leave)
        elif front.behaviour.gap_ns:
            self._send(head, self._pause)
        elif len(content) <= JOIN_BYTES or front.link is not None:
            self._send(head + content, self._leave)
        else:
            self._hand_over(head)
            self._send(content, self._leave)

    def _pause(self) -> None:
        front = self.connection.front
        front.deadlines.at(clock() + front.behaviour.gap_ns, self._answer_body)

    def _answer_body(self) -> None:
        if not self.chunks:
            self._send(self.body, self._leave)
        elif self.body:
            self._send(b"%x\r\n" % len(self.body) + self.body + b"\r\n0\r\n\r\n", self._leave)
        else:
            self._send(b"0\r\n\r\n", self._leave)

    def _send(self, piece: bytes, then: Callable[[], None]) -> None:
        """Hand over a part of the answer, at once or as fast as the link is, and go on."""
        link = self.connection.front.link
        if link is None or not piece:
            self._hand_over(piece)
            then()
        else:
            link.send(piece, self._hand_over, then)

    def _hand_over(self, piece: bytes) -> bool:
        """Give a piece to the transport; whether the client is still there."""
        connection, front = self.connection, self.connection.front
        if connection.transport is None:
            return False
        if not self.begun_ns:
            self.begun_ns = clock()
            if front.link is not None or front.behaviour.gap_ns:  # the rest comes later, or never
                front.witness.answered(self.row, self.begun_ns, 0, self.status, 0 if self.head_only else len(self.body))
        self._write(piece)
        return True

    def _write(self, piece: bytes) -> None:
        transport = self.connection.transport
        if transport is not None and not transport.is_closing():
            transport.write(piece)

    def _leave(self) -> None:
        """End, and let others in; the connection's next request first queues behind those who wait already."""
        front, connection = self.connection.front, self.connection
        self._end()
        front.slots.leave()
        connection.advance()

    def _end(self) -> None:
        if self.connection.transport is not None:
            sent = 0 if self.head_only else len(self.body)
            self.connection.front.witness.answered(self.row, self.begun_ns, clock(), self.status, sent)
        self.connection.done(self)


@lru_cache(maxsize=4096)
def make_head(status: int, fields: str, length: int | None, last: bool) -> bytes:
    """Make an answer's head; without a length its body is chunked."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    close = "connection: close\r\n" if last else ""
    return f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\n{fields}{framing}\r\n{close}\r\n".encode()


@lru_cache(maxsize=64)
def accepts_gzip(value: str) -> bool:
    """Whether an Accept-Encoding field allows gzip (RFC 9110, 12.5.3)."""
    allowed = {}
    for part in value.lower().split(","):
        coding, _, parameters = part.partition(";")
        weight = parameters.replace(" ", "").partition("q=")[2]
        allowed[coding.strip()] = weight.strip("0.") != "" if weight else True
    return allowed.get("gzip", allowed.get("x-gzip", allowed.get("*", False)))
