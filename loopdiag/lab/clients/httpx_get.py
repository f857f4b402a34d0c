"""httpx without a client: one ``httpx.get`` a request, as beginners write it.

Each call makes a client of its own: it parses the whole bundle of authorities anew, opens a connection and closes it.
"""

import tempfile
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from loopdiag.errors import Unavailable
from loopdiag.lab.clients import Answer, ClientOptions
from loopdiag.lab.clients.httpx import HttpxClient
from loopdiag.lab.clients.httpx_sync import BLOCKING, answer_of


class HttpxGet:
    """``httpx.get(url)``."""

    kinds = HttpxClient.kinds
    loops = BLOCKING
    available = staticmethod(HttpxClient.available)
    versions = staticmethod(HttpxClient.versions)

    def __init__(self) -> None:
        self._httpx: ModuleType | None = None
        self._method = "GET"
        self._bundle: IO[bytes] | None = None
        self._arguments: dict[str, Any] = {}

    def open(self, options: ClientOptions) -> None:
        """Set the arguments of the calls.

        Raises:
            Unavailable: HTTP/2, or anything about the pool: there is no client that could keep either.
        """
        if options.http != "1.1":
            raise Unavailable(f"httpx.get speaks HTTP/1.1 only; the scenario asks for HTTP/{options.http}")
        if any(getattr(options.pool, name) for name in options.pool.__struct_fields__):
            raise Unavailable("httpx.get has no pool: each call opens a connection and closes it; every pool.* must be absent or 0 for it")
        self._httpx, self._method = HttpxClient.library(), options.method
        self._arguments = {"timeout": options.timeout_s, "follow_redirects": True, "trust_env": False}
        if options.user_agent:
            self._arguments["headers"] = {"User-Agent": options.user_agent}
        if options.ca_file is not None:
            self._bundle = _bundle(Path(options.ca_file))
            self._arguments["verify"] = f"/proc/self/fd/{self._bundle.fileno()}"

    def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole."""
        assert self._httpx is not None
        return answer_of(self._httpx.request(self._method, url, **self._arguments))

    def close(self) -> None:
        """Remove the bundle."""
        if self._bundle is not None:
            self._bundle.close()


def _bundle(ca_file: Path) -> IO[bytes]:
    """A file with the usual authorities, which each call parses, and the target's own, which alone could not be compared with what a user's call does.

    It has no name, so that nothing is left of it, however the process ends.
    """
    import certifi  # httpx's own choice

    file = tempfile.TemporaryFile("wb")  # noqa: SIM115 - the calls open it again and again
    file.write(Path(certifi.where()).read_bytes() + b"\n" + ca_file.read_bytes())
    file.flush()
    return file
