"""HTTP/2 in httpcore: who owns which stream, and which octets are whose, although whichever task waits longest reads for all.

A request owns a stream when its task begins to send its head, after the lock of the connection's greeting and the semaphore of free streams; its head is written by the
task that next empties h2's buffer, which need not be its own.  Each frame of an answer is charged to its stream's row, at the time at which anyio's protocol
received the read that completed it.  `wire_bytes` are the frames of head and body with their headers (nine octets too few for each CONTINUATION frame).

Seams: ``AsyncHTTP2Connection.__init__``, ``handle_async_request``, ``_send_request_headers``, ``_receive_response``, ``_response_closed`` and ``aclose``,
``HTTP2ConnectionByteStream.__init__``; h2's ``H2Connection.data_to_send`` (public) and ``_receive_frame``, patched once for all libraries that stand on it.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import A, C, Rows, current
from .httpcore_wire import Unknown, close_watched, connected, keeps, own
from .patching import Missing, original, replace
from .recorder import now
from .schema import FLAGS, MASK, TICK_SHIFT

RESUMED, STREAM, SEND_START, SEND_END = A["resumed"], A["stream"], A["send_start"], A["send_end"]
FIRST, LAST, HEADERS, RELEASED = A["first_byte"], A["last_byte"], A["headers"], A["released"]
WIRE, CONNECTION, BITS, REQUESTS = A["wire_bytes"], A["connection"], A["flags"], C["requests"]
SHARED, HTTP2, REUSED = FLAGS["shared_connect"], FLAGS["http2"], FLAGS["reused"]

BODY_FRAME, HEAD_FRAME = 0, 1  # RFC 9113, 6.1 and 6.2; no other frame of a stream carries the answer
FRAME_HEADER = 9
BEFORE = 1 << 31  # ticks wrap: a difference below this is not negative

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Patch the HTTP/2 side of httpcore (`module` is its ``_async.http2``), or of a library that is built like it; returns what cannot be observed, and why.

    Raises:
        Missing: streams cannot be watched, so nothing of HTTP/2 is.
    """
    connection, body_stream = original(module, "AsyncHTTP2Connection"), original(module, "HTTP2ConnectionByteStream")
    if "_loopdiag_streams" in vars(connection):  # the same library under two names
        return {}
    missing = {}
    _streams(rows, connection)
    _answers(rows, connection, body_stream)
    close_watched(rows, connection)
    try:
        _frames(rows, original(module.h2.connection, "H2Connection"))
    except (Missing, AttributeError) as error:
        missing = {f"attempts.{name} of HTTP/2": str(error) for name in ("send_start", "first_byte", "last_byte", "wire_bytes")}
    return missing


def _streams(rows: Rows, connection: Any) -> None:
    keeps(connection, "_h2_state")
    own(connection, "handle_async_request", "_send_request_headers", "_receive_response", "_response_closed", "aclose")
    words, row_words = rows.attempts.words, rows.connections.row_words

    def make_init(before: Method) -> Method:
        def __init__(self: Any, origin: Any, stream: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, origin, stream, *args, **kwargs)
            state = self._h2_state
            state._loopdiag_protocol = connected(rows, self, stream)
            state._loopdiag_rows, state._loopdiag_unsent = {}, []

        return __init__

    def make_handle(before: Method) -> Method:
        def handle_async_request(self: Any, request: Any) -> Any:
            row = current()
            if self._loopdiag_link:
                words[row + CONNECTION] = self._loopdiag_link // row_words
            if words[row + BITS] & SHARED:
                words[row + RESUMED] = now() >> TICK_SHIFT & MASK  # it was resumed to wait for another's connect, and runs only now
            return before(self, request)

        return handle_async_request

    def make_send(before: Method) -> Method:
        def _send_request_headers(self: Any, request: Any, stream_id: int) -> Any:
            row = current()
            state = self._h2_state
            words[row + STREAM] = now() >> TICK_SHIFT & MASK
            words[row + SEND_START] = words[row + FIRST] = words[row + LAST] = words[row + WIRE] = 0
            words[row + BITS] |= HTTP2 | REUSED if self._loopdiag_streams else HTTP2
            self._loopdiag_streams += 1
            if row:
                state._loopdiag_rows[stream_id] = row
                state._loopdiag_unsent.append(row)
            return before(self, request, stream_id)

        return _send_request_headers

    connection._loopdiag_streams = 0  # how many it has begun
    connection._loopdiag_link = 0
    replace(connection, "__init__", make_init)
    replace(connection, "handle_async_request", make_handle)
    replace(connection, "_send_request_headers", make_send)


def _answers(rows: Rows, connection: Any, body_stream: Any) -> None:
    words, links, row_words = rows.attempts.words, rows.connections.words, rows.connections.row_words

    def make_receive(before: Method) -> Method:
        def _receive_response(self: Any, request: Any, stream_id: int) -> Any:
            row = self._h2_state._loopdiag_rows.get(stream_id, 0)
            words[row + SEND_END] = now() >> TICK_SHIFT & MASK  # its task has nothing more to write
            return before(self, request, stream_id)

        return _receive_response

    def make_body(before: Method) -> Method:
        def __init__(self: Any, connection: Any, request: Any, stream_id: int) -> None:  # noqa: N807 - the patched method's own name
            before(self, connection, request, stream_id)
            row = connection._h2_state._loopdiag_rows.get(stream_id, 0)
            words[row + HEADERS] = now() >> TICK_SHIFT & MASK
            first = words[row + FIRST]
            if first and words[row + SEND_END] - first & MASK < BEFORE:
                words[row + SEND_END] = first  # another's task had read the answer before this one's was resumed after writing
            served = words[row + CONNECTION] * row_words + REQUESTS
            links[served] = links[served] + 1 & MASK

        return __init__

    def make_closed(before: Method) -> Method:
        async def _response_closed(self: Any, stream_id: int) -> None:
            state = self._h2_state
            row = state._loopdiag_rows.pop(stream_id, 0)
            if row in state._loopdiag_unsent:
                state._loopdiag_unsent.remove(row)
            await before(self, stream_id)
            words[row + RELEASED] = now() >> TICK_SHIFT & MASK

        return _response_closed

    replace(connection, "_receive_response", make_receive)
    replace(connection, "_response_closed", make_closed)
    replace(body_stream, "__init__", make_body)


def _frames(rows: Rows, state: Any) -> None:
    own(state, "data_to_send", "_receive_frame")
    if "_loopdiag_rows" in vars(state):
        return
    words = rows.attempts.words

    def make_send(before: Method) -> Method:
        def data_to_send(self: Any, amount: "int | None" = None) -> bytes:
            unsent = self._loopdiag_unsent
            if unsent:
                at = now() >> TICK_SHIFT & MASK  # it is written next, by the same step of this task
                for row in unsent:
                    words[row + SEND_START] = at
                unsent.clear()
            data: bytes = before(self, amount)
            return data

        return data_to_send

    def make_frame(before: Method) -> Method:
        def _receive_frame(self: Any, frame: Any) -> Any:
            row = self._loopdiag_rows.get(frame.stream_id, 0) if self._loopdiag_rows else 0
            if row and frame.type in (BODY_FRAME, HEAD_FRAME):
                at = self._loopdiag_protocol._loopdiag_at or now() >> TICK_SHIFT & MASK
                if not words[row + FIRST]:
                    words[row + FIRST] = at
                words[row + LAST] = at
                words[row + WIRE] = words[row + WIRE] + max(frame.body_len, len(frame.data)) + FRAME_HEADER & MASK
            return before(self, frame)

        return _receive_frame

    # of connections that nobody told us of, such as a server's in the same process
    state._loopdiag_protocol, state._loopdiag_rows, state._loopdiag_unsent = Unknown, None, None
    replace(state, "data_to_send", make_send)
    replace(state, "_receive_frame", make_frame)
