"""httpcore: how an attempt ends where it does not end well.

Seams: ``AsyncConnectionPool._assign_requests_to_connections``, which the pool calls once more when it gives a request up, and
``PoolByteStream.aclose``, through which every body that is not read to its end goes; both with the exception in flight.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from .context import Rows, current
from .ends import code_of, handled_by, handled_in
from .patching import original, replace

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch the pool and its responses' bodies."""
    inside = import_module(module.__name__ + "._async.connection_pool")
    pool, body = original(inside, "AsyncConnectionPool"), original(inside, "PoolByteStream")
    if "_loopdiag_ends" in vars(pool):  # the same library under two names
        return
    pool._loopdiag_ends = True
    handling = code_of(original(pool, "handle_async_request"))
    client = module.__name__.replace("core", "x")

    def make_scan(before: Method) -> Method:
        def _assign_requests_to_connections(self: Any) -> Any:
            error = sys.exc_info()[1]
            if error is not None and (row := current()) and handled_in(error, handling):
                rows.fail(row, error)
            return before(self)

        return _assign_requests_to_connections

    def make_close(before: Method) -> Method:
        def aclose(self: Any) -> Any:
            error = None if self._closed else sys.exc_info()[1]
            if error is not None and not isinstance(error, GeneratorExit) and handled_by(error, module.__name__, client):
                rows.fail(getattr(self._pool_request, "_loopdiag_row", 0), error)
            return before(self)

        return aclose

    replace(pool, "_assign_requests_to_connections", make_scan)
    replace(body, "aclose", make_close)
