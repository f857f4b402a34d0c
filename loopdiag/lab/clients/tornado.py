"""tornado: its simple_httpclient, on the asyncio loop that tornado stands on.  It keeps no connections: each request opens one."""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from loopdiag.errors import Unavailable
from loopdiag.lab.clients import REFUSALS, Answer, ClientOptions, pause_s, tls_context
from loopdiag.model.scenario import Pool

if TYPE_CHECKING:
    from tornado.simple_httpclient import SimpleAsyncHTTPClient

REDIRECTS = 20  # as httpx; tornado's own default is 5
#: methods whose requests have a body, if only an empty one, as tornado sees it
BODIES = frozenset({"POST", "PUT"})


class TornadoClient:
    """tornado.httpclient.AsyncHTTPClient, of which each trial has one of its own."""

    kinds: Mapping[str, str] = MappingProxyType(
        {"HTTPTimeoutError": "timeout", "HTTPStreamClosedError": "reset", "StreamClosedError": "reset"}
    )

    unseen = "nothing sees into tornado: only when a request was created and when it was done"

    def __init__(self) -> None:
        self._client: SimpleAsyncHTTPClient | None = None
        self._method = "GET"

    @staticmethod
    def available() -> str | None:
        """Return None, or that the optional part is not installed."""
        return None if find_spec("tornado") else 'tornado is not installed; pip install "loopdiag[clients]"'

    @staticmethod
    def versions() -> dict[str, str]:
        """Return tornado's version."""
        return {"tornado": version("tornado")}

    async def open(self, options: ClientOptions) -> None:
        """Build the client.

        Raises:
            Unavailable: HTTP/2, or anything about idle connections; it has neither.
        """
        if options.http != "1.1":
            raise Unavailable(f"tornado speaks HTTP/1.1 only; the scenario asks for HTTP/{options.http}")
        if options.pool.keepalive or options.pool.keepalive_s:
            raise Unavailable("tornado keeps no connections; pool.keepalive and pool.keepalive_s must be absent or 0 for it")
        from tornado.simple_httpclient import SimpleAsyncHTTPClient

        self._method = options.method
        defaults: dict[str, Any] = {
            "connect_timeout": options.timeout_s,
            "request_timeout": options.timeout_s,
            "max_redirects": REDIRECTS,
            "ssl_options": tls_context(options.ca_file),
        }
        if options.user_agent:
            defaults["user_agent"] = options.user_agent
        self._client = SimpleAsyncHTTPClient(force_instance=True, defaults=defaults, **_limit(options.pool))

    async def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole."""
        assert self._client is not None
        body = b"" if self._method in BODIES else None
        response = await self._client.fetch(url, raise_error=False, method=self._method, body=body)
        if response.code in REFUSALS:
            return Answer(response.code, response.body, pause_s(response.headers.get("Retry-After")))
        return Answer(response.code, response.body)

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()


def _limit(pool: Pool) -> dict[str, int]:
    """Translate the scenario's limits into tornado's only one: requests in flight, each on a connection of its own."""
    bounds = [bound for bound in (pool.limit, pool.limit_per_host) if bound]
    if bounds:
        return {"max_clients": min(bounds)}
    return {} if pool.limit is None else {"max_clients": sys.maxsize}
