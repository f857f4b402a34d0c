"""aiohttp's connections: how they are made, what the kernel says of them, how they end.

Seams: ``TCPConnector._create_connection`` and ``_resolve_host``, aiohappyeyeballs' ``start_connection`` and its ``socket_factory``, ``ResponseHandler.close``,
``abort`` and ``connection_lost``.

uvloop's ``sock_connect`` looks the address up again, numeric as it is, in libuv's few threads: that is no part of the TCP connect, nor a question to a name
server, and is stamped apart (`lookup_start`, `lookup_end`); the connect begins after it.
"""

import inspect
import socket
import sys
from collections.abc import Callable
from typing import Any

from . import kernel_receive
from .context import LINK, A, C, Rows, current
from .patching import Missing, original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT
from .sockets import closing

DNS_START, DNS_END, TCP_START, TCP_END = C["dns_start"], C["dns_end"], C["tcp_start"], C["tcp_end"]
ASSIGNED, ASSIGNMENTS = A["assigned"], A["assignments"]
MADE, PORT, TRIED = C["made"], C["local_port"], C["address_attempts"]

Method = Callable[..., Any]
Find = Callable[[str], Any]

#: connection's row → its socket, between its connect and its transport
_opening: "dict[int, kernel_receive.StampedSocket]" = {}


def owned(find: Find) -> Any:
    """The class of aiohttp's client protocols, with room for what we keep with each.

    Raises:
        Missing: there is none.
    """
    handler = original(find("client_proto"), "ResponseHandler")
    if not hasattr(handler, "_loopdiag_row"):
        handler._loopdiag_row = 0  # the attempt that it serves; on the class, so that a fresh connection has one
        handler._loopdiag_link = 0  # its connection's row
        handler._loopdiag_socket = None  # where the kernel's stamps are to be had
    return handler


def set_up(rows: Rows, find: Find) -> None:
    """Stamp the look-up, the connect and the whole of each connection's making.

    Raises:
        Missing: a seam is not there.
    """
    owned(find)
    connector = find("connector")
    tcp, eyeballs = original(connector, "TCPConnector"), original(connector, "aiohappyeyeballs")
    for name in ("_create_connection", "_resolve_host"):
        original(tcp, name)
    replace(eyeballs, "start_connection", lambda before: _start(rows, before))
    replace(tcp, "_create_connection", lambda before: _create(rows, before))
    replace(tcp, "_resolve_host", lambda before: _resolve(rows, before))


def _create(rows: Rows, before: Method) -> Method:
    words, attempts = rows.connections.words, rows.attempts.words

    async def _create_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        row = current()
        if not attempts[row + ASSIGNED]:  # a free slot: nothing to wait for
            attempts[row + ASSIGNED] = now() >> TICK_SHIFT & MASK
            attempts[row + ASSIGNMENTS] = 1
        link = rows.begin_connection(row)
        try:
            protocol = await before(self, *args, **kwargs)
        finally:
            LINK.set(0)
            sock = _opening.pop(link, None)
        words[link + MADE] = now() >> TICK_SHIFT & MASK
        protocol._loopdiag_link = link
        if sock is not None:
            sock.excess = kernel_receive.segments(sock)
            protocol._loopdiag_socket = sock
        return protocol

    return _create_connection


def _resolve(rows: Rows, before: Method) -> Method:
    words = rows.connections.words

    async def _resolve_host(self: Any, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        link = LINK.get()
        row = current()
        cached = getattr(self, "_cached_hosts", None)
        if cached is not None and (host, port) in cached and not cached.expired((host, port)):
            rows.flag(row, "dns_hit")
        elif (host, port) in getattr(self, "_throttle_dns_futures", ()):  # somebody else asks already
            rows.flag(row, "dns_coalesced")
        words[link + DNS_START] = now() >> TICK_SHIFT & MASK
        try:
            return await before(self, host, port, *args, **kwargs)
        finally:
            words[link + DNS_END] = now() >> TICK_SHIFT & MASK

    return _resolve_host


def _start(rows: Rows, before: Method) -> Method:
    words = rows.connections.words

    async def start_connection(*args: Any, **kwargs: Any) -> Any:
        link = LINK.get()
        if not link:
            return await before(*args, **kwargs)
        if not words[link + TCP_START]:
            words[link + TCP_START] = now() >> TICK_SHIFT & MASK
        try:
            sock = await before(*args, **kwargs)
        finally:
            words[link + TCP_END] = now() >> TICK_SHIFT & MASK
        words[link + PORT] = sock.getsockname()[1]
        return sock

    return start_connection


def closings(rows: Rows, find: Find) -> None:
    """Ask the kernel about each connection when it is closed, by us or by the other side.

    Raises:
        Missing: a seam is not there.
    """
    handler = owned(find)
    links = rows.connections.words
    seams = ("close", "abort", "connection_lost") if hasattr(handler, "abort") else ("close", "connection_lost")

    def make(before: Method) -> Method:
        def close(self: Any, *args: Any) -> Any:
            if self._loopdiag_link and self.transport is not None:
                closing(links, self._loopdiag_link, self.transport)
            return before(self, *args)

        return close

    for name in seams:
        original(handler, name)
    for name in seams:
        replace(handler, name, make)


def kernel_stamps(rows: Rows, find: Find) -> None:
    """Make the sockets of asyncio's own loops ask for receive stamps, and count the addresses that are tried, on every loop.

    Raises:
        Missing: a seam is not there.
    """
    handler, eyeballs = owned(find), original(find("connector"), "aiohappyeyeballs")
    if "socket_factory" not in inspect.signature(original(eyeballs, "start_connection")).parameters:
        raise Missing("aiohappyeyeballs.start_connection(socket_factory=) is not there")
    try:
        handler._loopdiag_keeper = kernel_receive.available()
        unavailable = None
    except Missing as error:
        unavailable = rows.dropped["attempts.rx_kernel"] = str(error)
    first, last = kernel_receive.watcher(rows)
    handler._loopdiag_first, handler._loopdiag_last = staticmethod(first), staticmethod(last)
    replace(eyeballs, "start_connection", lambda before: _start_stamped(rows, before, unavailable))


def _start_stamped(rows: Rows, before: Method, unavailable: "str | None") -> Method:
    links = rows.connections.words

    def counting(make_socket: "Callable[[Any], Any]") -> "Callable[[Any], Any]":
        def counted(address: Any) -> Any:
            links[LINK.get() + TRIED] += 1
            return make_socket(address)

        return counted

    plain = counting(lambda address: socket.socket(*address[:3]))
    stamped = counting(lambda address: kernel_receive.StampedSocket(*address[:3]))

    async def start_connection(*args: Any, **kwargs: Any) -> Any:
        link = LINK.get()
        if not link:
            return await before(*args, **kwargs)
        given = kwargs.get("socket_factory")
        reason = unavailable or _why_not(kwargs.get("loop"), given)
        if reason is not None:
            rows.dropped.setdefault("attempts.rx_kernel", reason)
        kwargs["socket_factory"] = stamped if reason is None else plain if given is None else counting(given)
        sock = await before(*args, **kwargs)
        if reason is None:
            _opening[link] = sock
        return sock

    return start_connection


def _why_not(loop: Any, given: Any) -> "str | None":
    """Why the sockets of `loop` cannot be made to ask for stamps; None where they can."""
    asyncio = sys.modules["asyncio"]
    if given is not None:
        return "the program makes its sockets itself (socket_factory)"
    if type(loop).__module__.split(".")[0] == "uvloop":
        return "uvloop reads its sockets in libuv"
    if not isinstance(loop, asyncio.selector_events.BaseSelectorEventLoop) or type(loop).time is not asyncio.BaseEventLoop.time:
        return "only asyncio's own loops on real time read their sockets in Python"
    return None
