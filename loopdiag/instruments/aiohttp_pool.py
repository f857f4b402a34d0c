"""aiohttp: its connector and how its connections are made; what is on the wire is watched by `aiohttp_wire`.

Seams here (aiohttp 3.10 - 3.14): ``BaseConnector.connect``, ``_release`` and ``_waiters``, ``Connection.__init__``.  Each group of seams is tried by itself: where one is missing, what it would have stamped is told by the public events as far as they tell the truth (`aiohttp_events`), and is not
observed otherwise.  No TraceConfig is installed but then, and in the verify mode.

What every request passes is patched by plain functions and assignments, not by coroutines around coroutines: those live as long as the request waits, and the
garbage collector would walk them.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from . import aiohttp_connections, aiohttp_events, aiohttp_wire
from .context import ENQUEUED, A, C, Rows, current, quick
from .patching import Missing, original, replace
from .pools_seen import note_pool
from .recorder import now
from .schema import FLAGS, MASK, TICK_SHIFT

ASSIGNED, RESUMED, ASSIGNMENTS = A["assigned"], A["resumed"], A["assignments"]
RELEASED, CONNECTION, FLAGS_, REQUESTS, REUSED = A["released"], A["connection"], A["flags"], C["requests"], FLAGS["reused"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Patch aiohttp's client; returns what cannot be observed, and why."""
    not_observed: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, (seams, columns) in GROUPS.items():
        try:
            seams(rows, _namespace(module))
        except Missing as error:
            missing[name] = str(error)
            not_observed.update(dict.fromkeys(columns, str(error)))
    told = aiohttp_events.install(rows, module, set(missing))
    not_observed = {column: reason for column, reason in not_observed.items() if column not in told}
    if missing:
        not_observed["aiohttp_pool"] = "in part: " + "; ".join(missing.values())
    if told:
        rows.warnings.append(f"aiohttp's public events tell, less exactly, what its seams no longer do: {', '.join(sorted(told))}")
    return not_observed


def _namespace(module: ModuleType) -> "Callable[[str], Any]":
    """The way to aiohttp's submodules.

    Raises:
        Missing: (the way) there is no such module.
    """

    def find(name: str) -> Any:
        try:
            return import_module(f"{module.__name__}.{name}")
        except ImportError as error:
            raise Missing(f"{module.__name__}.{name} is not there") from error

    return find


def _connector(rows: Rows, find: "Callable[[str], Any]") -> None:
    words, links, row_words = rows.attempts.words, rows.connections.words, rows.connections.row_words
    row_of, task_of, running = quick()
    base, connection = original(find("connector"), "BaseConnector"), original(find("connector"), "Connection")
    aiohttp_connections.owned(find)
    code = getattr(connection.__init__, "__code__", None)
    if code is None or code.co_varnames[: code.co_argcount] != ("self", "connector", "key", "protocol", "loop"):
        raise Missing("Connection.__init__(connector, key, protocol, loop) is not there")

    def make_connect(before: Method) -> Method:
        def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
            row = row_of(id(task_of(running())), 0)
            if row and not words[row + ENQUEUED]:
                words[row + ENQUEUED] = now() >> TICK_SHIFT & MASK
            else:
                rows.begin_attempt("aiohttp")
            return before(self, *args, **kwargs)

        return connect

    def make_connection(before: Method) -> Method:
        def __init__(self: Any, connector: Any, key: Any, protocol: Any, loop: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, connector, key, protocol, loop)
            row = row_of(id(task_of(running())), 0)
            at = now() >> TICK_SHIFT & MASK
            if not words[row + ASSIGNED]:  # an idle connection: nothing to wait for
                words[row + ASSIGNED] = at
                words[row + ASSIGNMENTS] = 1
            words[row + RESUMED] = at
            protocol._loopdiag_row = row
            if link := protocol._loopdiag_link:
                served = links[link + REQUESTS]
                links[link + REQUESTS] = served + 1
                words[row + CONNECTION] = link // row_words
                if served:
                    words[row + FLAGS_] |= REUSED

        return __init__

    def make_release(before: Method) -> Method:
        def _release(self: Any, key: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
            row = getattr(protocol, "_loopdiag_row", 0)
            if row:
                at = now()
                words[row + RELEASED] = at >> TICK_SHIFT & MASK
                sock = protocol._loopdiag_socket
                if sock is not None and sock.last is not sock.first:
                    protocol._loopdiag_last(row, sock, at)
                protocol._loopdiag_row = 0
            return before(self, key, protocol, *args, **kwargs)

        return _release

    original(base, "connect")
    replace(base, "_release", make_release)
    replace(base, "connect", make_connect)
    replace(connection, "__init__", make_connection)


def _waiters(rows: Rows, find: "Callable[[str], Any]") -> None:
    """Stamp the grant of a connection, in whoever's task releases one, rather than when the waiting task runs again."""
    base = original(find("connector"), "BaseConnector")
    if not hasattr(base, "_release_waiter"):
        raise Missing("the resume, not the grant: BaseConnector._release_waiter is not there")
    granting = _granting(rows)

    def make_init(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, *args, **kwargs)
            if rows.program:
                idle = 0 if getattr(self, "_force_close", False) else None
                note_pool(rows, "aiohttp", getattr(self, "_limit", None), getattr(self, "_limit_per_host", None), idle)
            waiters = getattr(self, "_waiters", None)
            if isinstance(waiters, defaultdict) and waiters.default_factory is OrderedDict:
                waiters.default_factory = granting
            elif not isinstance(waiters, defaultdict) or waiters.default_factory is not granting:
                rows.dropped.setdefault("attempts.assigned", "the resume, not the grant: BaseConnector._waiters has another shape")

        return __init__

    replace(base, "__init__", make_init)


def _granting(rows: Rows) -> type:
    words = rows.attempts.words
    put, take = OrderedDict.__setitem__, OrderedDict.popitem

    class Granting(OrderedDict):  # type: ignore[type-arg] # futures → the rows of the attempts that wait for them
        """Who waits for a connection to one host, in order; the pool pops the one to which it grants one."""

        def __setitem__(self, waiter: Any, _value: None) -> None:
            put(self, waiter, current())

        def popitem(self, last: bool = True) -> "tuple[Any, Any]":
            pair = take(self, last)
            if not pair[0].done():
                row = pair[1]
                words[row + ASSIGNED] = now() >> TICK_SHIFT & MASK
                words[row + ASSIGNMENTS] += 1
            return pair

    return Granting


#: group → (how it is patched, the columns that only it stamps)
GROUPS: "dict[str, tuple[Callable[[Rows, Callable[[str], Any]], None], tuple[str, ...]]]" = {
    "connector": (
        _connector,
        tuple(
            "attempts." + name
            for name in (
                "enqueued", "assigned", "resumed", "assignments", "connection", "send_start", "send_end", "rx_kernel",
                "first_byte", "rx_last", "last_byte", "wire_bytes", "released",
            )
        ),
    ),
    "waiters": (_waiters, ("attempts.assigned",)),
    "set_up": (
        aiohttp_connections.set_up,
        tuple(
            "connections." + name
            for name in ("dns_start", "dns_end", "lookup_start", "lookup_end", "tcp_start", "tcp_end", "made", "address_attempts", "local_port")
        ),
    ),
    "closing": (aiohttp_connections.closings, ("connections.closed", "connections.rtt_us", "connections.retransmits")),
    "receive": (aiohttp_connections.kernel_stamps, ("attempts.rx_kernel", "attempts.rx_last")),
    "wire": (aiohttp_wire.wire, tuple("attempts." + name for name in ("send_start", "send_end", "first_byte", "last_byte", "wire_bytes"))),
    "response": (aiohttp_wire.response, ("attempts.headers", "attempts.status", "attempts.body")),
}  # fmt: skip
