"""httpx, blocking: one Client, which any number of threads share."""

from typing import Any

from loopdiag.lab.clients import REFUSALS, Answer, ClientOptions, pause_s
from loopdiag.lab.clients.httpx import HttpxClient, arguments

BLOCKING = frozenset({"sync", "threads", "processes"})


class HttpxSyncClient:
    """httpx.Client as its documentation shows it, made as the asynchronous one."""

    kinds = HttpxClient.kinds
    loops = BLOCKING
    available = staticmethod(HttpxClient.available)
    versions = staticmethod(HttpxClient.versions)

    def __init__(self) -> None:
        self._client: Any = None
        self._method = "GET"

    def open(self, options: ClientOptions) -> None:
        """Build the client.

        Raises:
            Unavailable: HTTP/2 without its optional package.
        """
        library = HttpxClient.library()
        self._method = options.method
        self._client = library.Client(**arguments(library, options))

    def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole."""
        return answer_of(self._client.request(self._method, url))

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()


def answer_of(response: Any) -> Answer:
    """A response of httpx's as an `Answer`."""
    if response.status_code in REFUSALS:
        return Answer(response.status_code, response.content, pause_s(response.headers.get("retry-after")))
    return Answer(response.status_code, response.content)
