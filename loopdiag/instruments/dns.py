"""Name look-ups by any route that ends in the loop's ``getaddrinfo``, charged to the connection that asked."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import LINK, C, Rows
from .patching import replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

DNS_START, DNS_END = C["dns_start"], C["dns_end"]


def watch(rows: Rows, loop_class: Any) -> None:
    """Stamp the look-ups of `loop_class`."""
    words = rows.connections.words

    def make(before: "Callable[..., Any]") -> "Callable[..., Any]":
        async def getaddrinfo(self: Any, *args: Any, **kwargs: Any) -> Any:
            link = LINK.get()
            if not link or words[link + DNS_START]:
                return await before(self, *args, **kwargs)
            words[link + DNS_START] = now() >> TICK_SHIFT & MASK
            try:
                return await before(self, *args, **kwargs)
            finally:
                words[link + DNS_END] = now() >> TICK_SHIFT & MASK

        return getaddrinfo

    replace(loop_class, "getaddrinfo", make)


def install(rows: Rows, module: ModuleType) -> None:
    """Watch asyncio's own loops; uvloop's is watched by its instrument."""
    watch(rows, module.BaseEventLoop)
