"""Answers of HTTP/1.1, as the clients of the ladder read them, which have no library for it."""

import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from loopdiag.lab.clients import REFUSALS, Answer, pause_s

MOST_HEAD_BYTES = 1 << 16
#: gzip or zlib, whichever the body is
ANY_CODING = zlib.MAX_WBITS | 32
CODINGS = frozenset({b"gzip", b"x-gzip", b"deflate"})

#: exception class → kind, beside what the system itself says
KINDS: Mapping[str, str] = MappingProxyType(
    {"IncompleteReadError": "reset", "BadAnswer": "reset", "HttpParserError": "reset", "error": "decode"}
)


class BadAnswer(Exception):
    """What came is no answer of HTTP/1.1, or more redirects than are followed."""


class Head(NamedTuple):
    """What a client needs to know of an answer's head."""

    status: int
    length: int | None = None  # of the body, in bytes; None: not said
    chunked: bool = False
    close: bool = False  # the connection ends with this answer
    coding: bytes = b""
    location: str | None = None  # where a redirect leads
    retry_after: str | None = None


class Reply(NamedTuple):
    """An answer that was read whole."""

    head: Head
    body: bytes  # before content decoding
    reusable: bool  # another request may follow on its connection
    wire_bytes: int  # as received, head included


def read_head(text: bytes) -> Head:
    """Read the head of an answer, without the empty line that ends it.

    Raises:
        BadAnswer: it is none.
    """
    first, *lines = text.split(b"\r\n")
    protocol, _, rest = first.partition(b" ")
    if not protocol.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise BadAnswer(f"no head of an answer: {first[:80]!r}")
    found: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        found[name.lower()] = value.strip()
    return head_of(int(rest[:3]), found, kept=protocol == b"HTTP/1.1")


def head_of(status: int, fields: Mapping[bytes, bytes], *, kept: bool) -> Head:
    """The head with these fields, by their names in lower case; `kept`: connections stay by default.

    Raises:
        BadAnswer: a length that is no number.
    """
    length, connection = fields.get(b"content-length"), fields.get(b"connection", b"").lower()
    if length is not None and not length.isdigit():
        raise BadAnswer(f"Content-Length: {length[:80]!r}")
    location, retry_after = fields.get(b"location"), fields.get(b"retry-after")
    return Head(
        status,
        None if length is None else int(length),
        fields.get(b"transfer-encoding", b"").lower().endswith(b"chunked"),
        connection == b"close" or not (kept or connection == b"keep-alive"),
        fields.get(b"content-encoding", b"").lower(),
        location.decode("latin-1") if location is not None and 300 <= status < 400 else None,
        None if retry_after is None else retry_after.decode("latin-1"),
    )


def bodiless(head: Head, method: str) -> bool:
    """Whether no body follows the head (RFC 9112, 6.3)."""
    return method == "HEAD" or head.status in {204, 304} or head.length == 0


def chunk_length(line: bytes) -> int:
    """The length that a chunk's first line tells.

    Raises:
        BadAnswer: none.
    """
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        raise BadAnswer(f"no length of a chunk: {line[:80]!r}") from None


def answer_of(reply: Reply) -> Answer:
    """The answer with its body decoded.

    Raises:
        zlib.error: the body is not what its coding says.
    """
    head, body = reply.head, reply.body
    if head.coding in CODINGS and body:
        body = zlib.decompress(body, ANY_CODING)
    if head.status in REFUSALS:
        return Answer(head.status, body, pause_s(head.retry_after))
    return Answer(head.status, body)


class Reading:
    """An answer as it comes in, in parts of any size."""

    __slots__ = ("_at", "_buffer", "_method", "_parts", "_trailers", "head", "size")

    def __init__(self, method: str) -> None:
        """`method` of the request, whose answer may have no body."""
        self.head: Head | None = None  # once it is whole
        self.size = 0  # bytes so far
        self._method, self._buffer = method, bytearray()
        self._at, self._parts, self._trailers = 0, list[bytes](), False  # of a chunked body

    def feed(self, data: bytes) -> bool:
        """Take the next part; whether the answer is whole.

        Raises:
            BadAnswer: it is none.
        """
        self.size += len(data)
        buffer = self._buffer
        buffer += data
        while self.head is None:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(buffer) > MOST_HEAD_BYTES:
                    raise BadAnswer(f"a head of more than {MOST_HEAD_BYTES} bytes")
                return False
            head = read_head(bytes(buffer[:end]))
            del buffer[: end + 4]
            if head.status >= 200:
                self.head = head
        if bodiless(self.head, self._method):
            return True
        if self.head.chunked:
            return self._chunks()
        return self.head.length is not None and len(buffer) >= self.head.length

    def _chunks(self) -> bool:
        """Read on from the last whole chunk; whether all are there."""
        buffer = self._buffer
        while (end := buffer.find(b"\r\n", self._at)) >= 0:
            if self._trailers:
                last, self._at = end == self._at, end + 2
                if last:
                    return True
                continue
            length = chunk_length(bytes(buffer[self._at : end]))
            if length and len(buffer) < end + length + 4:
                return False
            self._trailers = not length
            self._parts.append(bytes(buffer[end + 2 : end + 2 + length]))
            self._at = end + 2 + (length + 2 if length else 0)
        return False

    @property
    def until_end(self) -> bool:
        """Whether the body lasts until the connection ends."""
        head = self.head
        return head is not None and head.length is None and not head.chunked

    def reply(self) -> Reply:
        """The whole answer."""
        head = self.head
        assert head is not None
        bare = bodiless(head, self._method)
        length = 0 if bare else self._at if head.chunked else len(self._buffer) if head.length is None else head.length
        body = b"" if bare else b"".join(self._parts) if head.chunked else bytes(self._buffer[:length])
        framed = bare or head.chunked or head.length is not None
        return Reply(head, body, framed and not head.close and len(self._buffer) == length, self.size)
