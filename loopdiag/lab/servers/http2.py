"""HTTP/2 by granian's embedded server: with TLS by ALPN h2, without it by prior knowledge (h2c).

The account says less than HTTP/1.1's: granian shows neither accept nor handshake nor close of a connection (these columns stay 0), a
connection is known from its first request on, and a request's receipt is when granian handed it to Python.
"""

import asyncio
import math
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from time import perf_counter_ns as clock
from typing import Any

from granian._granian import RSGIHTTPProtocol, RSGIProtocolClosed, SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP2Settings
from granian.rsgi import Scope
from granian.server.embed import Server

from loopdiag.errors import InputError
from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.core import Core
from loopdiag.lab.servers.deadlines import Deadlines
from loopdiag.lab.servers.exchange import accepts_gzip
from loopdiag.lab.servers.limits import Limits
from loopdiag.lab.servers.listening import BACKLOG
from loopdiag.lab.servers.payload import Body
from loopdiag.lab.servers.tls import Identity, memory_file
from loopdiag.lab.servers.witness import Witness

Headers = list[tuple[str, str]]


class Http2Front:
    """Serves HTTP/2, with TLS or without.

    Raises:
        InputError: the scenario asks for an end of connections after some requests, which HTTP/2 has no field for, or for a late accept
            or a slow link, which granian does not know.
    """

    def __init__(self, behaviour: Behaviour, limits: Limits, witness: Witness) -> None:
        service = behaviour.service
        faults = [
            f'target.service.{key}: not with http = "2", where it would close nothing; http = "1.1" or no such line would be right'
            for key, asked in (("keep_alive", not service.keep_alive), ("requests_per_connection", service.requests_per_connection))
            if asked
        ]
        faults += [
            f'target.service.{key}: not with http = "2", whose server accepts by itself; http = "1.1" or no such line would be right'
            for key in ("accept_ms", "handshake_ms")
            if getattr(service, key)
        ]
        if service.bytes_per_s:
            faults.append(
                'target.service.bytes_per_s: not with http = "2", whose server sends by itself; http = "1.1" or no such line would be right'
            )
        if faults:
            raise InputError(*faults)
        self._behaviour, self._witness = behaviour, witness
        self._rate, self._slots = limits.rate, limits.slots
        self._retry_after = str(math.ceil(service.retry_after_s))
        self._rows: dict[str, int] = {}  # peer → its connection's row
        self._servers: list[EmbeddedServer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._streams = service.max_streams
        self._deadlines: Deadlines
        self._core: Core

    async def start(self, sockets: list[socket.socket], identity: Identity | None) -> None:
        """Serve on `sockets`; returns when each has answered a greeting, for granian reads its key in a thread of its own."""
        loop = asyncio.get_running_loop()
        self._deadlines, self._core = Deadlines(loop), Core(loop, self._behaviour.cpu_ns)
        with ExitStack() as stack:
            paths = None
            if identity is not None:
                paths = (stack.enter_context(memory_file(identity.certificate)), stack.enter_context(memory_file(identity.key)))
            for listening in sockets:
                server = EmbeddedServer(self._serve, listening, paths, self._streams)
                self._servers.append(server)
                self._tasks.append(asyncio.create_task(server.serve()))
            for listening in sockets:
                await asyncio.wait_for(_greet(listening, identity), timeout=10)

    async def stop(self) -> None:
        """Stop granian's threads."""
        for server in self._servers:
            server.end()
        await asyncio.wait(self._tasks, timeout=2)
        self._deadlines.close()

    async def _serve(self, scope: Scope, protocol: RSGIHTTPProtocol) -> None:
        now_ns = clock()
        path = f"{scope.path}?{scope.query_string}" if scope.query_string else scope.path
        number = self._behaviour.number(path.encode(), self._witness.arrived)
        row = self._witness.received(self._connection(scope.client), number or 0, now_ns)
        if number is None or not self._rate.admits(now_ns):
            self._refuse(protocol, row, 404 if number is None else 429)
            return
        await self._turn(self._slots.enter)
        try:
            if think_ns := self._behaviour.think_ns(number):
                await self._until(clock() + think_ns)
            if self._behaviour.cpu_ns:
                await self._turn(self._core.enter)
            await self._answer(scope, protocol, row, self._behaviour.body(number))
        except (RSGIProtocolClosed, ConnectionError):  # the client is gone
            return
        finally:
            self._slots.leave()

    async def _answer(self, scope: Scope, protocol: RSGIHTTPProtocol, row: int, body: Body) -> None:
        packed = body.gzip if accepts_gzip(scope.headers.get("accept-encoding") or "") else None
        content = body.identity if packed is None else packed
        headers = [("content-type", "application/json")]
        if body.gzip is not None:
            headers.append(("vary", "accept-encoding"))
        if packed is not None:
            headers.append(("content-encoding", "gzip"))
        begun_ns, sent = clock(), len(content)
        if scope.method == "HEAD":
            protocol.response_empty(200, [*headers, ("content-length", str(sent))])
            sent = 0
        elif self._behaviour.gap_ns:
            self._witness.answered(row, begun_ns, 0, 200, sent)
            transport = protocol.response_stream(200, headers)
            await self._until(clock() + self._behaviour.gap_ns)
            await transport.send_bytes(content)
        else:
            protocol.response_bytes(200, headers, content)
        self._witness.answered(row, begun_ns, clock(), 200, sent)

    def _refuse(self, protocol: RSGIHTTPProtocol, row: int, status: int) -> None:
        content = f'{{"status":{status}}}'.encode()
        headers = [("content-type", "application/json")] + ([("retry-after", self._retry_after)] if status == 429 else [])
        begun_ns = clock()
        protocol.response_bytes(status, headers, content)
        self._witness.answered(row, begun_ns, clock(), status, len(content))

    def _connection(self, peer: str) -> int:
        row = self._rows.get(peer)
        if row is None or not self._witness.known(row):
            port = int(peer.rpartition(":")[2])
            self._rows[peer] = self._witness.connected(0, peer_port=port, new=row is None)
        return self._rows[peer]

    async def _turn(self, enter: Callable[[Callable[[], None]], None]) -> None:
        turn = asyncio.get_running_loop().create_future()
        enter(lambda: turn.set_result(None))
        await turn

    async def _until(self, due_ns: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._deadlines.at(due_ns, lambda: turn.set_result(None))
        await turn


class EmbeddedServer(Server):
    """granian on a socket that listens already, so that its port is free for certain, with a key that lies in memory."""

    _shd: Any
    ssl_ctx: Any

    def __init__(self, app: Any, listening: socket.socket, paths: tuple[str, str] | None, streams: int | None) -> None:
        address, port = listening.getsockname()[:2]
        super().__init__(
            app,
            address=address,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http2,
            websockets=False,
            log_enabled=False,
            backlog=BACKLOG,
            backpressure=BACKLOG,
            http2_settings=None if streams is None else HTTP2Settings(max_concurrent_streams=streams),
        )
        self._listening = listening
        if paths is not None:
            # not by the constructor's arguments: it resolves links, and a file in memory has no other name
            self.ssl_ctx = (True, *paths, *self.ssl_ctx[3:])

    def end(self) -> None:
        """Have `serve` return."""
        self.interrupt_signal = True
        self.main_loop_interrupt.set()

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder
        self._shd = holder(self._listening.fileno(), False, BACKLOG)  # granian's stub is behind its signature


async def _greet(listening: socket.socket, identity: Identity | None) -> None:
    """Wait for the server's first HTTP/2 frame."""
    context = None
    if identity is not None:
        context = ssl.create_default_context(cadata=identity.ca.decode())
        context.set_alpn_protocols(["h2"])
    address, port = listening.getsockname()[:2]
    reader, writer = await asyncio.open_connection(address, port, ssl=context)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")  # the preface and empty SETTINGS
    await reader.readexactly(9)
    writer.close()
