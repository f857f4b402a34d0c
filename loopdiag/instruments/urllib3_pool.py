"""urllib3 1.26 and 2, and `requests` on top of it: the request's entry, its pool, and what gives a connection back.

Seams: ``PoolManager.urlopen`` and ``HTTPConnectionPool.urlopen`` (both call themselves for redirects and retries: attempts of one request), ``_get_conn``,
which waits where the pool blocks, ``_put_conn``, and ``connect`` of urllib3's own connections.  Of `requests`: ``Session.request`` and ``send``.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .blocking_requests import RELEASED, Blocking, shared
from .context import Rows
from .http_client import connects
from .patching import original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

LIBRARY = "urllib3"

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch urllib3, or `requests`.

    Raises:
        Missing: a name is not there.
    """
    blocking = shared(rows)
    if module.__name__ == "requests":
        session = original(module, "Session")
        for name in ("request", "send"):
            original(session, name)
            replace(session, name, blocking.entered("requests"))
        return
    from urllib3 import connection, poolmanager

    original(connection.HTTPConnection, "_loopdiag_row")  # as `http_client` has made it
    pool = original(module, "HTTPConnectionPool")
    for name in ("urlopen", "_get_conn", "_put_conn"):
        original(pool, name)
    _pool(blocking, pool)
    replace(original(poolmanager, "PoolManager"), "urlopen", blocking.entered(LIBRARY))
    for name in ("HTTPConnection", "HTTPSConnection"):
        own = original(connection, name)
        own._loopdiag_pooled = True
        if "connect" in vars(own):
            connects(blocking, own)


def _pool(blocking: Blocking, pool: Any) -> None:
    here, words = blocking.here, blocking.words

    def make_open(before: Method) -> Method:
        def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
            blocking.pooled(LIBRARY)
            return before(self, *args, **kwargs)

        return blocking.entered(LIBRARY)(urlopen)

    def make_get(before: Method) -> Method:
        def _get_conn(self: Any, *args: Any, **kwargs: Any) -> Any:
            connection = before(self, *args, **kwargs)
            if here.fresh:
                blocking.assigned(here.row)
            return connection

        return _get_conn

    def make_put(before: Method) -> Method:
        def _put_conn(self: Any, conn: Any) -> Any:
            row = getattr(conn, "_loopdiag_answered", 0)
            if row:
                words[row + RELEASED] = now() >> TICK_SHIFT & MASK  # before another thread has it
                conn._loopdiag_answered = 0
            return before(self, conn)

        return _put_conn

    replace(pool, "urlopen", make_open)
    replace(pool, "_get_conn", make_get)
    replace(pool, "_put_conn", make_put)
