"""asyncio's streams: one reader and one writer a connection, and the head of each answer read here."""

import asyncio
import socket
import ssl
from types import ModuleType

from loopdiag.lab.clients.ladder.origins import Origin, stamps
from loopdiag.lab.clients.ladder.pooled import PooledClient
from loopdiag.lab.clients.ladder.replies import MOST_HEAD_BYTES, BadAnswer, Head, Reply, bodiless, chunk_length, read_head


class Stream:
    """One connection as a pair of streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.idle_since, self.handle = 0.0, 0
        self._reader, self._writer, self._marks = reader, writer, stamps()
        self._row, self._begun = 0, False  # of the attempt under way; its answer has begun
        if self._marks is not None:
            self._watch(self._marks)

    def _watch(self, marks: ModuleType) -> None:
        """Stamp the first and the last byte of each answer, where the transport hands them over."""
        feed = self._reader.feed_data

        def feed_data(data: bytes) -> None:
            if self._row:
                if not self._begun:
                    self._begun = True
                    marks.at(self._row, "first_byte")
                marks.at(self._row, "last_byte")
            feed(data)

        self._reader.feed_data = feed_data  # type: ignore[assignment,method-assign] # an instrument's seam

    @property
    def open(self) -> bool:
        """Whether neither side has closed it."""
        return not (self._writer.is_closing() or self._reader.at_eof())

    def abort(self) -> None:
        """Close it at once."""
        if self._marks is not None:
            self._marks.link_at(self.handle, "closed")
        self._writer.transport.abort()

    async def ask(self, text: bytes, method: str, row: int) -> Reply:
        """Send one request and read its answer whole.

        Raises:
            IncompleteReadError, OSError: the connection broke before.
            BadAnswer: what came is no HTTP.
        """
        marks = self._marks
        if marks is not None:
            self._row, self._begun = row, False
            marks.at(row, "send_start")
        self._writer.write(text)
        await self._writer.drain()
        if marks is not None:
            marks.at(row, "send_end")
        head, size = await self._head()
        if marks is not None:
            marks.at(row, "headers")
            marks.reply(row, head.status, size)
        body, framing = await self._body(head, method)
        size += len(body) + framing
        if marks is not None:
            self._row = 0
            marks.at(row, "body")
            marks.reply(row, head.status, size)
        whole = head.chunked or head.length is not None or bodiless(head, method)
        return Reply(head, body, whole and not head.close, size)

    async def _head(self) -> tuple[Head, int]:
        """The head of the answer, and how many bytes it and the interim ones before it took."""
        size = 0
        while True:
            try:
                text = await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                raise BadAnswer(f"a head of more than {MOST_HEAD_BYTES} bytes") from None
            size += len(text)
            head = read_head(text[:-4])
            if head.status >= 200:
                return head, size

    async def _body(self, head: Head, method: str) -> tuple[bytes, int]:
        """The body, and how many bytes its framing took."""
        if bodiless(head, method):
            return b"", 0
        if head.chunked:
            return await self._chunks()
        if head.length is not None:
            return await self._reader.readexactly(head.length), 0
        return await self._reader.read(), 0

    async def _chunks(self) -> tuple[bytes, int]:
        reader, parts, framing = self._reader, [], 0
        while True:
            line = await reader.readuntil(b"\n")
            length = chunk_length(line)
            framing += len(line)
            if not length:
                break
            parts.append(await reader.readexactly(length))
            framing += len(await reader.readexactly(2))
        while len(line := await reader.readuntil(b"\n")) > 2:  # trailers
            framing += len(line)
        return b"".join(parts), framing + len(line)


class StreamsClient(PooledClient):
    """``asyncio.open_connection``, as its documentation shows it, with a pool around it."""

    name = "streams"

    async def connect(self, origin: Origin, sock: socket.socket, context: ssl.SSLContext | None) -> Stream:
        """Open the streams of a connected socket; with TLS where there is a `context`."""
        name = origin.host if context is not None else None
        return Stream(*await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name, limit=MOST_HEAD_BYTES))
