"""``http.client``, and with it urllib.request, urllib3, requests and all else that stands on it: where an attempt begins, is sent, is answered, ends.

Seams: ``HTTPConnection.putrequest``, ``connect``, ``send``, ``getresponse``, ``close``; ``HTTPResponse.__init__``, ``begin``, ``_close_conn``;
``socket.SocketIO.readinto``, through which every octet of an answer comes.  The blocking calls below them are timed by `blocking_sockets`.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import sockets
from .blocking_requests import (
    BODY,
    DONE,
    FIRST,
    HEADERS,
    LAST,
    MADE,
    RELEASED,
    SEND_END,
    SEND_START,
    STATUS,
    WIRE,
    Blocking,
    shared,
)
from .context import C, Rows
from .patching import original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

CLOSED = C["closed"]

LIBRARY = "http.client"

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Patch connections and answers.

    Raises:
        Missing: a name is not there.
    """
    import socket

    connection, response = original(module, "HTTPConnection"), original(module, "HTTPResponse")
    for owner, names in (
        (connection, ("putrequest", "connect", "send", "getresponse", "close")),
        (response, ("begin", "_close_conn")),
        (socket.SocketIO, ("readinto",)),
    ):
        for name in names:
            original(owner, name)
    blocking = shared(rows)
    _requests(blocking, connection)
    connects(blocking, connection)
    if hasattr(module, "HTTPSConnection"):
        connects(blocking, module.HTTPSConnection)
    _answers(blocking, connection)
    _closings(blocking, connection)
    _responses(blocking, response)
    _octets(blocking, socket.SocketIO)
    return {}


def connects(blocking: Blocking, connection: Any) -> None:
    """Watch ``connect`` of a class of connections, which may call that of its base."""
    here, links = blocking.here, blocking.links

    def make(before: Method) -> Method:
        def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
            if here.opening:
                return before(self, *args, **kwargs)
            row = self._loopdiag_row or (here.row if here.fresh else 0)
            link = here.opening = self._loopdiag_link = blocking.open_connection(row)
            try:
                result = before(self, *args, **kwargs)
            except BaseException as error:
                self._loopdiag_link = 0
                blocking.fail(row, error)
                raise
            finally:
                here.opening = 0
            links[link + MADE] = now() >> TICK_SHIFT & MASK
            if here.sending:
                blocking.started(here.sending, link)
            return result

        return connect

    replace(connection, "connect", make)


def _requests(blocking: Blocking, connection: Any) -> None:
    here, words = blocking.here, blocking.words
    connection._loopdiag_row = 0  # the attempt that is being sent
    connection._loopdiag_answered = 0  # the one whose answer it carries
    connection._loopdiag_link = 0
    connection._loopdiag_pooled = False  # whether a pool is told when its answer is read

    def make_begin(before: Method) -> Method:
        def putrequest(self: Any, *args: Any, **kwargs: Any) -> Any:
            row = self._loopdiag_row = blocking.bound(LIBRARY)
            self._loopdiag_answered = 0
            try:
                return before(self, *args, **kwargs)
            except BaseException as error:
                blocking.fail(row, error)
                raise

        return putrequest

    def make_send(before: Method) -> Method:
        def send(self: Any, data: Any) -> Any:
            row = self._loopdiag_row
            if not row or here.opening:  # there, a tunnel through a proxy is being asked for
                return before(self, data)
            if self.sock is None:
                here.sending = row
            elif not words[row + SEND_START]:
                if not self._loopdiag_link:  # opened by a way that nobody watches
                    self._loopdiag_link = blocking.open_connection(row)
                blocking.started(row, self._loopdiag_link)
            try:
                result = before(self, data)
            except BaseException as error:
                blocking.fail(row, error)
                raise
            finally:
                here.sending = 0
            words[row + SEND_END] = now() >> TICK_SHIFT & MASK
            return result

        return send

    replace(connection, "putrequest", make_begin)
    replace(connection, "send", make_send)


def _answers(blocking: Blocking, connection: Any) -> None:
    here, links = blocking.here, blocking.links

    def make(before: Method) -> Method:
        def getresponse(self: Any, *args: Any, **kwargs: Any) -> Any:
            row, link = self._loopdiag_row, self._loopdiag_link
            if not row:
                return before(self, *args, **kwargs)
            here.answering = row
            try:
                response = before(self, *args, **kwargs)
            except TypeError:
                raise  # urllib3 1.26 first tries an argument that only Python 2 knows
            except BaseException as error:
                blocking.fail(row, error)
                raise
            finally:
                here.answering = 0
            self._loopdiag_row, self._loopdiag_answered = 0, row
            response._loopdiag_pooled = self._loopdiag_pooled
            if link and links[link + CLOSED]:  # it is the last one on this connection, which lives on until it is read
                links[link + CLOSED] = 0
                response._loopdiag_link = link
            return response

        return getresponse

    replace(connection, "getresponse", make)


class _Transport:
    """A socket, as `sockets.closing` asks for it."""

    __slots__ = ("_socket",)

    def __init__(self, sock: Any) -> None:
        self._socket = sock

    def get_extra_info(self, _name: str) -> Any:
        return self._socket


def _closings(blocking: Blocking, connection: Any) -> None:
    here, words, links = blocking.here, blocking.words, blocking.links

    def make(before: Method) -> Method:
        def close(self: Any, *args: Any, **kwargs: Any) -> Any:
            link, row = self._loopdiag_link, self._loopdiag_answered
            if link:
                sockets.closing(links, link, _Transport(self.sock))
                self._loopdiag_link = 0
            if row and not here.answering and not words[row + RELEASED]:
                words[row + RELEASED] = now() >> TICK_SHIFT & MASK
            return before(self, *args, **kwargs)

        return close

    replace(connection, "close", make)


def _responses(blocking: Blocking, response: Any) -> None:
    here, words, links = blocking.here, blocking.words, blocking.links
    response._loopdiag_row = 0
    response._loopdiag_link = 0  # of the connection that ends with it

    def make_init(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, *args, **kwargs)
            row = here.answering
            if row:
                self._loopdiag_row = row
                raw: Any = getattr(self.fp, "raw", None)
                if hasattr(raw, "_loopdiag_row"):
                    raw._loopdiag_row = row

        return __init__

    def make_begin(before: Method) -> Method:
        def begin(self: Any) -> None:
            before(self)
            row = self._loopdiag_row
            if row and not words[row + HEADERS]:
                words[row + HEADERS] = now() >> TICK_SHIFT & MASK
                words[row + STATUS] = self.status

        return begin

    def make_end(before: Method) -> Method:
        def _close_conn(self: Any) -> None:
            row = self._loopdiag_row
            raw: Any = getattr(self.fp, "raw", None)
            before(self)
            if not row:
                return
            self._loopdiag_row = 0
            if hasattr(raw, "_loopdiag_row"):
                raw._loopdiag_row = 0
            at = now() >> TICK_SHIFT & MASK
            if not self.closed and not self.length:  # read to its end, and not given up
                words[row + BODY] = at
            if not self._loopdiag_pooled:  # else the pool says when
                words[row + RELEASED] = at
            if not here.depth:
                words[row + DONE] = at
            if self._loopdiag_link:
                links[self._loopdiag_link + CLOSED] = at

        return _close_conn

    response._loopdiag_pooled = False
    replace(response, "__init__", make_init)
    replace(response, "begin", make_begin)
    replace(response, "_close_conn", make_end)


def _octets(blocking: Blocking, stream: Any) -> None:
    words = blocking.words

    def make(before: Method) -> Method:
        def readinto(self: Any, buffer: Any) -> Any:
            row = self._loopdiag_row
            if not row:
                return before(self, buffer)
            try:
                count = before(self, buffer)
            except BaseException as error:
                blocking.fail(row, error)
                raise
            if count:
                at = now() >> TICK_SHIFT & MASK
                if not words[row + FIRST]:
                    words[row + FIRST] = at
                words[row + LAST] = at
                words[row + WIRE] = words[row + WIRE] + count & MASK
            return count

        return readinto

    stream._loopdiag_row = 0
    replace(stream, "readinto", make)
