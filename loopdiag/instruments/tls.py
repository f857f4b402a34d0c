"""TLS handshakes, at the one seam that works on every loop: ``SSLContext.sslobject_class``.

asyncio, uvloop and anyio all create their SSL objects through it and drive them with ``do_handshake``; an SSLContext subclass would make
anyio move to a worker thread and change what is measured.
"""

import time
from types import ModuleType
from typing import Any

from .context import LINK, C, Rows
from .patching import original
from .recorder import now
from .schema import MASK, TICK_SHIFT

TLS_START, TLS_END = C["tls_start"], C["tls_end"]
TLS_CPU, TLS_STEPS = C["tls_cpu_ns"], C["tls_steps"]


def install(rows: Rows, module: ModuleType) -> None:
    """Time every client handshake: wall time, CPU time of the loop's thread, steps."""
    context = original(module, "SSLContext")
    base = original(context, "sslobject_class")
    words = rows.connections.words
    thread_time_ns = time.thread_time_ns
    handshake = base.do_handshake

    class TimedSSLObject(base):  # type: ignore[misc,valid-type] # the base is only known at run time
        """An SSLObject that stamps its handshake into the row of its connection."""

        _loopdiag_link = -1

        def do_handshake(self, *args: Any, **kwargs: Any) -> Any:
            link = self._loopdiag_link
            if link < 0:
                # the first step runs in the context of the task that opens the connection
                link = self._loopdiag_link = LINK.get()
                if self.server_side:
                    link = self._loopdiag_link = 0
                if link:
                    words[link + TLS_START] = now() >> TICK_SHIFT & MASK
            if not link:
                return handshake(self, *args, **kwargs)
            cpu = thread_time_ns()
            try:
                result = handshake(self, *args, **kwargs)
                words[link + TLS_END] = now() >> TICK_SHIFT & MASK
                return result
            finally:
                words[link + TLS_CPU] = words[link + TLS_CPU] + thread_time_ns() - cpu & MASK
                words[link + TLS_STEPS] += 1

    TimedSSLObject.__name__, TimedSSLObject.__qualname__ = base.__name__, base.__qualname__
    context.sslobject_class = TimedSSLObject
