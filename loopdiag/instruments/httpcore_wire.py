"""What a connection of httpcore carries: HTTP/1.1 exchanges, the octets below them, and anyio's sockets below those.

A row is found by ownership: a connection's request is the one whose task sent its head on it.  The first and last octet are stamped with the time at which
anyio's protocol received the read that brought them, not when a task was resumed to take them: with TLS a read may bring no octet of the answer
(session tickets), so the time is kept at the socket and taken when h11 is given what was read.  anyio reads only while a task asks it to: what a slow consumer has not
asked for still waits in the kernel, and is stamped when it is read.

Seams: ``AsyncHTTP11Connection.__init__``, ``_send_request_headers``, ``_receive_response_headers``, ``_response_closed`` and ``aclose``,
``HTTP11ConnectionByteStream.__init__``; h11's ``Connection.send`` and ``receive_data`` (public); anyio's ``AsyncIOBackend.connect_tcp``, ``SocketStream.__init__`` and
``StreamProtocol.connection_made`` and ``data_received``.  h11's and anyio's are patched once, for all libraries that stand on them.
"""

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

from . import sockets
from .context import LINK, A, C, Rows, current
from .patching import Missing, original, put, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

SEND_START, SEND_END = A["send_start"], A["send_end"]
FIRST, LAST, HEADERS = A["first_byte"], A["last_byte"], A["headers"]
RELEASED, WIRE, CONNECTION = A["released"], A["wire_bytes"], A["connection"]
MADE, TCP_START, TCP_END, PORT, ADDRESSES = (C[name] for name in ("made", "tcp_start", "tcp_end", "local_port", "address_attempts"))

Method = Callable[..., Any]


class Unknown:
    """Stands for the protocol of a connection whose network backend is not anyio's: nothing is known of it."""

    _loopdiag_at = 0
    _loopdiag_link = 0


def keeps(owner: Any, *names: str) -> None:
    """Check that instances of `owner` have these attributes from their ``__init__`` on.

    Raises:
        Missing: they do not.
    """
    init = original(owner, "__init__")
    while hasattr(init, "__wrapped__"):
        init = init.__wrapped__
    for name in names:
        if name not in init.__code__.co_names:
            raise Missing(f"{owner.__qualname__}().{name} is not there")


def own(owner: Any, *names: str) -> None:
    """Check that the class `owner` itself has these methods: one that it only inherits may never be called.

    Raises:
        Missing: it does not.
    """
    for name in names:
        if name not in vars(owner):
            raise Missing(f"{owner.__qualname__}.{name} is not there")


def protocol_of(stream: Any) -> Any:
    """The anyio protocol below one of httpcore's network streams, through any layers of TLS; `Unknown` where it is not watched."""
    inner: Any = getattr(stream, "_stream", None)
    while hasattr(inner, "transport_stream"):
        inner = inner.transport_stream
    protocol = getattr(inner, "_protocol", None)
    return protocol if hasattr(protocol, "_loopdiag_at") else Unknown


def connected(rows: Rows, connection: Any, stream: Any) -> Any:
    """A connection of any HTTP version has been made on `stream`: stamp that, and note its row in it; returns its protocol."""
    protocol = protocol_of(stream)
    if protocol is Unknown:
        rows.dropped.setdefault("anyio", "a network backend of another kind: first and last byte are stamped when a task had read them")
    link = LINK.get() or getattr(protocol, "_loopdiag_link", 0)
    connection._loopdiag_link = link
    rows.connections.words[link + MADE] = now() >> TICK_SHIFT & MASK
    if link:
        LINK.set(0)
    return protocol


def made(rows: Rows, library: str) -> None:
    """Patch the making of HTTP/1.1 connections."""
    http11 = import_module(library + "._async.http11")
    connection = original(http11, "AsyncHTTP11Connection")
    keeps(connection, "_h11_state")

    def make_init(before: Method) -> Method:
        def __init__(self: Any, origin: Any, stream: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, origin, stream, *args, **kwargs)
            self._h11_state._loopdiag_protocol = connected(rows, self, stream)

        return __init__

    connection._loopdiag_link = 0
    replace(connection, "__init__", make_init)


def exchange(rows: Rows, library: str) -> None:
    """Patch HTTP/1.1 exchanges."""
    http11 = import_module(library + "._async.http11")
    connection, body_stream = original(http11, "AsyncHTTP11Connection"), original(http11, "HTTP11ConnectionByteStream")
    keeps(connection, "_h11_state")
    own(connection, "_send_request_headers", "_receive_response_headers", "_response_closed")
    own(body_stream, "__init__")
    words, row_words = rows.attempts.words, rows.connections.row_words

    def make_send(before: Method) -> Method:
        def _send_request_headers(self: Any, request: Any) -> Any:
            row = self._h11_state._loopdiag_row = current()
            # a proxy's tunnel has been an exchange, too: the last one stands
            words[row + FIRST] = words[row + LAST] = words[row + WIRE] = 0
            if request.method != b"CONNECT":
                link = self._loopdiag_link or words[row + CONNECTION] * row_words
                words[row + CONNECTION] = link // row_words
                rows.use_connection(row, link)  # only now: many are sent to one and turned away; answered or not, it is in use
            return before(self, request)

        return _send_request_headers

    def make_receive(before: Method) -> Method:
        def _receive_response_headers(self: Any, request: Any) -> Any:
            words[self._h11_state._loopdiag_row + SEND_END] = now() >> TICK_SHIFT & MASK  # whoever reads has written
            return before(self, request)

        return _receive_response_headers

    def make_body(before: Method) -> Method:
        def __init__(self: Any, connection: Any, request: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, connection, request)
            row = connection._h11_state._loopdiag_row
            words[row + HEADERS] = now() >> TICK_SHIFT & MASK

        return __init__

    def make_closed(before: Method) -> Method:
        async def _response_closed(self: Any) -> None:
            await before(self)
            state = self._h11_state
            words[state._loopdiag_row + RELEASED] = now() >> TICK_SHIFT & MASK
            state._loopdiag_row = 0

        return _response_closed

    original(import_module("h11"), "Connection")._loopdiag_row = 0  # the owner's row, until there is one
    connection._loopdiag_link = 0
    replace(connection, "_send_request_headers", make_send)
    replace(connection, "_receive_response_headers", make_receive)
    replace(connection, "_response_closed", make_closed)
    replace(body_stream, "__init__", make_body)


def close_watched(rows: Rows, connection: Any) -> None:
    """Patch ``connection.aclose``, of either HTTP version."""
    keeps(connection, "_network_stream")
    links = rows.connections.words

    def make_close(before: Method) -> Method:
        def aclose(self: Any) -> Any:
            sockets.closing(links, self._loopdiag_link, self._network_stream)
            return before(self)

        return aclose

    connection._loopdiag_link = 0
    replace(connection, "aclose", make_close)


def closing(rows: Rows, library: str) -> None:
    """Patch the end of HTTP/1.1 connections."""
    close_watched(rows, original(import_module(library + "._async.http11"), "AsyncHTTP11Connection"))


def octets(rows: Rows, library: str) -> None:
    """Patch what goes into the socket and what comes out of it: h11 and anyio's protocol."""
    state, head = original(import_module("h11"), "Connection"), original(import_module("h11"), "Request")
    protocol_class = original(import_module("anyio._backends._asyncio"), "StreamProtocol")
    own(state, "send", "receive_data")
    own(protocol_class, "data_received")
    if "_loopdiag_at" in vars(protocol_class):
        return
    words = rows.attempts.words

    def make_send(before: Method) -> Method:
        def send(self: Any, event: Any) -> Any:
            found = before(self, event)
            if type(event) is head:
                words[self._loopdiag_row + SEND_START] = now() >> TICK_SHIFT & MASK  # it is written next, by the same step of the same task
            return found

        return send

    def make_receive(before: Method) -> Method:
        def receive_data(self: Any, data: bytes) -> None:
            row = self._loopdiag_row
            if row and data:
                at = self._loopdiag_protocol._loopdiag_at or now() >> TICK_SHIFT & MASK
                if not words[row + FIRST]:
                    words[row + FIRST] = at
                words[row + LAST] = at
                words[row + WIRE] = words[row + WIRE] + len(data) & MASK
            before(self, data)

        return receive_data

    def make_received(before: Method) -> Method:
        def data_received(self: Any, data: bytes) -> None:
            if not self.read_queue:
                self._loopdiag_at = now() >> TICK_SHIFT & MASK
            before(self, data)

        return data_received

    state._loopdiag_row, state._loopdiag_protocol = 0, Unknown
    protocol_class._loopdiag_at = 0  # when what is to be read next was received
    replace(state, "send", make_send)
    replace(state, "receive_data", make_receive)
    replace(protocol_class, "data_received", make_received)


def connects(rows: Rows, library: str) -> None:
    """Patch anyio's connects: one a task for each address, 250 ms apart; the first that is made wins, and `tcp_start` is when the first began."""
    network = original(import_module(library + "._backends.anyio"), "AnyIOBackend")
    backend = import_module("anyio._backends._asyncio")
    connector, stream, protocol_class = (original(backend, name) for name in ("AsyncIOBackend", "SocketStream", "StreamProtocol"))
    own(network, "connect_tcp")
    own(connector, "connect_tcp")
    own(stream, "__init__")
    own(protocol_class, "connection_made")
    links = rows.connections.words

    def make_network(before: Method) -> Method:
        def connect_tcp(self: Any, *args: Any, **kwargs: Any) -> Any:
            link = LINK.get()
            # httpcore tries again by itself, where it is told to: the last try stands
            links[link + TCP_START] = links[link + TCP_END] = links[link + ADDRESSES] = 0
            return before(self, *args, **kwargs)

        return connect_tcp

    before_connect = connector.connect_tcp  # a class method, bound

    @functools.wraps(before_connect)
    def connect_address(*args: Any, **kwargs: Any) -> Any:
        link = LINK.get()
        links[link + ADDRESSES] = links[link + ADDRESSES] + 1 & MASK
        if not links[link + TCP_START]:
            links[link + TCP_START] = now() >> TICK_SHIFT & MASK
        return before_connect(*args, **kwargs)

    def make_made(before: Method) -> Method:
        def connection_made(self: Any, transport: Any) -> None:
            self._loopdiag_made = now() >> TICK_SHIFT & MASK
            before(self, transport)

        return connection_made

    def make_stream(before: Method) -> Method:
        def __init__(self: Any, transport: Any, protocol: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, transport, protocol)
            link = LINK.get()
            if link and not links[link + TCP_END]:
                links[link + TCP_END] = protocol._loopdiag_made
                protocol._loopdiag_link = link
                raw = transport.get_extra_info("socket")
                links[link + PORT] = raw.getsockname()[1] if raw is not None else 0

        return __init__

    replace(network, "connect_tcp", make_network)
    if "_loopdiag_link" in vars(protocol_class):
        return  # by the other library on anyio
    protocol_class._loopdiag_link = protocol_class._loopdiag_made = 0
    put(connector, "connect_tcp", staticmethod(connect_address))
    replace(protocol_class, "connection_made", make_made)
    replace(stream, "__init__", make_stream)
