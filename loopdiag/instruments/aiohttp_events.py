"""aiohttp's public events, by a TraceConfig of ours in every session: in the verify mode as witnesses, and where a seam is missing in its stead.

What the events tell truly, and what they would lie about:

- `connection_queued_start`, `connection_create_start` and `connection_reuseconn` come when the pool has been reached: `enqueued` at the latest.  The last two
  tell `assigned` of who did not wait; the grant to one that waits has no event (`connection_queued_end` is the resume), and is left to its own seam.
- `connection_create_*` bracket a connection's making, `dns_resolvehost_*` its own look-up.  Who waits for another's look-up gets `dns_cache_hit` before the
  wait, so a look-up of that kind is not observed.  What a connection is called has no event: reuse is told, which connection it is is not.
- `request_headers_sent` comes before anything is written, so `send_start` and `send_end` are not observed; nothing tells of the first or the last byte.
- `request_end` comes with the head of the answer, in the task: `headers`.  `response_chunk_received` comes once, in ``read()``: `body`.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from types import ModuleType
from typing import Any

from .context import LINK, A, C, Rows, current
from .patching import Missing, original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

ENQUEUED, ASSIGNED, ASSIGNMENTS, RESUMED = A["enqueued"], A["assigned"], A["assignments"], A["resumed"]
HEADERS, BODY, STATUS = A["headers"], A["body"], A["status"]
DNS_START, DNS_END, MADE = C["dns_start"], C["dns_end"], C["made"]

#: the events by their numbers in the table `events`; 0 is none
EVENTS = (
    "",
    "request_start",
    "connection_queued_start",
    "connection_queued_end",
    "connection_create_start",
    "dns_cache_hit",
    "dns_cache_miss",
    "dns_resolvehost_start",
    "dns_resolvehost_end",
    "connection_create_end",
    "connection_reuseconn",
    "request_headers_sent",
    "request_chunk_sent",
    "request_redirect",
    "request_end",
    "request_exception",
    "response_chunk_received",
)

#: group of seams (see `aiohttp_pool`) → the columns that the events tell when it is missing
TOLD = {
    "connector": frozenset({"attempts.enqueued", "attempts.assigned", "attempts.assignments", "attempts.resumed"}),
    "set_up": frozenset({"connections.dns_start", "connections.dns_end", "connections.made"}),
    "response": frozenset({"attempts.headers", "attempts.status", "attempts.body"}),
}

#: what an event does: (the request's trace context, the event's parameters) → None
Handler = Callable[[Any, Any], None]


def install(rows: Rows, module: ModuleType, missing: "AbstractSet[str]") -> "AbstractSet[str]":
    """Listen where there is something to listen for; returns the columns that are told by events.

    `missing` names the groups of seams that are not there.
    """
    handlers: list[tuple[str, Handler]] = []
    for group, listen in (("connector", _connector), ("set_up", _set_up), ("response", _response)):
        if group in missing:
            handlers += listen(rows)
    told = frozenset[str]().union(*(TOLD.get(group, ()) for group in missing))
    if "waiters" in missing:
        told -= {"attempts.assigned"}
    if rows.verify:
        handlers += _witnesses(rows)
    if not handlers:
        return told
    try:
        _listen(module, handlers)
    except Missing as error:
        rows.dropped["aiohttp_events"] = str(error)
        return frozenset()
    return told


def _listen(module: ModuleType, handlers: "list[tuple[str, Handler]]") -> None:
    """Give every new session a TraceConfig with `handlers`, behind those of the program.

    Raises:
        Missing: there are no such events.
    """
    trace_config = original(module, "TraceConfig")()
    for event, handler in handlers:
        original(trace_config, "on_" + event).append(_signal(handler))

    def make_init(before: "Callable[..., Any]") -> "Callable[..., Any]":
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            kwargs["trace_configs"] = [*(kwargs.get("trace_configs") or ()), trace_config]
            before(self, *args, **kwargs)

        return __init__

    replace(original(module, "ClientSession"), "__init__", make_init)


def _signal(handler: Handler) -> "Callable[..., Any]":
    async def signal(_session: Any, context: Any, parameters: Any) -> None:
        handler(context, parameters)

    return signal


def _witnesses(rows: Rows) -> "list[tuple[str, Handler]]":
    """Record every event with the attempt that it is about."""

    def witness(number: int) -> Handler:
        def handler(context: Any, _parameters: Any) -> None:
            # a look-up runs in a task of its own, and an answer is read when its request is over: both are about the attempt that was seen last
            context._loopdiag_row = row = current() or getattr(context, "_loopdiag_row", 0)
            rows.record_event(row, number)

        return handler

    return [(event, witness(number)) for number, event in enumerate(EVENTS) if event]


def _connector(rows: Rows) -> "list[tuple[str, Handler]]":
    words = rows.attempts.words

    def entered(_context: Any, _parameters: Any) -> None:
        row = current()
        if not row or not words[row + ENQUEUED] or words[row + RESUMED]:  # what had a connection and comes again is a further attempt
            rows.begin_attempt()

    def given(context: Any, parameters: Any) -> None:
        entered(context, parameters)
        row = current()
        if not words[row + ASSIGNED]:
            words[row + ASSIGNED] = now() >> TICK_SHIFT & MASK
            words[row + ASSIGNMENTS] = 1

    def ready(_context: Any, _parameters: Any) -> None:
        words[current() + RESUMED] = now() >> TICK_SHIFT & MASK

    def reused(context: Any, parameters: Any) -> None:
        given(context, parameters)
        rows.flag(current(), "reused")
        ready(context, parameters)

    return [
        ("connection_queued_start", entered),
        ("connection_create_start", given),
        ("connection_create_end", ready),
        ("connection_reuseconn", reused),
    ]


def _set_up(rows: Rows) -> "list[tuple[str, Handler]]":
    words = rows.connections.words

    def opening(_context: Any, _parameters: Any) -> None:
        rows.begin_connection(current())

    def stamp(column: int) -> Handler:
        def handler(_context: Any, _parameters: Any) -> None:
            words[LINK.get() + column] = now() >> TICK_SHIFT & MASK

        return handler

    def opened(_context: Any, _parameters: Any) -> None:
        link = LINK.get()
        words[link + MADE] = now() >> TICK_SHIFT & MASK
        if link:
            rows.use_connection(current(), link)
        LINK.set(0)

    def failed(_context: Any, _parameters: Any) -> None:
        LINK.set(0)

    return [
        ("connection_create_start", opening),
        ("dns_resolvehost_start", stamp(DNS_START)),
        ("dns_resolvehost_end", stamp(DNS_END)),
        ("connection_create_end", opened),
        ("request_exception", failed),
    ]


def _response(rows: Rows) -> "list[tuple[str, Handler]]":
    words = rows.attempts.words

    def answered(row: int, parameters: Any) -> None:
        words[row + HEADERS] = now() >> TICK_SHIFT & MASK
        words[row + STATUS] = parameters.response.status

    def ended(context: Any, parameters: Any) -> None:
        context._loopdiag_answered = row = current()
        answered(row, parameters)
        rows.end_attempts(row)

    def redirected(_context: Any, parameters: Any) -> None:
        answered(current(), parameters)

    def read(context: Any, _parameters: Any) -> None:
        words[getattr(context, "_loopdiag_answered", 0) + BODY] = now() >> TICK_SHIFT & MASK

    return [("request_end", ended), ("request_redirect", redirected), ("response_chunk_received", read)]
