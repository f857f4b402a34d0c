"""HTTP/1.1 by a protocol of our own on httptools: only an own front can stamp the accept, the handshake and the receipt."""

import asyncio
import math
import socket
from collections import deque
from time import perf_counter_ns as clock
from typing import cast

import httptools

from loopdiag.lab.servers.accepting import Connect, LateAcceptor
from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.core import Core
from loopdiag.lab.servers.deadlines import Deadlines
from loopdiag.lab.servers.exchange import Exchange, accepts_gzip
from loopdiag.lab.servers.limits import Limits
from loopdiag.lab.servers.link import Link
from loopdiag.lab.servers.listening import BACKLOG
from loopdiag.lab.servers.redirects import Redirects
from loopdiag.lab.servers.tls import Identity, server_context
from loopdiag.lab.servers.witness import Witness

PIPELINE_LIMIT = 64  # requests that wait on one connection before it is no longer read
LINGER_S = 2.0  # for a TLS peer's close_notify


class Http1Front:
    """Serves HTTP/1.1, with TLS or without."""

    def __init__(self, behaviour: Behaviour, limits: Limits, witness: Witness) -> None:
        self.behaviour, self.witness = behaviour, witness
        self.rate, self.slots = limits.rate, limits.slots
        service = behaviour.service
        self.retry_after = f"retry-after: {math.ceil(service.retry_after_s)}\r\n"
        self.requests_per_connection = (service.requests_per_connection or 0) if service.keep_alive else 1
        self.redirects = Redirects(service.redirects)
        self.tls = False
        self.deadlines: Deadlines
        self.core: Core
        self.link: Link | None = None
        self._servers: list[asyncio.Server] = []
        self._acceptors: list[LateAcceptor] = []

    async def start(self, sockets: list[socket.socket], identity: Identity | None) -> None:
        """Serve on `sockets`."""
        loop = asyncio.get_running_loop()
        context = None if identity is None else server_context(identity, "http/1.1")
        self.tls = context is not None
        self.deadlines, self.core = Deadlines(loop), Core(loop, self.behaviour.cpu_ns)
        if rate := self.behaviour.service.bytes_per_s:
            self.link = Link(rate, self.deadlines)
        linger_s = LINGER_S if context else None
        accept_ns, handshake_ns = self.behaviour.accept_ns, self.behaviour.handshake_ns if context else 0

        def accepted(sock: socket.socket) -> Connect:
            protocol = Http1Connection(self)  # now: it stamps the accept
            return lambda: loop.connect_accepted_socket(lambda: protocol, sock, ssl=context, ssl_shutdown_timeout=linger_s)

        for listening in sockets:
            if accept_ns or handshake_ns:
                self._acceptors.append(LateAcceptor(listening, self.deadlines, accepted, accept_ns=accept_ns, handshake_ns=handshake_ns))
                continue
            self._servers.append(
                await loop.create_server(
                    lambda: Http1Connection(self),
                    sock=listening,
                    ssl=context,
                    backlog=self.behaviour.service.backlog or BACKLOG,  # it listens once more, which must not shorten the queue
                    ssl_shutdown_timeout=linger_s,
                )
            )

    async def stop(self) -> None:
        """Stop listening and forget the requests in service."""
        for server in self._servers:
            server.close()
        for acceptor in self._acceptors:
            acceptor.stop()
        self.deadlines.close()


class Http1Connection(asyncio.Protocol):
    """One connection: parses what comes, and has its requests answered one after the other, in order."""

    def __init__(self, front: Http1Front) -> None:
        self.front = front
        # the loop makes the protocol when it accepts, and connects it when the handshake is done
        self.accepted_ns = clock()
        self.row = front.witness.connected(self.accepted_ns)
        self.transport: asyncio.Transport | None = None  # None: not yet there, or gone
        self.now_ns = 0  # when the piece that is being parsed was received
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)  # None: reads no more
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._served = 0
        self._full = self._held = self._advancing = False  # the peer does not read; we do not read
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the peer, and the handshake's end."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        peer = transport.get_extra_info("peername")
        self.front.witness.established(self.row, clock() if self.front.tls else 0, peer[1] if peer else 0)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a client may leave as it likes
        """Forget everything; exchanges in service notice that the transport is gone."""
        self.front.witness.closed(self.row, clock())
        self.transport = self._parser = self._current = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Parse; answer what is complete."""
        self.now_ns = clock()
        if self._parser is None:
            return
        try:
            self._feed(self._parser, data)
        except httptools.HttpParserCallbackError:  # a fault of ours and not the client's
            raise
        except httptools.HttpParserError:
            self._parser = None
            self._enqueue(Exchange(self, 400, 0))
        self.advance()

    def _feed(self, parser: httptools.HttpRequestParser, data: bytes) -> None:
        while True:
            try:
                parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # a server may ignore the wish to speak another protocol, and go on
                data = data[upgrade.args[0] :]
                self._parser = parser = httptools.HttpRequestParser(self)
            else:
                return

    # callbacks of the parser

    def on_message_begin(self) -> None:  # noqa: D102 - httptools' interface, here and below
        self._url, self._gzip, self._continue = b"", False, False

    def on_url(self, url: bytes) -> None:  # noqa: D102
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102
        name = name.lower()
        if name == b"accept-encoding":
            self._gzip = accepts_gzip(value.decode("latin-1"))
        elif name == b"expect":
            self._continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:  # noqa: D102
        if self._continue and self.transport is not None and not self._waiting and self._current is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_message_complete(self) -> None:  # noqa: D102
        front, parser = self.front, self._parser
        assert parser is not None
        path, location = front.redirects.follow(self._url)
        number = front.behaviour.number(path, front.witness.arrived)
        status = 404 if number is None else 429 if not front.rate.admits(self.now_ns) else 302 if location else 200
        exchange = Exchange(self, status, number or 0)
        exchange.location = location
        exchange.head_only = parser.get_method() == b"HEAD"
        exchange.gzip = self._gzip
        exchange.chunks = front.behaviour.gap_ns > 0 and parser.get_http_version() != "1.0"
        exchange.last = not parser.should_keep_alive()
        self._enqueue(exchange)

    # exchanges

    def _enqueue(self, exchange: Exchange) -> None:
        witness = self.front.witness
        if not witness.known(self.row):
            self.row = self._reopened()
        exchange.row = witness.received(self.row, exchange.number, self.now_ns)
        self._waiting.append(exchange)
        if len(self._waiting) >= PIPELINE_LIMIT and not self._held and self.transport is not None:
            self._held = True
            self.transport.pause_reading()

    def _reopened(self) -> int:
        """A row for a connection that outlives a collection."""
        witness = self.front.witness
        peer = self.transport.get_extra_info("peername") if self.transport else None
        return witness.connected(self.accepted_ns, peer_port=peer[1] if peer else 0, new=False)

    def advance(self) -> None:
        """Serve the next requests until one has to think."""
        # a loop and not a recursion: an exchange without think time ends, and advances, inside its own `admit`
        if self._advancing:
            return
        self._advancing = True
        while self._waiting and self._current is None and not self._full and self.transport is not None:
            self._current = exchange = self._waiting.popleft()
            self._served += 1
            exchange.last = exchange.last or exchange.status == 400 or self._served == self.front.requests_per_connection
            exchange.admit()
        self._advancing = False
        if self._held and self.transport is not None and len(self._waiting) < PIPELINE_LIMIT // 2:
            self._held = False
            self.transport.resume_reading()

    def done(self, exchange: Exchange) -> None:
        """The exchange has ended; close after the last, else go on."""
        self._current = None
        if exchange.last and self.transport is not None:
            self._parser = None
            self._waiting.clear()
            self.transport.close()

    def pause_writing(self) -> None:
        """The peer does not read: answer no further requests."""
        self._full = True

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._full = False
        self.advance()
