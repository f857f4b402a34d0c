"""The asyncio clients of the ladder: leases, look-ups, time-outs and redirects; what a connection is, the client itself says."""

import asyncio
import socket
import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from loopdiag.errors import Unavailable
from loopdiag.lab.built_in import BuiltIn
from loopdiag.lab.clients import Answer, ClientOptions, tls_context
from loopdiag.lab.clients.fake import pool_limit
from loopdiag.lab.clients.ladder.origins import MOST_HOPS, Address, Idle, Link, Origin, Requests, address_of, onward, stamps
from loopdiag.lab.clients.ladder.replies import KINDS, BadAnswer, Reply, answer_of


class AsyncLink(Link, Protocol):
    """A connection of a client on an asyncio loop."""

    handle: int  # of the instruments

    async def ask(self, text: bytes, method: str, row: int) -> Reply:
        """Send one request and read its answer whole; `row` is its attempt's, for the marks."""


class PooledClient(BuiltIn, ABC):
    """A client on asyncio: leases in the order of asking, a time-out a request, redirects; what a connection is, a subclass says."""

    kinds: Mapping[str, str] = KINDS
    name = ""

    def __init__(self) -> None:
        self._marks = stamps()
        self._names: dict[Origin, asyncio.Future[list[Address]]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._leased = 0

    async def open(self, options: ClientOptions) -> None:
        """Make the TLS context and an empty pool.

        Raises:
            Unavailable: HTTP/2.
        """
        if options.http != "1.1":
            raise Unavailable(f"{self.name} speaks HTTP/1.1 only; the scenario asks for HTTP/{options.http}")
        self._options = options
        self._requests = Requests(self.name, options)
        self._context = tls_context(options.ca_file)
        self._limit = pool_limit(options.pool)
        self._idle: Idle[AsyncLink] = Idle(options.pool)
        self._loop = asyncio.get_running_loop()

    async def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole; raises as `_fetch`."""
        marks = self._marks
        if marks is None:
            return await self._fetch(url)
        marks.entered()
        try:
            answer = await self._fetch(url)
        except BaseException as error:
            marks.left(error)
            raise
        marks.left()
        return answer

    async def _fetch(self, url: str) -> Answer:
        """Follow redirects until there is an answer.

        Raises:
            TimeoutError: it took longer than the request's time-out, the wait for a connection included.
            BadAnswer: it was sent on too often, or what came is no HTTP.
        """
        async with asyncio.timeout(self._options.timeout_s):
            for _ in range(MOST_HOPS + 1):
                reply = await self._attempt(url)
                if reply.head.location is None:
                    return answer_of(reply)
                url = onward(url, reply.head.location)
        raise BadAnswer(f"more than {MOST_HOPS} redirects")

    async def close(self) -> None:
        """Close the idle connections; no other is left."""
        self._idle.close()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    @abstractmethod
    async def connect(self, origin: Origin, sock: socket.socket, context: ssl.SSLContext | None) -> AsyncLink:
        """Make a connection of a connected socket."""

    async def _attempt(self, url: str) -> Reply:
        """One request on one connection."""
        origin, text = self._requests.to(url)
        marks, reusable = self._marks, False
        row: int = marks.attempt() if marks is not None else 0
        await self._lease()
        link: AsyncLink | None = None
        try:
            if marks is not None:
                marks.at(row, "assigned")
            link = self._idle.take(origin, self._loop.time()) or await self._connect(origin, row)
            if marks is not None:
                marks.uses(row, link.handle)
                marks.at(row, "resumed")
            reply = await link.ask(text, self._options.method, row)
            reusable = reply.reusable
            return reply
        finally:
            if link is not None:
                self._part(origin, link, reusable=reusable, row=row)
            self._hand_on()

    def _part(self, origin: Origin, link: AsyncLink, *, reusable: bool, row: int) -> None:
        """Keep the connection, or close it."""
        if self._marks is not None:
            self._marks.at(row, "released")
        if reusable:
            self._idle.keep(origin, link, self._loop.time())
        else:
            link.abort()

    # -- leases

    async def _lease(self) -> None:
        """Wait for one of `limit` leases, in the order of asking."""
        if not self._limit or self._leased < self._limit:
            self._leased += 1
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_on()
            else:
                self._waiting.remove(turn)
            raise

    def _hand_on(self) -> None:
        """Give the lease to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._leased -= 1

    # -- connections

    async def _connect(self, origin: Origin, row: int) -> AsyncLink:
        """Open a connection to the first address that takes one."""
        marks = self._marks
        handle: int = marks.connecting(row) if marks is not None else 0
        if marks is not None:
            marks.link_at(handle, "dns_start")
        addresses = await self._look_up(origin)
        if marks is not None:
            marks.link_at(handle, "dns_end")
        sock = await self._reach(addresses, handle)
        try:
            if marks is not None:
                marks.local_port(handle, sock.getsockname()[1])
            link = await self.connect(origin, sock, self._context if origin.tls else None)
        except BaseException:
            sock.close()
            raise
        link.handle = handle
        if marks is not None:
            marks.link_at(handle, "made")
        return link

    async def _reach(self, addresses: list[Address], handle: int) -> socket.socket:
        """A socket that is connected to one of the addresses."""
        marks = self._marks
        tried = list(addresses)
        for place, (family, address) in enumerate(tried, 1):
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                if marks is not None:
                    marks.link_at(handle, "tcp_start")
                await self._loop.sock_connect(sock, address)
                if marks is not None:
                    marks.link_at(handle, "tcp_end")
            except OSError:
                sock.close()
                if place == len(tried):
                    raise
                if len(addresses) > 1 and (family, address) in addresses:
                    addresses.remove((family, address))  # the next connection begins with what is left
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise OSError("the name has no address")

    async def _look_up(self, origin: Origin) -> list[Address]:
        """The addresses of a host: as it stands, looked up once, or for each connection where the options say so."""
        if (literal := address_of(origin)) is not None:
            return [literal]
        if self._options.look_ups:
            return await self._ask_names(origin)
        found = self._names.get(origin)
        if found is None:
            found = self._names[origin] = asyncio.ensure_future(self._ask_names(origin))
        try:
            return await asyncio.shield(found)
        except OSError:
            self._names.pop(origin, None)
            raise

    async def _ask_names(self, origin: Origin) -> list[Address]:
        rows = await self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in rows]
