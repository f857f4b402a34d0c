"""aiohttp on the wire, and its answers in the task's hands.

Seams: ``StreamWriter._write`` and ``_writelines``, ``ResponseHandler.data_received``, and for answers the assignments of ``ClientResponse.status`` (when the task has
read the head, of a redirect's answer, too), ``_history`` (the last thing that a request does) and ``_body``.
"""

from collections.abc import Callable
from typing import Any

from .aiohttp_connections import Find, owned
from .context import MARKED, A, Rows, quick
from .patching import Missing, assigned, original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

SEND_START, SEND_END = A["send_start"], A["send_end"]
FIRST, LAST, HEADERS = A["first_byte"], A["last_byte"], A["headers"]
BODY, STATUS, WIRE, FLAGS = A["body"], A["status"], A["wire_bytes"], A["flags"]

Method = Callable[..., Any]


def wire(rows: Rows, find: Find) -> None:
    """Stamp what is written and what is received.

    Raises:
        Missing: a seam is not there.
    """
    writer, handler = original(find("http_writer"), "StreamWriter"), owned(find)
    words = rows.attempts.words

    def make_write(before: Method) -> Method:
        def write(self: Any, *args: Any) -> None:
            row = getattr(self._protocol, "_loopdiag_row", 0)  # a server's writer has another protocol
            if row and not words[row + SEND_START]:
                words[row + SEND_START] = now() >> TICK_SHIFT & MASK
            before(self, *args)
            if row:
                words[row + SEND_END] = now() >> TICK_SHIFT & MASK

        return write

    def make_received(before: Method) -> Method:
        def data_received(self: Any, data: bytes) -> None:
            if data and (row := self._loopdiag_row):  # aiohttp calls it with nothing to resume decompression
                at = now()
                tick = at >> TICK_SHIFT & MASK
                sock = self._loopdiag_socket
                if not words[row + FIRST]:
                    words[row + FIRST] = tick
                    if sock is not None:
                        self._loopdiag_first(row, sock, at)
                elif sock is not None:
                    sock.last = sock.received
                words[row + LAST] = tick
                words[row + WIRE] = words[row + WIRE] + len(data) & MASK
            before(self, data)

        return data_received

    for owner, name in ((writer, "_write"), (writer, "_writelines"), (handler, "data_received")):
        original(owner, name)
    replace(writer, "_write", make_write)
    replace(writer, "_writelines", make_write)
    replace(handler, "data_received", make_received)


def response(rows: Rows, find: Find) -> None:
    """Stamp the answer's head and its body, as the task gets them.

    Raises:
        Missing: a seam is not there.
    """
    answer = original(find("client_reqrep"), "ClientResponse")
    words = rows.attempts.words
    row_of, task_of, running = quick()

    def at_headers(self: Any, status: Any) -> None:
        self._loopdiag_status = status
        row = self._loopdiag_row = row_of(id(task_of(running())), 0)
        words[row + HEADERS] = now() >> TICK_SHIFT & MASK
        words[row + STATUS] = status or 0

    def at_body(self: Any, body: Any) -> None:
        self._loopdiag_body = body
        row = self._loopdiag_row
        if row and body is not None and not words[row + BODY]:
            words[row + BODY] = now() >> TICK_SHIFT & MASK

    def at_end(self: Any, history: Any) -> None:
        self._loopdiag_history = history
        row = self._loopdiag_row
        if not words[row + FLAGS] & MARKED:
            rows.end_attempts(row)  # a later task may get this one's identity

    for name in ("status", "_history", "_body"):
        if not hasattr(answer, name):
            raise Missing(f"ClientResponse.{name} is not there")
    answer._loopdiag_row = 0
    assigned(answer, "status", at_headers)
    assigned(answer, "_history", at_end)
    assigned(answer, "_body", at_body)
