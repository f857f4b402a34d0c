"""What every client of the ladder needs before and after a connection: addresses, the bytes of requests, connections that are idle."""

import socket
import sys
from collections import deque
from functools import cache
from importlib.metadata import version
from types import ModuleType
from typing import Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

from loopdiag.lab.clients import ClientOptions
from loopdiag.lab.clients.ladder.replies import BadAnswer
from loopdiag.model.scenario import Pool

Address = tuple[int, tuple[object, ...]]  # family and socket address

KEEPALIVE_S = 15.0  # an idle connection is kept so long by default, as aiohttp keeps it
MOST_HOPS = 10
WITH_BODY = frozenset({"POST", "PUT"})


class Origin(NamedTuple):
    """Where a connection leads."""

    tls: bool
    host: str
    port: int


class Requests:
    """Makes the bytes of requests, all alike but for their addresses."""

    def __init__(self, client: str, options: ClientOptions) -> None:
        """`client` names itself in each request unless the options say who asks."""
        agent = options.user_agent or f"loopdiag-{client}/{version('loopdiag')}"
        empty = "Content-Length: 0\r\n" if options.method in WITH_BODY else ""
        self._method = options.method
        self._fields = f"Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: {agent}\r\n{empty}\r\n"

    def to(self, url: str) -> tuple[Origin, bytes]:
        """Where the request for `url` goes, and its bytes."""
        base, slash, rest = url.partition("://")[2].partition("/")
        origin = origin_of(url[: len(url) - len(slash) - len(rest)])
        return origin, f"{self._method} /{rest} HTTP/1.1\r\nHost: {base}\r\n{self._fields}".encode("latin-1")


@cache
def origin_of(address: str) -> Origin:
    """Split scheme, host and port: ``https://localhost:8443``.

    Raises:
        BadAnswer: a redirect led to what is no such address.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadAnswer(f"no address of HTTP: {address!r}")
    tls = parts.scheme == "https"
    return Origin(tls, parts.hostname, parts.port or (443 if tls else 80))


def address_of(origin: Origin) -> Address | None:
    """Family and address where the host is an address itself, which needs no look-up."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, origin.host)
        except OSError:
            continue
        return family, (origin.host, origin.port)
    return None


def onward(url: str, location: str) -> str:
    """Where the redirect from `url` leads, with a path and without a fragment."""
    parts = urlsplit(urljoin(url, location))
    return parts._replace(path=parts.path or "/", fragment="").geturl()


def stamps() -> ModuleType | None:
    """The marks of the injected instruments; None where there are none."""
    package = sys.modules.get("loopdiag_instruments")
    marks: ModuleType | None = getattr(package, "marks", None)
    return marks


class Link(Protocol):
    """A connection, as far as leases know it."""

    idle_since: float

    @property
    def open(self) -> bool:
        """Whether a request may still be sent over it."""

    def abort(self) -> None:
        """Close it at once."""


L = TypeVar("L", bound=Link)


class Idle(Generic[L]):
    """Connections that nobody uses, by origin, the one used last first."""

    def __init__(self, pool: Pool) -> None:
        self._most = pool.keepalive
        self._keep_s = KEEPALIVE_S if pool.keepalive_s is None else pool.keepalive_s or float("inf")
        self._kept: dict[Origin, deque[L]] = {}
        self._count = 0

    def take(self, origin: Origin, now: float) -> L | None:
        """One that is still open; `now` in seconds."""
        kept = self._kept.get(origin)
        while kept:
            link = kept.pop()
            self._count -= 1
            if link.open and now - link.idle_since < self._keep_s:
                return link
            link.abort()
        return None

    def keep(self, origin: Origin, link: L, now: float) -> None:
        """Keep it for the next request, unless there are enough."""
        if self._most and self._count >= self._most:
            link.abort()
            return
        link.idle_since = now
        self._kept.setdefault(origin, deque()).append(link)
        self._count += 1

    def close(self) -> None:
        """Close all."""
        for kept in self._kept.values():
            for link in kept:
                link.abort()
        self._kept.clear()
