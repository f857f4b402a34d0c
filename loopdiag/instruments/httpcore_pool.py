"""httpcore 1.x: its pool, which has no event for waiting, and how its connections come to be.

Seams: ``AsyncConnectionPool.handle_async_request`` and ``aclose`` (public), ``_assign_requests_to_connections`` (time and size of each scan),
``AsyncPoolRequest.assign_to_connection`` (httpcore 1.x hands one idle connection to many; all assignments are counted, and the last one stands),
``AsyncHTTPConnection._connect`` and ``handle_async_request``.  What a connection carries is watched by `httpcore_wire` and `httpcore_h2`.

Each group of seams stands for itself: where a name is missing, its columns are not observed, or stamped by public events, and the other groups stay.
What a request passes while it waits is patched by plain functions: coroutines around coroutines live as long, and the garbage collector walks them.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from . import httpcore_events, httpcore_wire
from .context import LINK, A, Rows, current
from .patching import Missing, original, replace
from .pools_seen import note_pool
from .recorder import now
from .schema import MASK, TICK_SHIFT

ASSIGNED, RESUMED, ASSIGNMENTS, CONNECTION = A["assigned"], A["resumed"], A["assignments"], A["connection"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Patch the asynchronous side of httpcore, or of a library that is built like it; returns what cannot be observed, and why.

    Raises:
        Missing: the pool itself cannot be watched; what is told by the other groups is told.
    """
    pool = original(module, "AsyncConnectionPool")
    if "_loopdiag_watched" in vars(pool):  # the same library under two names
        return {}
    code = getattr(original(pool, "handle_async_request"), "__code__", None)
    if code is not None and code.co_argcount != 2:
        raise Missing("AsyncConnectionPool.handle_async_request takes no single request, as before httpcore 0.14")
    pool._loopdiag_watched = True
    _entry(rows, pool, module.__name__)
    missing: dict[str, str] = {}
    for group, columns in GROUPS:
        try:
            group(rows, module.__name__)
        except Exception as error:  # noqa: BLE001 - the group is dropped, the others stay
            missing.update(dict.fromkeys(columns, f"{type(error).__name__}: {error}"))
    if missing or rows.verify:
        missing = httpcore_events.listen(rows, pool, missing)
    if "attempts.assigned" in missing:
        rows.dropped.update(missing)
        raise Missing(missing["attempts.assigned"])
    return missing


def _entry(rows: Rows, pool: Any, library: str) -> None:
    def make_handle(before: Method) -> Method:
        def handle_async_request(self: Any, request: Any) -> Any:
            rows.begin_attempt(library)
            return before(self, request)

        return handle_async_request

    replace(pool, "handle_async_request", make_handle)


def _assignment(rows: Rows, library: str) -> None:
    pool_request = original(import_module(library + "._async.connection_pool"), "AsyncPoolRequest")
    httpcore_wire.own(pool_request, "__init__", "assign_to_connection", "clear_connection")
    words = rows.attempts.words

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

    def make_clear(before: Method) -> Method:
        def clear_connection(self: Any) -> None:
            row = self._loopdiag_row
            words[row + ASSIGNED] = words[row + RESUMED] = 0  # it waits again
            before(self)

        return clear_connection

    pool_request._loopdiag_row = 0
    replace(pool_request, "__init__", make_init)
    replace(pool_request, "assign_to_connection", make_assign)
    replace(pool_request, "clear_connection", make_clear)


def _scans(rows: Rows, library: str) -> None:
    pool = original(import_module(library + "._async.connection_pool"), "AsyncConnectionPool")
    httpcore_wire.keeps(pool, "_connections")
    httpcore_wire.own(pool, "_assign_requests_to_connections")
    counters = rows.counters
    counters.update(pool_scans=0, pool_scan_ns=0, pool_scanned=0)

    def make_scan(before: Method) -> Method:
        def _assign_requests_to_connections(self: Any) -> Any:
            at = now()
            result = before(self)
            counters["pool_scan_ns"] += now() - at
            counters["pool_scans"] += 1
            counters["pool_scanned"] += len(self._connections)
            if LINK.get():  # the request's task comes by here when its connect has failed
                LINK.set(0)
            return result

        return _assign_requests_to_connections

    replace(pool, "_assign_requests_to_connections", make_scan)


def _limits(rows: Rows, library: str) -> None:
    """Note the limits of every pool that a program makes."""
    if not rows.program:
        return
    pool = original(import_module(library + "._async.connection_pool"), "AsyncConnectionPool")
    client = "httpx2" if library == "httpcore2" else "httpx"

    def make_init(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, *args, **kwargs)
            note_pool(rows, client, getattr(self, "_max_connections", None), None, getattr(self, "_max_keepalive_connections", None))

        return __init__

    replace(pool, "__init__", make_init)


def _orphans(rows: Rows, library: str) -> None:
    """Count, when a pool is closed, its slots that are lost: connections that neither work nor can be used, of no request (a cancelled one left them)."""
    pool = original(import_module(library + "._async.connection_pool"), "AsyncConnectionPool")
    httpcore_wire.keeps(pool, "_connections", "_requests")
    counters = rows.counters

    def make_close(before: Method) -> Method:
        def aclose(self: Any) -> Any:
            try:
                owned = {id(request.connection) for request in self._requests}
                left = [each for each in self._connections if id(each) not in owned]
                lost = sum(not each.is_idle() and not each.is_available() for each in left)
                counters["pool_orphans"] = counters.get("pool_orphans", 0) + lost
            except AttributeError as error:
                rows.drop("counters.pool_orphans", error)
            return before(self)

        return aclose

    replace(pool, "aclose", make_close)


def _connection(rows: Rows, library: str) -> None:
    connection = original(import_module(library + "._async.connection"), "AsyncHTTPConnection")
    httpcore_wire.keeps(connection, "_connection")
    httpcore_wire.own(connection, "_connect", "handle_async_request")
    words, row_words = rows.attempts.words, rows.connections.row_words

    def make_connect(before: Method) -> Method:
        def _connect(self: Any, request: Any) -> Any:
            row = current()
            # LINK is cleared where the connection is made, or its failure comes to the pool
            link = self._loopdiag_link = rows.begin_connection(row)
            words[row + CONNECTION] = link // row_words
            return before(self, request)

        return _connect

    def make_handle(before: Method) -> Method:
        def handle_async_request(self: Any, request: Any) -> Any:
            row = current()
            words[row + RESUMED] = now() >> TICK_SHIFT & MASK
            if self._connection is None:
                if self._loopdiag_opener:
                    rows.flag(row, "shared_connect")
                else:
                    self._loopdiag_opener = row
            if self._loopdiag_link:
                words[row + CONNECTION] = self._loopdiag_link // row_words  # the last one that is tried stands
            return before(self, request)

        return handle_async_request

    connection._loopdiag_link = 0
    connection._loopdiag_opener = 0  # the row of the request that opens it
    replace(connection, "_connect", make_connect)
    replace(connection, "handle_async_request", make_handle)


OCTETS = ("attempts.send_start", "attempts.first_byte", "attempts.last_byte", "attempts.wire_bytes")

#: group of seams → the columns that it fills
GROUPS: "tuple[tuple[Callable[[Rows, str], None], tuple[str, ...]], ...]" = (
    (_assignment, ("attempts.assigned", "attempts.assignments")),
    (_scans, ("counters.pool_scans", "counters.pool_scan_ns", "counters.pool_scanned")),
    (_orphans, ("counters.pool_orphans",)),
    (_limits, ()),
    (_connection, ("attempts.resumed", "attempts.connection", "connections.t0")),
    (httpcore_wire.made, ("connections.made", "connections.requests")),
    (httpcore_wire.exchange, ("attempts.send_end", "attempts.headers", "attempts.released", *OCTETS)),
    (httpcore_wire.closing, ("connections.closed", "connections.rtt_us", "connections.retransmits")),
    (httpcore_wire.octets, OCTETS),
    (httpcore_wire.connects, ("connections.tcp_start", "connections.tcp_end", "connections.local_port", "connections.address_attempts")),
)
