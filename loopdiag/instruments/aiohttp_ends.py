"""aiohttp: where a request enters its session, and how its attempts end where they do not end well.

Seams: ``ClientSession._build_url`` (the first thing that every request calls once, in its own task; ``_request`` itself is called in the task that
gathers); ``Connection.close`` and ``TimeoutHandle.close`` (called only where something failed, with the exception in flight, the second when the request gives
up); ``ClientResponse.__aexit__`` (tells what went wrong while a body was read in pieces).  None of them lives while a request waits.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import MARKED, A, Rows, current, quick
from .ends import handled_by
from .patching import original, replace

FLAGS = A["flags"]
LIBRARY = "aiohttp"

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch the four."""
    from aiohttp import client_reqrep, connector, helpers

    words = rows.attempts.words
    row_of, task_of, running = quick()

    def make_enter(before: Method) -> Method:
        def _build_url(self: Any, *args: Any) -> Any:
            row = row_of(id(task_of(running())), 0)
            if not row or not words[row + FLAGS] & MARKED:
                rows.begin_request(LIBRARY)
            return before(self, *args)

        return _build_url

    def make_close(before: Method) -> Method:
        def close(self: Any) -> None:
            error, row = sys.exc_info()[1], getattr(self._protocol, "_loopdiag_row", 0)
            if error is not None and row and handled_by(error, "aiohttp"):
                rows.fail(row, error)
            before(self)

        return close

    def make_give_up(before: Method) -> Method:
        def close(self: Any) -> None:
            error, row = sys.exc_info()[1], current()
            if error is not None and row:
                rows.fail(row, error)
            before(self)

        return close

    def make_exit(before: Method) -> Method:
        def __aexit__(self: Any, kind: Any, error: Any, trace: Any) -> Any:  # noqa: N807 - the patched method's own name
            row = getattr(self, "_loopdiag_row", 0)  # `aiohttp_wire`'s, which a changed library may lack
            if error is not None and row and not self._closed:
                rows.fail(row, error)
            return before(self, kind, error, trace)

        return __aexit__

    replace(original(module, "ClientSession"), "_build_url", make_enter)
    replace(original(connector, "Connection"), "close", make_close)
    replace(original(helpers, "TimeoutHandle"), "close", make_give_up)
    replace(original(client_reqrep, "ClientResponse"), "__aexit__", make_exit)
