"""Sessions, their pools of connections, and TLS contexts, counted by the program's line that makes them: one a request where one would do is seen by that.

Seams: the constructors of ``aiohttp.ClientSession`` and ``BaseConnector``, ``httpx.AsyncClient`` and ``Client``, ``requests.Session``, ``ssl.SSLContext``, and the
calls by which a context reads its certificates, which are what it costs.
"""

import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import made, places
from .context import Rows
from .patching import original, put, replace

SESSION, CONNECTOR, CONTEXT = "session", "connector", "tls-context"
READS = ("load_verify_locations", "set_default_verify_paths", "load_cert_chain")

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Count what `module` makes.

    Raises:
        Missing: it has no such class.
    """
    made.tell(rows)
    if module.__name__ == "ssl":
        _contexts(rows, original(module, "SSLContext"))
    elif module.__name__ == "aiohttp":
        _counted(rows, original(module, "ClientSession"), SESSION, _aiohttp_limit)
        _counted(rows, original(module, "BaseConnector"), CONNECTOR, _limit)
    elif module.__name__ == "requests":
        _counted(rows, original(module, "Session"), SESSION, _no_limit)
    else:
        client = original(module, "AsyncClient")
        if "_loopdiag_counted" not in vars(client):  # the same library under two names
            client._loopdiag_counted = True
            _counted(rows, client, SESSION, _httpx_limit)
            _counted(rows, original(module, "Client"), SESSION, _httpx_limit)


def _counted(rows: Rows, owner: Any, what: str, value_of: "Callable[[Any], int]") -> None:
    cpu_ns = time.thread_time_ns

    def make(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            cpu = cpu_ns()
            before(self, *args, **kwargs)
            try:
                spent = cpu_ns() - cpu
                made.count(rows, what, places.of_frame(sys._getframe(1)), value_of(self), spent)
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                rows.dropped.setdefault("made." + what, f"{type(error).__name__}: {error}")

        return __init__

    replace(owner, "__init__", make)


def _no_limit(_session: Any) -> int:
    return 0


def _limit(connector: Any) -> int:
    """How many connections it allows; 0: any number."""
    return int(getattr(connector, "limit", 0) or 0)


def _aiohttp_limit(session: Any) -> int:
    return _limit(getattr(session, "connector", None))


def _httpx_limit(client: Any) -> int:
    pool = getattr(getattr(client, "_transport", None), "_pool", None)
    found = getattr(pool, "_max_connections", 0) or 0
    return 0 if found >= sys.maxsize else int(found)


def _contexts(rows: Rows, context: Any) -> None:
    cpu_ns = time.thread_time_ns
    before_init = context.__init__
    for name in READS:
        original(context, name)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
        # not `__new__`, whose warnings name the frame that calls it; arguments that are nobody's are `__new__`'s
        if before_init is not object.__init__:
            before_init(self, *args, **kwargs)
        place = places.of_frame(sys._getframe(1))
        self._loopdiag_place = place
        made.count(rows, CONTEXT, place, 0, 0)

    def make_read(before: Method) -> Method:
        def read(self: Any, *args: Any, **kwargs: Any) -> Any:
            cpu = cpu_ns()
            try:
                return before(self, *args, **kwargs)
            finally:
                counted = rows.made.get((CONTEXT, self._loopdiag_place, 0))
                if counted is not None:
                    counted[1] += cpu_ns() - cpu

        return read

    context._loopdiag_place = 0
    put(context, "__init__", __init__)
    for name in READS:
        replace(context, name, make_read)
