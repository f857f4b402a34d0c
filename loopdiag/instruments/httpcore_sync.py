"""The blocking side of httpcore 1.x, and httpx's ``Client`` on top of it: their pool, their connections, their exchanges of HTTP/1.1.

Seams: httpx's ``Client.send``; ``ConnectionPool.handle_request``, ``PoolRequest``, ``HTTPConnection._connect``, ``HTTP11Connection``.  What goes through h11 is stamped where
`httpcore_wire` has patched it, look-ups, connects and handshakes by `blocking_sockets`.  Streams of HTTP/2 are not watched.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from . import sockets
from .blocking_requests import ASSIGNED, ASSIGNMENTS, BODY, DONE, HEADERS, MADE, RELEASED, RESUMED, SEND_END, STATUS, Blocking, shared
from .context import Rows
from .httpcore_wire import keeps, own
from .patching import original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch httpx's client, or httpcore's blocking side; both under any of their names.

    Raises:
        Missing: a name is not there.
    """
    name, blocking = module.__name__, shared(rows)
    if name.startswith("httpx"):
        client = original(module, "Client")
        if "_loopdiag_entered" not in vars(client):  # the same library under two names
            client._loopdiag_entered = True
            replace(client, "send", blocking.entered(name))
        return
    inside = [import_module(f"{name}._sync.{part}") for part in ("connection_pool", "connection", "http11")]
    pool, request = original(inside[0], "ConnectionPool"), original(inside[0], "PoolRequest")
    connection, http11 = original(inside[1], "HTTPConnection"), original(inside[2], "HTTP11Connection")
    if "_loopdiag_blocking" in vars(pool):
        return
    own(pool, "handle_request")
    own(request, "__init__", "assign_to_connection", "clear_connection")
    own(connection, "_connect")
    own(http11, "_send_request_headers", "_receive_response_headers", "_response_closed", "close")
    keeps(http11, "_h11_state", "_network_stream")
    pool._loopdiag_blocking = True
    _pool(blocking, pool, name)
    _waiting(blocking, request)
    _connects(blocking, connection)
    _made(blocking, http11)
    _exchange(blocking, http11)
    _ends(blocking, http11)


def _pool(blocking: Blocking, pool: Any, library: str) -> None:
    here = blocking.here

    def make(before: Method) -> Method:
        def handle_request(self: Any, request: Any) -> Any:
            row = blocking.pooled(library)
            try:
                return before(self, request)
            except BaseException as error:
                blocking.fail(row, error)
                raise
            finally:
                here.fresh = False

        return handle_request

    replace(pool, "handle_request", make)


def _waiting(blocking: Blocking, request: Any) -> None:
    here, words = blocking.here, blocking.words

    def make_init(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, *args, **kwargs)
            self._loopdiag_row = here.row if here.fresh else 0

        return __init__

    def make_assign(before: Method) -> Method:
        def assign_to_connection(self: Any, connection: Any) -> Any:
            row = self._loopdiag_row
            words[row + ASSIGNED] = now() >> TICK_SHIFT & MASK  # by whichever thread has one to give; its own runs on at once
            words[row + ASSIGNMENTS] += 1
            return before(self, connection)

        return assign_to_connection

    def make_clear(before: Method) -> Method:
        def clear_connection(self: Any) -> Any:
            row = self._loopdiag_row
            words[row + ASSIGNED] = words[row + RESUMED] = 0  # it waits again
            return before(self)

        return clear_connection

    replace(request, "__init__", make_init)
    replace(request, "assign_to_connection", make_assign)
    replace(request, "clear_connection", make_clear)


def _connects(blocking: Blocking, connection: Any) -> None:
    here, links = blocking.here, blocking.links

    def make(before: Method) -> Method:
        def _connect(self: Any, request: Any) -> Any:
            link = here.opening = blocking.open_connection(here.row if here.fresh else 0)
            try:
                stream = before(self, request)
            finally:
                here.opening = 0
            links[link + MADE] = now() >> TICK_SHIFT & MASK
            here.opened = link
            return stream

        return _connect

    replace(connection, "_connect", make)


def _made(blocking: Blocking, http11: Any) -> None:
    here = blocking.here

    def make(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, *args, **kwargs)
            self._loopdiag_link, here.opened = here.opened, 0

        return __init__

    http11._loopdiag_link = 0
    http11._loopdiag_row = 0
    replace(http11, "__init__", make)


def _exchange(blocking: Blocking, http11: Any) -> None:
    here, words = blocking.here, blocking.words

    def make_send(before: Method) -> Method:
        def _send_request_headers(self: Any, request: Any) -> Any:
            row = here.row if here.fresh and request.method != b"CONNECT" else 0
            self._loopdiag_row = row
            if hasattr(self._h11_state, "_loopdiag_row"):
                self._h11_state._loopdiag_row = row
            if row:
                if not self._loopdiag_link:  # opened by a way that nobody watches
                    self._loopdiag_link = blocking.open_connection(row)
                blocking.started(row, self._loopdiag_link)
            return before(self, request)

        return _send_request_headers

    def make_receive(before: Method) -> Method:
        def _receive_response_headers(self: Any, request: Any) -> Any:
            row = self._loopdiag_row
            words[row + SEND_END] = now() >> TICK_SHIFT & MASK  # whoever reads has written
            found = before(self, request)
            words[row + HEADERS] = now() >> TICK_SHIFT & MASK
            words[row + STATUS] = found[1]
            return found

        return _receive_response_headers

    replace(http11, "_send_request_headers", make_send)
    replace(http11, "_receive_response_headers", make_receive)


def _ends(blocking: Blocking, http11: Any) -> None:
    here, words, links = blocking.here, blocking.words, blocking.links
    done = original(import_module("h11"), "DONE")

    def make_closed(before: Method) -> Method:
        def _response_closed(self: Any) -> Any:
            row, state = self._loopdiag_row, self._h11_state
            whole = state.their_state is done
            if hasattr(state, "_loopdiag_row"):
                state._loopdiag_row = 0
            self._loopdiag_row = 0
            if row:  # before another thread has the connection
                at = words[row + RELEASED] = now() >> TICK_SHIFT & MASK
                if whole:
                    words[row + BODY] = at
                if not here.depth:
                    words[row + DONE] = at
            return before(self)

        return _response_closed

    def make_close(before: Method) -> Method:
        def close(self: Any) -> Any:
            sockets.closing(links, self._loopdiag_link, self._network_stream)
            return before(self)

        return close

    replace(http11, "_response_closed", make_closed)
    replace(http11, "close", make_close)
