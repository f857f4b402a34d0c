"""A bare ``asyncio.Protocol``: what the transport hands over goes straight into httptools' parser (node's and uvicorn's, in C)."""

import asyncio
import socket
import ssl
from importlib.metadata import version
from typing import Any, cast

from loopdiag.lab.clients import missing
from loopdiag.lab.clients.ladder.origins import Origin, stamps
from loopdiag.lab.clients.ladder.pooled import PooledClient
from loopdiag.lab.clients.ladder.replies import BadAnswer, Head, Reply, head_of


class Wire(asyncio.Protocol):
    """One connection; httptools calls its ``on_…`` methods."""

    def __init__(self) -> None:
        import httptools

        self.idle_since, self.handle = 0.0, 0
        self._parser_type = httptools.HttpResponseParser
        self._parser: Any = None  # made of the first answer; httptools has no stubs
        self._marks = stamps()
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Reply] | None = None
        self._method, self._row = "GET", 0
        self._begin()

    def _begin(self) -> None:
        """Expect an answer from its first byte on."""
        self._fields: dict[bytes, bytes] = {}
        self._head: Head | None = None
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def open(self) -> bool:
        """Whether neither side has closed it."""
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            if self._marks is not None:
                self._marks.link_at(self.handle, "closed")
            self._transport.abort()

    async def ask(self, text: bytes, method: str, row: int) -> Reply:
        """Send one request and wait for its answer.

        Raises:
            OSError, BadAnswer: the connection broke before, or what came is no HTTP.
        """
        if not self.open:
            raise ConnectionResetError("the connection was closed before the request was sent")
        assert self._transport is not None
        marks = self._marks
        self._begin()
        self._method, self._row = method, row
        if self._parser is None or method == "HEAD":  # the parser would wait for a body
            self._parser = self._parser_type(self)
        self._answered = asyncio.get_running_loop().create_future()
        if marks is not None:
            marks.at(row, "send_start")
        self._transport.write(text)
        if marks is not None:
            marks.at(row, "send_end")
        reply = await self._answered
        if marks is not None:
            marks.at(row, "body")
        return reply

    # -- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Let the parser read."""
        if self._answered is None or self._answered.done():
            self.abort()  # nobody asked for it
            return
        if self._marks is not None and not self._size:
            self._marks.at(self._row, "first_byte")
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except Exception as error:  # noqa: BLE001 - whatever the parser raises is the request's end
            self._fail(error)
        if self._marks is not None and self._head is not None:
            self._marks.reply(self._row, self._head.status, self._size)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was under way; a body without a length ends so."""
        head = self._head
        if exc is None and head is not None and head.length is None and not head.chunked:
            self._whole(reusable=False)
        else:
            self._fail(exc or ConnectionResetError("the server closed the connection before its answer was whole"))

    # -- what the parser says

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""
        self._fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole; it may be the last that comes."""
        status = self._parser.get_status_code()
        if status < 200:
            self._fields.clear()
            return
        self._head = head_of(status, self._fields, kept=self._parser.get_http_version() == "1.1")
        if self._marks is not None:
            self._marks.at(self._row, "headers")
        if self._method == "HEAD":
            self._whole(reusable=not self._head.close)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole, or an interim one is."""
        if self._head is not None:
            self._whole(reusable=not self._head.close)

    # -- the end

    def _whole(self, *, reusable: bool) -> None:
        if self._answered is None or self._answered.done():
            return
        head = self._head
        assert head is not None
        if self._marks is not None:
            self._marks.at(self._row, "last_byte")
        self._answered.set_result(Reply(head, b"".join(self._parts), reusable, self._size))

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error if isinstance(error, OSError | BadAnswer) else BadAnswer(str(error)))
            self.abort()


class ProtocolClient(PooledClient):
    """``loop.create_connection`` with a protocol of our own, and a pool around it."""

    name = "protocol"

    @staticmethod
    def available() -> str | None:
        """Return None, or that httptools is not installed."""
        return missing("httptools")

    @staticmethod
    def versions() -> dict[str, str]:
        """Return the parser's version."""
        return {"httptools": version("httptools")}

    async def connect(self, origin: Origin, sock: socket.socket, context: ssl.SSLContext | None) -> Wire:
        """Give a connected socket a transport; with TLS where there is a `context`."""
        name = origin.host if context is not None else None
        _, wire = await self._loop.create_connection(Wire, sock=sock, ssl=context, server_hostname=name)
        return wire
