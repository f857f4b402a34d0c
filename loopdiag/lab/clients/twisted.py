"""twisted: an Agent over its HTTPConnectionPool, on its own reactor."""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from loopdiag.errors import Unavailable
from loopdiag.lab.clients import REFUSALS, Answer, ClientOptions, pause_s
from loopdiag.model.scenario import Pool

FOREVER_S = 86400.0
REDIRECTS = 20  # as httpx, and twisted's own default
PARTS = ("twisted", "OpenSSL", "service_identity")  # what ``twisted[tls]`` installs


class TwistedClient:
    """twisted.web.client.Agent as its documentation shows it, with redirects and gzip."""

    kinds: Mapping[str, str] = MappingProxyType(
        {
            "TimeoutError": "timeout",  # two classes of twisted's, neither of them Python's
            "Error": "tls",  # OpenSSL.SSL's
            "ConnectError": "connect",
            "DNSLookupError": "connect",
            "ConnectionLost": "reset",
            "ConnectionDone": "reset",
            "PartialDownloadError": "reset",
        }
    )
    loops = frozenset({"twisted"})

    unseen = "nothing sees into twisted: only when a request was created and when it was done"

    def __init__(self) -> None:
        self._agent: Any = None
        self._pool: Any = None
        self._reactor: Any = None
        self._method = b"GET"
        self._timeout_s = 0.0
        self._headers: dict[bytes, list[bytes]] = {}

    @staticmethod
    def available() -> str | None:
        """Return None, or which optional part is not installed."""
        absent = next((part for part in PARTS if not find_spec(part)), None)
        return f'{absent} is not installed; pip install "loopdiag[clients]"' if absent else None

    @staticmethod
    def versions() -> dict[str, str]:
        """Return the versions of twisted and of what it does TLS with."""
        return {"twisted": version("twisted"), "pyopenssl": version("pyopenssl")}

    async def open(self, options: ClientOptions) -> None:
        """Build the agent; the reactor runs.

        Raises:
            Unavailable: HTTP/2, or a limit of connections; it has neither.
        """
        if options.http != "1.1":
            raise Unavailable(f"twisted speaks HTTP/1.1 only; the scenario asks for HTTP/{options.http}")
        if options.pool.limit or options.pool.limit_per_host:
            raise Unavailable("twisted's pool bounds idle connections only; pool.limit and pool.limit_per_host must be absent or 0 for it")
        from twisted.internet import reactor
        from twisted.web import client

        web: Any = client  # typed in part only
        self._method, self._timeout_s, self._reactor = options.method.encode(), options.timeout_s, reactor
        self._headers = {b"User-Agent": [options.user_agent.encode()]} if options.user_agent else {}
        self._pool = _pool(reactor, options.pool)
        agent = web.Agent(reactor, _policy(options.ca_file), connectTimeout=options.timeout_s, pool=self._pool)
        self._agent = web.ContentDecoderAgent(web.BrowserLikeRedirectAgent(agent, REDIRECTS), [(b"gzip", web.GzipDecoder)])

    async def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole."""
        from twisted.internet.defer import CancelledError, Deferred
        from twisted.web.client import ResponseFailed

        try:
            code, body, after = await Deferred.fromCoroutine(self._fetch(url)).addTimeout(self._timeout_s, self._reactor)
        except ResponseFailed as error:
            reason = error.reasons[0].value
            if isinstance(reason, CancelledError):  # how the time-out ends what waits
                raise TimeoutError(f"no answer within {self._timeout_s:g} s") from error
            raise reason from error  # what broke it, which the wrapping does not name
        return Answer(code, body, pause_s(after) if code in REFUSALS else 0.0)

    async def _fetch(self, url: str) -> tuple[int, bytes, str | None]:
        from twisted.web.client import readBody
        from twisted.web.http_headers import Headers

        response = await self._agent.request(self._method, url.encode(), Headers(self._headers))
        body = await readBody(response) if response.length else b""
        after = response.headers.getRawHeaders("retry-after", [None])[0]
        return response.code, body, after

    async def close(self) -> None:
        """Close the pool's connections."""
        if self._pool is not None:
            await self._pool.closeCachedConnections()


def _pool(reactor: Any, pool: Pool) -> Any:
    """Translate the scenario's pool; what is None stays twisted's default (2 idle connections, for 240 s)."""
    from twisted.web import client

    web: Any = client
    made = web.HTTPConnectionPool(reactor)
    if pool.keepalive is not None:
        made.maxPersistentPerHost = pool.keepalive or sys.maxsize
    if pool.keepalive_s is not None:
        made.cachedConnectionTimeout = pool.keepalive_s or FOREVER_S
    return made


def _policy(ca_file: str | None) -> Any:
    """Whom to trust over TLS: the one authority, or the system's."""
    from twisted.internet import ssl
    from twisted.web import client

    web: Any = client
    tls: Any = ssl
    if ca_file is None:
        return web.BrowserLikePolicyForHTTPS()
    authority = tls.Certificate.loadPEM(Path(ca_file).read_bytes())
    return web.BrowserLikePolicyForHTTPS(tls.trustRootFromCertificates([authority]))
