"""TLS handshakes and records, at the one seam that works on every loop: ``SSLContext.sslobject_class``.

asyncio, uvloop and anyio all create their SSL objects through it and drive them with ``do_handshake``, ``read`` and ``write``; an SSLContext subclass would make
anyio move to a worker thread and change what is measured.  An object belongs to the connection that its opener's context names when its handshake begins.
"""

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .calibration import each_ns, ignore, priced
from .context import LINK, C, Rows
from .dropping import Drop
from .patching import original
from .recorder import now
from .schema import MASK, TICK_SHIFT

TLS_START, TLS_END = C["tls_start"], C["tls_end"]
TLS_CPU, TLS_STEPS, RECORD_CPU = C["tls_cpu_ns"], C["tls_steps"], C["record_cpu_ns"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Time every client handshake: wall time, CPU time of the loop's thread, steps; from level detailed on, the CPU time of its records."""
    context = original(module, "SSLContext")
    base = original(context, "sslobject_class")
    names = ("do_handshake", "read", "write")
    for name in names:
        original(base, name)

    drop = Drop(rows, "tls")

    def give_up(error: Exception) -> None:
        for name in names:
            if name in vars(TimedSSLObject):
                delattr(TimedSSLObject, name)  # what is left is the library's own
        drop(error)

    class TimedSSLObject(base):  # type: ignore[misc,valid-type] # the base is only known at run time
        """An SSLObject that stamps its handshake and its records' CPU into the row of its connection."""

        _loopdiag_link = -1
        do_handshake = timed_handshake(rows.connections.words, base.do_handshake, give_up)

    TimedSSLObject.__name__, TimedSSLObject.__qualname__ = base.__name__, base.__qualname__
    calls = [0]
    if rows.level:
        for name in ("read", "write"):
            setattr(TimedSSLObject, name, timed_record(rows.connections.words, getattr(base, name), calls, give_up))
        rows.costs["tls.records"] = lambda: priced(calls[0], _cost)
    context.sslobject_class = TimedSSLObject
    return {} if rows.level else {"connections.record_cpu_ns": "watched from level 'detailed' on"}


def timed_handshake(words: Any, handshake: Method, give_up: "Callable[[Exception], None]") -> Method:
    """For ``do_handshake``."""
    cpu_ns = time.thread_time_ns

    def begin(self: Any) -> int:
        # the first step runs in the context of the task that opens the connection
        link: int = 0 if self.server_side else LINK.get()
        self._loopdiag_link = link
        if link:
            words[link + TLS_START] = now() >> TICK_SHIFT & MASK
        return link

    def do_handshake(self: Any, *args: Any, **kwargs: Any) -> Any:
        link, cpu = self._loopdiag_link, 0
        try:
            if link < 0:
                link = begin(self)
            cpu = cpu_ns() if link else 0
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            link = 0
            give_up(error)
        if not link:
            return handshake(self, *args, **kwargs)
        try:
            result = handshake(self, *args, **kwargs)
            words[link + TLS_END] = now() >> TICK_SHIFT & MASK
            return result
        finally:
            words[link + TLS_CPU] = words[link + TLS_CPU] + cpu_ns() - cpu & MASK
            words[link + TLS_STEPS] += 1

    return do_handshake


def timed_record(words: Any, before: Method, calls: "list[int]", give_up: "Callable[[Exception], None]") -> Method:
    """For ``read`` and ``write``."""
    cpu_ns = time.thread_time_ns

    def record(self: Any, *args: Any) -> Any:
        link = self._loopdiag_link
        if link <= 0:
            return before(self, *args)
        cpu = cpu_ns()
        try:
            return before(self, *args)
        finally:
            try:
                words[link + RECORD_CPU] = min(words[link + RECORD_CPU] + cpu_ns() - cpu, MASK)
                calls[0] += 1
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                give_up(error)

    record.__name__, record.__qualname__, record.__doc__ = before.__name__, before.__qualname__, before.__doc__
    return record


def _cost() -> float:
    """Nanoseconds a read or write."""

    class Link:
        _loopdiag_link = 1

    def before(self: Any) -> None:
        pass

    own = Link()
    timed = timed_record([0] * 64, before, [0], ignore)
    return each_ns(lambda: timed(own)) - each_ns(lambda: before(own))
