"""httpcore 1.x: its pool (which has no event for waiting), its connections, its network streams.

Seams: ``AsyncPoolRequest.assign_to_connection`` (one idle connection is handed to many; all assignments are counted
and the last one stands), ``AsyncConnectionPool.handle_async_request`` and ``_assign_requests_to_connections`` (time and size of each scan),
``AsyncHTTPConnection._connect`` and ``handle_async_request``, ``HTTP11ConnectionByteStream.__init__`` and ``AsyncHTTP11Connection._response_closed``,
the anyio backend's ``connect_tcp`` and stream ``read`` and ``write``, and anyio's ``StreamProtocol.data_received`` for the first byte as the loop saw it.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import LINK, A, C, Rows, current
from .patching import original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

ASSIGNED, RESUMED, ASSIGNMENTS = A["assigned"], A["resumed"], A["assignments"]
SEND_START, SEND_END = A["send_start"], A["send_end"]
FIRST, LAST, HEADERS = A["first_byte"], A["last_byte"], A["headers"]
RELEASED, WIRE, CONNECTION = A["released"], A["wire_bytes"], A["connection"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch httpcore's asynchronous side."""
    from httpcore._async import connection, connection_pool, http11
    from httpcore._backends import anyio as backend

    _pool(rows, original(connection_pool, "AsyncConnectionPool"), original(connection_pool, "AsyncPoolRequest"))
    _connection(
        rows,
        original(connection, "AsyncHTTPConnection"),
        original(http11, "AsyncHTTP11Connection"),
        original(http11, "HTTP11ConnectionByteStream"),
    )
    _backend(rows, original(backend, "AnyIOBackend"))
    _stream(rows, original(backend, "AnyIOStream"))


def _pool(rows: Rows, pool: Any, pool_request: Any) -> None:
    words, counters = rows.attempts.words, rows.counters
    counters.update(pool_scans=0, pool_scan_ns=0, pool_scanned=0)

    def make_handle(before: Method) -> Method:
        def handle_async_request(self: Any, request: Any) -> Any:
            rows.begin_attempt()
            return before(self, request)

        return handle_async_request

    def make_init(before: Method) -> Method:
        def __init__(self: Any, request: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, request)
            self._loopdiag_row = current()

        return __init__

    def make_assign(before: Method) -> Method:
        def assign_to_connection(self: Any, connection: Any) -> None:
            before(self, connection)
            row = self._loopdiag_row
            words[row + ASSIGNED] = now() >> TICK_SHIFT & MASK
            words[row + ASSIGNMENTS] += 1

        return assign_to_connection

    def make_scan(before: Method) -> Method:
        def _assign_requests_to_connections(self: Any) -> Any:
            at = now()
            result = before(self)
            counters["pool_scan_ns"] += now() - at
            counters["pool_scans"] += 1
            counters["pool_scanned"] += len(self._connections)
            return result

        return _assign_requests_to_connections

    replace(pool, "handle_async_request", make_handle)
    replace(pool, "_assign_requests_to_connections", make_scan)
    replace(pool_request, "__init__", make_init)
    replace(pool_request, "assign_to_connection", make_assign)


def _connection(rows: Rows, connection: Any, http11: Any, body_stream: Any) -> None:
    words, links = rows.attempts.words, rows.connections.words
    made, closed, row_words = C["made"], C["closed"], rows.connections.row_words

    def make_connect(before: Method) -> Method:
        async def _connect(self: Any, request: Any) -> Any:
            link = rows.begin_connection(current())
            self._loopdiag_link = link
            words[current() + CONNECTION] = link // row_words
            try:
                stream = await before(self, request)
            finally:
                LINK.set(0)
            links[link + made] = now() >> TICK_SHIFT & MASK
            secure = stream.get_extra_info("ssl_object")
            if self._http2 and (not self._http1 or (secure is not None and secure.selected_alpn_protocol() == "h2")):
                stream._loopdiag_shared = True
            return stream

        return _connect

    def make_handle(before: Method) -> Method:
        def handle_async_request(self: Any, request: Any) -> Any:
            row, link = current(), self._loopdiag_link
            words[row + RESUMED] = now() >> TICK_SHIFT & MASK
            if link and not links[link + made]:
                rows.flag(row, "shared_connect")
            if link:
                words[row + CONNECTION] = link // row_words  # the last one that is tried stands
            return before(self, request)

        return handle_async_request

    def make_body(before: Method) -> Method:
        def __init__(self: Any, connection: Any, request: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, connection, request, *args, **kwargs)
            connection._loopdiag_row = row = current()
            words[row + HEADERS] = now() >> TICK_SHIFT & MASK
            rows.use_connection(row, words[row + CONNECTION] * row_words)  # only now it has served: many are sent to one and turned away

        return __init__

    def make_closed(before: Method) -> Method:
        async def _response_closed(self: Any) -> None:
            await before(self)
            words[self._loopdiag_row + RELEASED] = now() >> TICK_SHIFT & MASK
            self._loopdiag_row = 0

        return _response_closed

    def make_close(before: Method) -> Method:
        async def aclose(self: Any) -> None:
            if self._loopdiag_link:
                links[self._loopdiag_link + closed] = now() >> TICK_SHIFT & MASK
            await before(self)

        return aclose

    connection._loopdiag_link = 0
    http11._loopdiag_row = 0
    replace(connection, "_connect", make_connect)
    replace(connection, "handle_async_request", make_handle)
    replace(connection, "aclose", make_close)
    replace(body_stream, "__init__", make_body)
    replace(http11, "_response_closed", make_closed)


def _backend(rows: Rows, backend: Any) -> None:
    links = rows.connections.words
    tcp_start, tcp_end, dns_end, port = C["tcp_start"], C["tcp_end"], C["dns_end"], C["local_port"]

    def make_connect(before: Method) -> Method:
        async def connect_tcp(self: Any, *args: Any, **kwargs: Any) -> Any:
            link = LINK.get()
            begun = now() >> TICK_SHIFT & MASK
            try:
                stream = await before(self, *args, **kwargs)
            finally:
                # the look-up comes first, inside the same call: the connect begins where it ended
                links[link + tcp_start] = links[link + dns_end] or begun
                links[link + tcp_end] = now() >> TICK_SHIFT & MASK
            if link:
                links[link + port] = stream._stream._raw_socket.getsockname()[1]
            return stream

        return connect_tcp

    replace(backend, "connect_tcp", make_connect)


def _stream(rows: Rows, stream: Any) -> None:
    from anyio._backends import _asyncio as anyio_asyncio

    words = rows.attempts.words
    protocol_class = original(anyio_asyncio, "StreamProtocol")

    def make_received(before: Method) -> Method:
        def data_received(self: Any, data: bytes) -> None:
            if not self.read_queue:
                self._loopdiag_at = now() >> TICK_SHIFT & MASK
            before(self, data)

        return data_received

    def make_init(before: Method) -> Method:
        def __init__(self: Any, raw: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, raw)
            self._loopdiag_protocol = getattr(getattr(raw, "transport_stream", raw), "_protocol", None)

        return __init__

    def make_write(before: Method) -> Method:
        def write(self: Any, buffer: bytes, timeout: "float | None" = None) -> Any:
            row = 0 if self._loopdiag_shared else current()
            if row and buffer and not words[row + SEND_START]:
                words[row + SEND_START] = now() >> TICK_SHIFT & MASK
            return before(self, buffer, timeout)

        return write

    def make_read(before: Method) -> Method:
        async def read(self: Any, max_bytes: int, timeout: "float | None" = None) -> bytes:
            row = 0 if self._loopdiag_shared else current()
            if row and not words[row + FIRST]:
                words[row + SEND_END] = now() >> TICK_SHIFT & MASK  # whoever reads has written
            data: bytes = await before(self, max_bytes, timeout)
            if row and data:
                at = getattr(self._loopdiag_protocol, "_loopdiag_at", 0) or now() >> TICK_SHIFT & MASK
                if not words[row + FIRST]:
                    words[row + FIRST] = at
                words[row + LAST] = at
                words[row + WIRE] = words[row + WIRE] + len(data) & MASK
            return data

        return read

    # on a shared HTTP/2 connection one task reads what is another's: not observed there, rather than charged to the wrong request
    stream._loopdiag_shared = False
    protocol_class._loopdiag_at = 0
    replace(protocol_class, "data_received", make_received)
    replace(stream, "__init__", make_init)
    replace(stream, "write", make_write)
    replace(stream, "read", make_read)
