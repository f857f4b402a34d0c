"""One non-blocking socket of the client epoll, with OpenSSL over memory where there is TLS."""

import os
import socket
import ssl
from contextlib import suppress
from errno import EINPROGRESS
from typing import Generic, TypeVar

from loopdiag.lab.clients.ladder.origins import Address
from loopdiag.lab.clients.ladder.replies import Reading

READ_BYTES = 1 << 18  # as asyncio reads
CONNECTING, HANDSHAKING, READY, CLOSED = range(4)

R = TypeVar("R")


class Connection(Generic[R]):
    """A socket from its connect to its end, and the request that it carries."""

    __slots__ = (
        "_incoming",
        "_outgoing",
        "_table",
        "_tls",
        "_unsent",
        "address",
        "handle",
        "idle_since",
        "reading",
        "request",
        "sock",
        "stage",
    )

    def __init__(self, sock: socket.socket, request: R, address: Address, table: "dict[int, Connection[R]]") -> None:
        """`table` knows the connection by its descriptor until it is closed."""
        self.sock, self.address, self._table = sock, address, table
        self.request: R | None = request
        self.reading = Reading("GET")
        self.stage, self.handle, self.idle_since = CONNECTING, 0, 0.0
        self._tls: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO | None = None
        self._outgoing: ssl.MemoryBIO | None = None
        self._unsent = b""
        table[sock.fileno()] = self

    @property
    def open(self) -> bool:
        """Whether a request may be sent over it."""
        return self.stage == READY

    def connect(self) -> None:
        """Begin to connect.

        Raises:
            OSError: it failed at once.
        """
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as asyncio and every library do
        if (code := self.sock.connect_ex(self.address[1])) not in {0, EINPROGRESS}:
            raise OSError(code, os.strerror(code))

    def connected(self) -> bool:
        """Whether the connect is over, now that the socket has news.

        Raises:
            OSError: it failed.
        """
        if code := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
        return True

    def begin_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Begin the handshake."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.stage = HANDSHAKING
        self._shake()

    def _shake(self) -> None:
        """Take the handshake as far as it goes.

        Raises:
            SSLError: it failed; the other side is told.
        """
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
        except ssl.SSLError:
            self.flush()
            raise
        else:
            self.stage = READY  # what it still has to say goes out with the request

    def send(self, text: bytes) -> None:
        """Send as much as the socket takes; the rest when it takes more."""
        if self._tls is None:
            self._unsent += text
        else:
            self._tls.write(text)
        self.flush()

    def flush(self) -> None:
        """Send what is left."""
        if self._outgoing is not None and self._outgoing.pending:
            self._unsent += self._outgoing.read()
        if self._unsent:
            with suppress(BlockingIOError):
                self._unsent = self._unsent[self.sock.send(self._unsent) :]

    def receive(self, *, drain: bool) -> tuple[bytes, bool]:
        """What came, decrypted, and whether the connection has ended; goes on with a handshake.

        Args:
            drain: read to the very end: the other side has closed.

        Raises:
            OSError, SSLError: the connection broke.
        """
        parts, ended = [], False
        while True:
            try:
                part = self.sock.recv(READ_BYTES)
            except BlockingIOError:
                break
            parts.append(part)
            ended = not part
            if ended or (len(part) < READ_BYTES and not drain):
                break
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._tls is None:
            return data, ended
        text, closed = self._decrypted(data)
        return text, ended or closed

    def _decrypted(self, data: bytes) -> tuple[bytes, bool]:
        """The text of the records so far, and whether the other side has ended TLS."""
        assert self._tls is not None
        assert self._incoming is not None
        self._incoming.write(data)
        if self.stage == HANDSHAKING:
            self._shake()
        parts: list[bytes] = []
        while self.stage == READY:
            try:
                part = self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            if not part:
                return b"".join(parts), True
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts), False

    def abort(self) -> None:
        """Close it at once."""
        if self.stage != CLOSED:
            self.stage = CLOSED
            del self._table[self.sock.fileno()]
            self.sock.close()
