"""The clients of an arm with an environment of its own, as their libraries' documentation shows them, today's and older ones.

They do what those of `loopdiag.lab.clients` do, with the standard library and that one library alone, on CPython 3.8 and later.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import socket
import ssl
from collections.abc import Iterator
from importlib import import_module
from typing import Any

FOREVER_S = 86400.0  # aiohttp knows no keep-alive without an end
#: httpx's documented defaults; ``httpx.Limits()`` itself has none
LIMIT, KEEPALIVE, KEEPALIVE_S = 100, 20, 5.0


class Httpx:
    """An AsyncClient of httpx, or of its fork, as its documentation shows it; older ones lack some of today's arguments."""

    kinds = {
        "TimeoutException": "timeout",
        "ConnectError": "connect",
        "ReadError": "reset",
        "WriteError": "reset",
        "CloseError": "reset",
        "RemoteProtocolError": "reset",
    }

    def __init__(self, name: str) -> None:
        self._name = name
        self._method = "GET"
        self._client: Any = None

    async def open(self, job: dict[str, Any]) -> None:
        """Import the library and build the client."""
        library = import_module(self._name)
        scenario = job["scenario"]
        arguments: dict[str, Any] = {}
        known = inspect.signature(library.AsyncClient.__init__).parameters
        if "follow_redirects" in known:  # before 0.20 it followed them by itself
            arguments["follow_redirects"] = True
        if any(value is not None for value in scenario["pool"].values()):
            arguments["limits"] = library.Limits(**_limits(scenario["pool"], inspect.signature(library.Limits.__init__).parameters))
        if job.get("user_agent"):
            arguments["headers"] = {"User-Agent": job["user_agent"]}
        self._method = scenario["workload"]["method"]
        self._client = library.AsyncClient(
            http2=scenario["target"]["http"] == "2",
            verify=ssl.create_default_context(cafile=job.get("ca_file")),
            timeout=scenario["workload"]["timeout_s"],
            trust_env=False,
            **arguments,
        )

    async def fetch(self, url: str) -> tuple[int, bytes]:
        """Make one request and read its body whole."""
        response = await self._client.request(self._method, url)
        return response.status_code, response.content

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()


def _limits(pool: dict[str, Any], known: Any) -> dict[str, Any]:
    """The scenario's pool as arguments of ``Limits``; a limit per host is a limit, because a scenario has one host."""
    bounds = [bound for bound in (LIMIT if pool["limit"] is None else pool["limit"], pool["limit_per_host"]) if bound]
    limits = {
        "max_connections": min(bounds) if bounds else None,
        "max_keepalive_connections": KEEPALIVE if pool["keepalive"] is None else pool["keepalive"] or None,
        "keepalive_expiry": KEEPALIVE_S if pool["keepalive_s"] is None else pool["keepalive_s"] or None,
    }
    if pool["keepalive_s"] is None and "keepalive_expiry" not in known:
        del limits["keepalive_expiry"]
    return limits


class Aiohttp:
    """One ClientSession of aiohttp over one TCPConnector."""

    kinds = {
        "ServerDisconnectedError": "reset",
        "ClientPayloadError": "reset",
        "ClientConnectionResetError": "reset",
        "ClientSSLError": "tls",
        "ClientConnectorError": "connect",
    }

    def __init__(self, name: str) -> None:
        self._name = name
        self._method = "GET"
        self._session: Any = None

    async def open(self, job: dict[str, Any]) -> None:
        """Import the library and build the session."""
        library = import_module(self._name)
        scenario = job["scenario"]
        pool = scenario["pool"]
        limits = {name: pool[name] for name in ("limit", "limit_per_host") if pool[name] is not None}
        if pool["keepalive_s"] is not None:
            limits["keepalive_timeout"] = pool["keepalive_s"] or FOREVER_S
        self._method = scenario["workload"]["method"]
        self._session = library.ClientSession(
            connector=library.TCPConnector(ssl=ssl.create_default_context(cafile=job.get("ca_file")), **limits),
            timeout=library.ClientTimeout(total=scenario["workload"]["timeout_s"]),
            headers={"User-Agent": job["user_agent"]} if job.get("user_agent") else None,
            trust_env=False,
        )

    async def fetch(self, url: str) -> tuple[int, bytes]:
        """Make one request and read its body whole."""
        async with self._session.request(self._method, url) as response:
            return response.status, await response.read()

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()


CLASSES: dict[str, Any] = {"aiohttp": Aiohttp, "httpx": Httpx, "httpx2": Httpx}

#: what the operating system or ssl says goes before a library's wrapping; Pythons before 3.11 have time-outs of several kinds
SYSTEM: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((ssl.SSLError, ssl.CertificateError), "tls"),
    ((asyncio.TimeoutError, TimeoutError, socket.timeout), "timeout"),
    ((ConnectionRefusedError, socket.gaierror), "connect"),
    ((ConnectionResetError, BrokenPipeError, ConnectionAbortedError), "reset"),
)


def error_kind(error: BaseException, names: dict[str, str]) -> str:
    """The kind of a failed request, as `loopdiag.lab.clients.error_kind` tells it."""
    chain = list(_chain(error))
    if any(isinstance(link, OSError) and link.errno in (errno.EMFILE, errno.ENFILE) for link in chain):
        return "descriptors"
    for types, kind in SYSTEM:
        if any(isinstance(link, types) for link in chain):
            return kind
    return next((names[base.__name__] for base in type(error).__mro__ if base.__name__ in names), type(error).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it came from, groups included."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        link = rest.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            rest += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]
