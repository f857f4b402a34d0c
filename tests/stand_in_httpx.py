"""A stand-in for httpx, as much of it as a worker uses: one request a connection, on asyncio's streams, from Python 3.8 on.

`AsyncClient` has no `follow_redirects`, and `Limits` no `keepalive_expiry`, as httpx of 2020.
"""

import asyncio
from urllib.parse import urlsplit


class HTTPError(Exception):
    """What went wrong."""


class ConnectError(HTTPError):
    """No connection was made."""


class RemoteProtocolError(HTTPError):
    """The server ended the connection before its answer was whole."""


class ReadTimeout(HTTPError):
    """It took too long."""


class Limits:
    """The pool's bounds."""

    def __init__(self, *, max_connections=None, max_keepalive_connections=None):  # noqa: ANN001, ANN204, ARG002
        self.max_connections = max_connections


class Response:
    """An answer."""

    def __init__(self, status_code, *, content):  # noqa: ANN001, ANN204
        self.status_code, self.content = status_code, content


class AsyncClient:
    """Makes requests."""

    def __init__(self, *, http2, verify, timeout, trust_env, limits=None, headers=None):  # noqa: ANN001, ANN204
        assert (http2, trust_env, headers) == (False, False, None)
        self._context, self._timeout = verify, timeout
        self._free = asyncio.Semaphore(limits.max_connections) if limits is not None else None

    async def request(self, method, url):  # noqa: ANN001, ANN201
        """Make one."""
        if self._free is None:
            return await self._bounded(method, url)
        async with self._free:
            return await self._bounded(method, url)

    async def _bounded(self, method, url):  # noqa: ANN001, ANN202
        try:
            return await asyncio.wait_for(self._request(method, urlsplit(url)), self._timeout)
        except asyncio.TimeoutError as error:
            raise ReadTimeout from error
        except ConnectionRefusedError as error:
            raise ConnectError(str(error)) from error
        except asyncio.IncompleteReadError as error:
            raise RemoteProtocolError(str(error)) from error

    async def _request(self, method, parts):  # noqa: ANN001, ANN202
        secure = {"ssl": self._context, "server_hostname": parts.hostname} if parts.scheme == "https" else {}
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, **secure)
        try:
            writer.write(f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            return Response(int(head[0].split()[1]), content=await reader.readexactly(int(fields["content-length"])))
        finally:
            writer.close()

    async def aclose(self):  # noqa: ANN201
        """Close it."""
