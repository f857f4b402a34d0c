"""httpx: one AsyncClient."""

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType, ModuleType
from typing import Any

from loopdiag.errors import Unavailable
from loopdiag.lab.clients import ASYNCIO, REFUSALS, Answer, ClientOptions, missing, pause_s, tls_context
from loopdiag.model.scenario import Pool

#: httpx's documented defaults; ``httpx.Limits()`` itself has none
DEFAULT_LIMIT, DEFAULT_KEEPALIVE, DEFAULT_KEEPALIVE_S = 100, 20, 5.0


class HttpxClient:
    """httpx.AsyncClient as its documentation shows it; follows redirects, as the other clients do by themselves."""

    kinds: Mapping[str, str] = MappingProxyType(
        {
            "TimeoutException": "timeout",
            "ConnectError": "connect",
            "ReadError": "reset",
            "WriteError": "reset",
            "CloseError": "reset",
            "RemoteProtocolError": "reset",
        }
    )

    loops = ASYNCIO | {"trio"}

    def __init__(self) -> None:
        self._client: Any = None  # an AsyncClient of `library`
        self._method = "GET"

    @staticmethod
    def library() -> ModuleType:
        """Return httpx, imported."""
        import httpx

        return httpx

    @staticmethod
    def available() -> str | None:
        """Return None, or that httpx is not installed."""
        return missing("httpx")

    @staticmethod
    def versions() -> dict[str, str]:
        """Return the versions of httpx and of the pool below it."""
        return {"httpx": version("httpx"), "httpcore": version("httpcore")}

    async def open(self, options: ClientOptions) -> None:
        """Build the client.

        Raises:
            Unavailable: HTTP/2 without its optional package.
        """
        library = self.library()
        self._method = options.method
        self._client = library.AsyncClient(**arguments(library, options))

    async def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole."""
        assert self._client is not None
        response = await self._client.request(self._method, url)
        if response.status_code in REFUSALS:
            return Answer(response.status_code, response.content, pause_s(response.headers.get("retry-after")))
        return Answer(response.status_code, response.content)

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()


def arguments(library: ModuleType, options: ClientOptions) -> dict[str, Any]:
    """What a client of `library` is made with, whether it blocks or not.

    Raises:
        Unavailable: HTTP/2 without its optional package.
    """
    if options.http == "2" and (why := missing("h2")):
        raise Unavailable(f"{library.__name__} needs h2 for HTTP/2: {why}")
    chosen: dict[str, Any] = {}
    if options.pool != Pool():
        chosen["limits"] = library.Limits(**_limits(options.pool))
    if options.user_agent:
        chosen["headers"] = {"User-Agent": options.user_agent}
    return {
        "http2": options.http == "2",
        "verify": tls_context(options.ca_file),
        "timeout": options.timeout_s,
        "follow_redirects": True,
        "trust_env": False,
        **chosen,
    }


def _limits(pool: Pool) -> dict[str, float | None]:
    """Translate the scenario's pool into the arguments of ``Limits``; a limit per host is a limit, because a scenario has one host."""
    limit = DEFAULT_LIMIT if pool.limit is None else pool.limit
    bounds = [bound for bound in (limit, pool.limit_per_host) if bound]
    return {
        "max_connections": min(bounds) if bounds else None,
        "max_keepalive_connections": DEFAULT_KEEPALIVE if pool.keepalive is None else pool.keepalive or None,
        "keepalive_expiry": DEFAULT_KEEPALIVE_S if pool.keepalive_s is None else pool.keepalive_s or None,
    }
