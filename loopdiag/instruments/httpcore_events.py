"""httpcore's public ``trace`` extension: what is left where private seams are missing, and in the verify mode a second witness beside our stamps.

The extension's callback is put into every request at the pool's public entry, before the program's own.  Its events cost more than the seams, and tell less: nothing of the
pool, no first byte (``receive_response_headers`` is a span that ends with the parsed head), and no last byte (``receive_response_body`` lasts as long as the consumer
takes).  What they would lie about stays not observed.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from .context import LINK, A, C, Rows, current
from .patching import replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

SPANS = (
    "connection.connect_tcp", "connection.connect_unix_socket", "connection.start_tls", "connection.retry",
    "http11.send_request_headers", "http11.send_request_body", "http11.receive_response_headers", "http11.receive_response_body",
    "http11.response_closed",
    "http2.send_connection_init", "http2.send_request_headers", "http2.send_request_body", "http2.receive_response_headers",
    "http2.receive_response_body", "http2.receive_remote_settings", "http2.response_closed",
)  # fmt: skip
FIRST_EVENT = 1000  # other libraries' events have numbers of their own
EVENTS = tuple(f"{span}.{end}" for span in SPANS for end in ("started", "complete", "failed"))
NUMBERS = {name: FIRST_EVENT + index for index, name in enumerate(EVENTS)}

#: column → the event that tells it truthfully, where its own seam is missing
TOLD = {
    "attempts.send_start": "send_request_headers.started",  # some 50 us before the octets are handed to the socket
    "attempts.send_end": "send_request_body.complete",
    "attempts.headers": "receive_response_headers.complete",
    "attempts.released": "response_closed.complete",
    "connections.tcp_start": "connect_tcp.started",
    "connections.tcp_end": "connect_tcp.complete",
    "connections.made": "start_tls.complete",
}
#: column → why no event tells it
UNTOLD = {
    "attempts.assigned": "httpcore has no event for its pool",
    "attempts.first_byte": "httpcore's event ends with the parsed head",
    "attempts.last_byte": "httpcore's event ends when the consumer has taken the body",
}

Method = Callable[..., Any]
Trace = Callable[[str, "dict[str, Any]"], Awaitable[None]]


def listen(rows: Rows, pool: Any, missing: "dict[str, str]") -> "dict[str, str]":
    """Hear the events of every request of `pool`, and stamp those of the `missing` columns that they tell.

    Returns:
        The columns that stay not observed, and why.
    """
    told = [column for column in missing if column in TOLD]
    for column in told:
        rows.warnings.append(f"httpcore: {missing[column]}; {column} is stamped by the public event {TOLD[column]}")
    trace = _listener(rows, told, begins="connections.t0" in missing)

    def make_handle(before: Method) -> Method:
        def handle_async_request(self: Any, request: Any) -> Any:
            theirs = request.extensions.get("trace")
            ours = trace if theirs is None else _both(trace, theirs)
            request.extensions = {**request.extensions, "trace": ours}  # theirs stays as it was in the program's own dictionary
            return before(self, request)

        return handle_async_request

    replace(pool, "handle_async_request", make_handle)
    left = {column: reason for column, reason in missing.items() if column not in TOLD}
    return {column: f"{reason}; {UNTOLD[column]}" if column in UNTOLD else reason for column, reason in left.items()}


def _both(ours: Trace, theirs: Trace) -> Trace:
    async def trace(name: str, info: "dict[str, Any]") -> None:
        await ours(name, info)
        await theirs(name, info)

    return trace


def _listener(rows: Rows, told: "list[str]", *, begins: bool) -> Trace:
    words, links = rows.attempts.words, rows.connections.words
    stamps = {TOLD[column]: A[column.partition(".")[2]] for column in told if column.startswith("attempts.")}
    link_stamps = {TOLD[column]: C[column.partition(".")[2]] for column in told if column.startswith("connections.")}
    broken = [False]

    def hear(name: str) -> None:
        row, event = current(), name.partition(".")[2]
        at = now() >> TICK_SHIFT & MASK
        if rows.verify and name in NUMBERS:
            rows.record_event(row, NUMBERS[name])
        if event in stamps:
            words[row + stamps[event]] = at
        if begins and event == "connect_tcp.started":
            words[row + A["connection"]] = rows.begin_connection(row) // rows.connections.row_words
        link = LINK.get()
        if not link:
            return
        if event in link_stamps:
            links[link + link_stamps[event]] = at
        if event == "connect_tcp.complete":
            if "connect_tcp.started" in link_stamps and links[link + C["dns_end"]]:
                links[link + C["tcp_start"]] = links[link + C["dns_end"]]  # the look-up comes first, inside the same span
            if "start_tls.complete" in link_stamps:
                links[link + C["made"]] = at  # without TLS it is; with TLS it is stamped again
        elif event in {"send_request_headers.started", "connect_tcp.failed", "start_tls.failed"}:
            LINK.set(0)

    async def trace(name: str, _info: "dict[str, Any]") -> None:
        if broken[0]:
            return
        try:
            hear(name)
        except Exception as error:  # noqa: BLE001 - the program's request goes on
            broken[0] = True
            rows.drop("httpcore_events", error)

    return trace
