"""Names that are looked up once a process, and names that have IPv4 addresses alone: at ``socket.getaddrinfo``, at the loops', and in aiohttp's connectors."""

import socket
import threading
from collections.abc import Callable
from typing import Any

from .knobs import Told
from .patching import original, replace

Method = Callable[..., Any]

CACHED, IPV4 = "cached_dns", "ipv4_only"


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch all of them."""
    names = tuple(name for name in (CACHED, IPV4) if values.get(name))
    if not names:
        return
    knob = _Names(told, names)
    replace(socket, "getaddrinfo", knob.make_blocking)
    told.seam("asyncio.base_events", names, lambda module: replace(original(module, "BaseEventLoop"), "getaddrinfo", knob.make_awaited))
    told.seam("uvloop", names, lambda module: replace(original(module, "Loop"), "getaddrinfo", knob.make_awaited))
    told.seam("aiohttp.connector", names, lambda module: replace(original(module, "TCPConnector"), "__init__", knob.make_connector))


class _Names:
    """What is known already."""

    def __init__(self, told: Told, names: "tuple[str, ...]") -> None:
        self._told, self._names = told, names
        self._known: dict[Any, list[Any]] = {}
        self._locks: dict[Any, Any] = {}
        self._asked: dict[Any, Any] = {}  # loop and question → who waits for the answer
        self._hosts: Any = None

    def make_blocking(self, before: Method) -> Method:
        """For ``socket.getaddrinfo``."""

        def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002, PLR0913, PLR0917 - as there
            question = (host, port, family, type, proto, flags)
            if CACHED not in self._names:
                return self._ask(before, question)
            with self._locks.setdefault(question, threading.Lock()):
                if question in self._known:
                    self._told.acted(CACHED)
                else:
                    self._known[question] = self._ask(before, question)
                return list(self._known[question])

        return getaddrinfo

    def _ask(self, before: Method, question: "tuple[Any, ...]") -> "list[Any]":
        host, port, family, *rest = question
        if IPV4 in self._names and not family:
            try:
                found: list[Any] = before(host, port, socket.AF_INET, *rest)
            except OSError:
                pass  # it has no such address
            else:
                self._told.acted(IPV4)
                return found
        answer: list[Any] = before(host, port, family, *rest)
        return answer

    def make_awaited(self, before: Method) -> Method:
        """For a loop's ``getaddrinfo``."""

        async def asked(self_: Any, host: Any, port: Any, family: int, kwargs: "dict[str, Any]") -> Any:
            if IPV4 in self._names and not family:
                try:
                    found = await before(self_, host, port, family=socket.AF_INET, **kwargs)
                except OSError:
                    pass
                else:
                    self._told.acted(IPV4)
                    return found
            return await before(self_, host, port, family=family, **kwargs)

        async def getaddrinfo(self_: Any, host: Any, port: Any, *, family: int = 0, **kwargs: Any) -> Any:
            if CACHED not in self._names:
                return await asked(self_, host, port, family, kwargs)
            question = ("loop", host, port, family, *sorted(kwargs.items()))
            waiting = self._asked.get((id(self_), question))
            if waiting is not None:
                await waiting.wait()
            if question in self._known:
                self._told.acted(CACHED)
                return list(self._known[question])
            import asyncio

            self._asked[id(self_), question] = answered = asyncio.Event()
            try:
                self._known[question] = await asked(self_, host, port, family, kwargs)
            finally:
                self._asked.pop((id(self_), question), None)
                answered.set()
            return list(self._known[question])

        return getaddrinfo

    def make_connector(self, before: Method) -> Method:
        """For aiohttp's ``TCPConnector``: its cache for ever, and shared by all connectors."""

        def __init__(self_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            if IPV4 in self._names:
                kwargs["family"] = socket.AF_INET
                self._told.acted(IPV4)
            if CACHED in self._names:
                kwargs["use_dns_cache"], kwargs["ttl_dns_cache"] = True, None
                self._told.acted(CACHED)
            before(self_, *args, **kwargs)
            if CACHED in self._names:
                self._hosts = getattr(self_, "_cached_hosts", None) if self._hosts is None else self._hosts
                self_._cached_hosts = self._hosts

        return __init__
