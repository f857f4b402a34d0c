"""aiohttp: one ClientSession over one TCPConnector."""

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from loopdiag.errors import Unavailable
from loopdiag.lab.clients import REFUSALS, Answer, ClientOptions, missing, pause_s, tls_context
from loopdiag.model.scenario import Pool

if TYPE_CHECKING:
    import aiohttp

FOREVER_S = 86400.0  # aiohttp knows no keep-alive without an end


class AiohttpClient:
    """aiohttp.ClientSession as its documentation shows it."""

    kinds: Mapping[str, str] = MappingProxyType(
        {
            "ServerDisconnectedError": "reset",
            "ClientPayloadError": "reset",
            "ClientConnectionResetError": "reset",
            "ClientSSLError": "tls",
            "ClientConnectorError": "connect",
        }
    )

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._method = "GET"

    @staticmethod
    def available() -> str | None:
        """Return None, or that aiohttp is not installed."""
        return missing("aiohttp")

    @staticmethod
    def versions() -> dict[str, str]:
        """Return aiohttp's version."""
        return {"aiohttp": version("aiohttp")}

    async def open(self, options: ClientOptions) -> None:
        """Build the session.

        Raises:
            Unavailable: HTTP/2, or a bound on idle connections; aiohttp has neither.
        """
        import aiohttp

        if options.http != "1.1":
            raise Unavailable(f"aiohttp speaks HTTP/1.1 only; the scenario asks for HTTP/{options.http}")
        names: dict[str, Any] = {"resolver": aiohttp.ThreadedResolver(), "use_dns_cache": False} if options.look_ups else {}
        connector = aiohttp.TCPConnector(ssl=tls_context(options.ca_file), **names, **_limits(options.pool))
        self._method = options.method
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=options.timeout_s),
            headers={"User-Agent": options.user_agent} if options.user_agent else None,
            trust_env=False,
        )

    async def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole."""
        assert self._session is not None
        async with self._session.request(self._method, url) as response:
            body = await response.read()
            if response.status in REFUSALS:
                return Answer(response.status, body, pause_s(response.headers.get("Retry-After")))
            return Answer(response.status, body)

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()


def _limits(pool: Pool) -> dict[str, Any]:
    """Translate the scenario's pool into TCPConnector's arguments; what is None stays aiohttp's default."""
    if pool.keepalive:
        raise Unavailable("aiohttp cannot bound its idle connections; pool.keepalive must be absent or 0 for it")
    limits: dict[str, Any] = {}
    if pool.limit is not None:
        limits["limit"] = pool.limit
    if pool.limit_per_host is not None:
        limits["limit_per_host"] = pool.limit_per_host
    if pool.keepalive_s is not None:
        limits["keepalive_timeout"] = pool.keepalive_s or FOREVER_S
    return limits
