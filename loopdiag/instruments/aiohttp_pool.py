"""aiohttp: its connector, its connections, its responses; no TraceConfig (its events lie about sends and bodies, and cost more).

Seams (aiohttp 3.10 - 3.14): ``BaseConnector.connect`` and ``_release``, ``Connection.__init__``;
``TCPConnector._create_connection``, ``_resolve_host``, aiohappyeyeballs' ``start_connection``; ``StreamWriter._write``; ``ResponseHandler.data_received``; and
the assignments of ``ClientResponse._history`` (the last thing that a request does) and ``_body``.

What every request passes is patched by plain functions and assignments, not by coroutines around coroutines: those live as long as the request waits, and the
garbage collector would walk them.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import LINK, A, C, Rows, current
from .patching import assigned, original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

ASSIGNED, RESUMED, ASSIGNMENTS = A["assigned"], A["resumed"], A["assignments"]
SEND_START, SEND_END = A["send_start"], A["send_end"]
FIRST, LAST, HEADERS = A["first_byte"], A["last_byte"], A["headers"]
BODY, RELEASED, STATUS, WIRE = A["body"], A["released"], A["status"], A["wire_bytes"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Patch aiohttp's client; returns what cannot be observed, and why."""
    from aiohttp import client_proto, client_reqrep, connector, http_writer

    _connector(rows, original(connector, "BaseConnector"), original(connector, "Connection"))
    _set_up(rows, original(connector, "TCPConnector"), connector)
    _wire(rows, original(http_writer, "StreamWriter"), original(client_proto, "ResponseHandler"))
    _response(rows, original(client_reqrep, "ClientResponse"))
    return {}


def _connector(rows: Rows, base: Any, connection: Any) -> None:
    words = rows.attempts.words

    def make_connect(before: Method) -> Method:
        def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
            rows.begin_attempt()
            return before(self, *args, **kwargs)

        return connect

    def make_connection(before: Method) -> Method:
        def __init__(self: Any, connector: Any, key: Any, protocol: Any, loop: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, connector, key, protocol, loop)
            row = current()
            at = now() >> TICK_SHIFT & MASK
            if not words[row + ASSIGNED]:
                words[row + ASSIGNED] = at
            words[row + ASSIGNMENTS] += 1
            words[row + RESUMED] = at
            protocol._loopdiag_row = row
            if protocol._loopdiag_link:
                rows.use_connection(row, protocol._loopdiag_link)

        return __init__

    def make_release(before: Method) -> Method:
        def _release(self: Any, key: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
            row = getattr(protocol, "_loopdiag_row", 0)
            if row:
                words[row + RELEASED] = now() >> TICK_SHIFT & MASK
                protocol._loopdiag_row = 0
            return before(self, key, protocol, *args, **kwargs)

        return _release

    replace(base, "connect", make_connect)
    replace(base, "_release", make_release)
    replace(connection, "__init__", make_connection)


def _set_up(rows: Rows, tcp: Any, module: Any) -> None:
    words, attempts = rows.connections.words, rows.attempts.words
    dns_start, dns_end, tcp_start, tcp_end, made = (C[name] for name in ("dns_start", "dns_end", "tcp_start", "tcp_end", "made"))

    def make_create(before: Method) -> Method:
        async def _create_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
            row = current()
            at = now() >> TICK_SHIFT & MASK
            if not attempts[row + ASSIGNED]:
                attempts[row + ASSIGNED] = at  # a free slot: nothing to wait for
            link = rows.begin_connection(row)
            try:
                protocol = await before(self, *args, **kwargs)
            finally:
                LINK.set(0)
            words[link + made] = now() >> TICK_SHIFT & MASK
            protocol._loopdiag_link = link
            return protocol

        return _create_connection

    def make_resolve(before: Method) -> Method:
        async def _resolve_host(self: Any, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
            link = LINK.get()
            row = current()
            if (host, port) in getattr(self, "_throttle_dns_futures", ()):
                rows.flag(row, "dns_coalesced")
            elif (host, port) in getattr(self, "_cached_hosts", ()):
                rows.flag(row, "dns_hit")
            words[link + dns_start] = now() >> TICK_SHIFT & MASK
            try:
                return await before(self, host, port, *args, **kwargs)
            finally:
                words[link + dns_end] = now() >> TICK_SHIFT & MASK

        return _resolve_host

    def make_start(before: Method) -> Method:
        async def start_connection(*args: Any, **kwargs: Any) -> Any:
            link = LINK.get()
            words[link + tcp_start] = now() >> TICK_SHIFT & MASK
            try:
                sock = await before(*args, **kwargs)
            finally:
                words[link + tcp_end] = now() >> TICK_SHIFT & MASK
            words[link + C["local_port"]] = sock.getsockname()[1] if link else 0
            return sock

        return start_connection

    replace(tcp, "_create_connection", make_create)
    replace(tcp, "_resolve_host", make_resolve)
    replace(original(module, "aiohappyeyeballs"), "start_connection", make_start)


def _wire(rows: Rows, writer: Any, handler: Any) -> None:
    words = rows.attempts.words

    def make_write(before: Method) -> Method:
        def write(self: Any, *args: Any) -> None:
            row = getattr(self._protocol, "_loopdiag_row", 0)
            if row and not words[row + SEND_START]:
                words[row + SEND_START] = now() >> TICK_SHIFT & MASK
            before(self, *args)
            if row:
                words[row + SEND_END] = now() >> TICK_SHIFT & MASK

        return write

    def make_received(before: Method) -> Method:
        def data_received(self: Any, data: bytes) -> None:
            row = self._loopdiag_row
            if row and data:  # aiohttp calls it with nothing to resume decompression
                at = now() >> TICK_SHIFT & MASK
                if not words[row + FIRST]:
                    words[row + FIRST] = at
                words[row + LAST] = at
                words[row + WIRE] = words[row + WIRE] + len(data) & MASK
            before(self, data)

        return data_received

    handler._loopdiag_row = 0  # the owner's row; on the class, so that a fresh connection has one
    handler._loopdiag_link = 0
    replace(writer, "_write", make_write)
    replace(writer, "_writelines", make_write)
    replace(handler, "data_received", make_received)


def _response(rows: Rows, response: Any) -> None:
    words = rows.attempts.words

    def at_headers(self: Any, history: Any) -> None:
        row = current()
        self._loopdiag_row = row
        words[row + HEADERS] = now() >> TICK_SHIFT & MASK
        words[row + STATUS] = self.status or 0
        rows.end_attempts(row)
        if history:
            rows.flag(row, "redirected")

    def at_body(self: Any, body: Any) -> None:
        row = self._loopdiag_row
        if row and body is not None and not words[row + BODY]:
            words[row + BODY] = now() >> TICK_SHIFT & MASK

    response._loopdiag_row = 0
    assigned(response, "_history", at_headers)
    assigned(response, "_body", at_body)
