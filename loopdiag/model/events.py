"""The life of one attempt as a table: which stamp may follow which, and what the time between them is called.

The state is the last stamp that was seen.  Instruments stamp in this order, the contract tests check every recorded order against
``MAY_FOLLOW``, hypothesis generates lifecycles from it, and the waterfall colours by ``PHASES``.
"""

from types import MappingProxyType
from typing import Literal

Kind = Literal["wait", "work"]

#: phase → (kind, what it is, HAR name)
PHASES: MappingProxyType[str, tuple[Kind, str, str]] = MappingProxyType(
    {
        "due": ("wait", "due, but not yet created (an open loop that fell behind)", "_due"),
        "start": ("wait", "created, but not yet run by the loop", "blocked"),
        "prepare": ("work", "the library prepares the request", "blocked"),
        "semaphore": ("wait", "the program's task waits for a semaphore or a limiter", "blocked"),
        "lock": ("wait", "the program's task waits for a lock", "blocked"),
        "queue": ("wait", "the program's task waits at a queue", "blocked"),
        "condition": ("wait", "the program's task waits for a condition or a barrier", "blocked"),
        "event": ("wait", "the program's task waits for an event", "blocked"),
        "sleep": ("wait", "the program's task sleeps", "blocked"),
        "task": ("wait", "the program's task waits for other tasks or a future", "blocked"),
        "executor": ("wait", "the program's task waits for a call in an executor", "blocked"),
        "pool": ("wait", "waits for a connection of the pool", "blocked"),
        "shared": ("wait", "waits on a connection that another request opens", "blocked"),
        "dns": ("wait", "name look-up", "dns"),
        "lookup": ("wait", "uvloop looks the numeric address up again, in its threads", "blocked"),
        "connect": ("wait", "TCP connect", "connect"),
        "ssl": ("wait", "TLS handshake", "ssl"),
        "resume": ("wait", "has a connection, but is not yet resumed by the loop", "blocked"),
        "stream": ("wait", "waits for a free stream of its HTTP/2 connection", "blocked"),
        "send": ("work", "writes the request", "send"),
        "wait": ("wait", "waits for the first byte of the answer", "wait"),
        "kernel": ("wait", "first byte in the kernel, but not yet read by the loop", "wait"),
        "receive": ("wait", "from the first byte to the last", "receive"),
        "handover": ("wait", "body complete, but not yet in the task's hands", "_handover"),
        "decode": ("work", "decodes the body", "_decode"),
        "finish": ("work", "until the request is done", "_finish"),
        "unattributed": ("wait", "not shown by any stamp", "_unattributed"),
    }
)

#: stamp → stamps that may come next; "" is the start, and `done` or `released` may end any life.  What may surprise:
#: `assigned` may come again: a pool gives one idle connection to several requests, and turns all but one away;
#: `rx_kernel`, `rx_last` and `first_byte` may come before `send_end`: an answer may be there before its writer is resumed, or before the request is written whole;
#: `rx_last` may come before `first_byte`: the kernel had received all of the answer before the loop read any of it;
#: `last_byte` and `released` may come before `headers` and `body`: a connection is given back by the protocol, before the request's task is resumed;
#: `released` may come after `done`: who is cancelled is done before its connection is closed
MAY_FOLLOW: MappingProxyType[str, frozenset[str]] = MappingProxyType(
    {
        "": frozenset({"due", "created", "first_run", "enqueued"}),
        "due": frozenset({"created", "first_run", "enqueued"}),
        "created": frozenset({"first_run", "enqueued", "done"}),
        "first_run": frozenset({"enqueued", "done", "released"}),
        "enqueued": frozenset({"assigned", "resumed", "done", "released"}),
        "assigned": frozenset({"assigned", "resumed", "done", "released"}),
        "resumed": frozenset({"assigned", "stream", "send_start", "done", "released"}),
        "stream": frozenset({"send_start", "done", "released"}),
        "send_start": frozenset({"send_end", "rx_kernel", "rx_last", "first_byte", "headers", "done", "released"}),
        "send_end": frozenset({"rx_kernel", "rx_last", "first_byte", "headers", "done", "released"}),
        "rx_kernel": frozenset({"rx_last", "first_byte", "send_end", "headers", "done", "released"}),
        "first_byte": frozenset({"headers", "rx_last", "last_byte", "send_end", "done", "released"}),
        "rx_last": frozenset({"first_byte", "send_end", "headers", "last_byte", "done", "released"}),
        "headers": frozenset({"rx_last", "last_byte", "body", "released", "done"}),
        "last_byte": frozenset({"headers", "released", "body", "done"}),
        "body": frozenset({"decoded", "released", "done"}),
        "decoded": frozenset({"released", "done"}),
        "released": frozenset({"headers", "body", "decoded", "done"}),
        "done": frozenset({"released"}),
    }
)


def legal(order: list[str]) -> str | None:
    """Return None where the order of stamps is a legal life, else one line that says what may not follow what."""
    state = ""
    for stamp in order:
        if stamp not in MAY_FOLLOW[state]:
            return f"{stamp!r} may not follow {state or 'the start'!r}"
        state = stamp
    return None


def diagram() -> str:
    """Draw the table as a Mermaid state diagram without the ways to `done` and `released`, which may follow nearly everywhere."""
    anywhere = {"done", "released"}
    edges = [
        f"    {state or '[*]'} --> {name}"
        for state, followers in MAY_FOLLOW.items()
        for name in MAY_FOLLOW  # in the table's order
        if state != "done" and name in followers - anywhere
    ]
    return "\n".join(["stateDiagram-v2", *edges, ""])
