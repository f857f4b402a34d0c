"""Name look-ups by any route that ends in the loop's ``getaddrinfo``, charged to the connection that asked.

uvloop's ``sock_connect`` looks up the address that it is given, numeric as it is, in libuv's few threads.  That asks no name server, and is no part of
the TCP connect: it is stamped apart, and the connect begins where it ended.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import LINK, C, Rows
from .patching import replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

DNS_START, DNS_END = C["dns_start"], C["dns_end"]
LOOKUP_START, LOOKUP_END, TCP_START, TCP_END = C["lookup_start"], C["lookup_end"], C["tcp_start"], C["tcp_end"]


def watch(rows: Rows, loop_class: Any) -> None:
    """Stamp the look-ups of `loop_class`."""
    words = rows.connections.words

    def make(before: "Callable[..., Any]") -> "Callable[..., Any]":
        async def getaddrinfo(self: Any, *args: Any, **kwargs: Any) -> Any:
            link = LINK.get()
            if link and not words[link + DNS_START]:
                start, end = DNS_START, DNS_END
            elif link and words[link + TCP_START] and not words[link + TCP_END] and not words[link + LOOKUP_START]:
                start, end = LOOKUP_START, LOOKUP_END  # of an address that is known already, inside the connect
            else:
                return await before(self, *args, **kwargs)
            words[link + start] = now() >> TICK_SHIFT & MASK
            try:
                return await before(self, *args, **kwargs)
            finally:
                at = words[link + end] = now() >> TICK_SHIFT & MASK
                if end == LOOKUP_END:
                    words[link + TCP_START] = at

        return getaddrinfo

    replace(loop_class, "getaddrinfo", make)


def install(rows: Rows, module: ModuleType) -> None:
    """Watch asyncio's own loops; uvloop's is watched by its instrument."""
    watch(rows, module.BaseEventLoop)
