"""``urllib.request``: what is opened, with all its redirects, is one request, and each of its connections ends with its answer."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .blocking_requests import shared
from .context import A, Rows
from .http_client import LIBRARY
from .patching import original, replace

CONNECTION = A["connection"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch ``OpenerDirector.open`` and ``AbstractHTTPHandler.do_open``.

    Raises:
        Missing: a name is not there.
    """
    words, row_words = rows.attempts.words, rows.connections.row_words

    def make_open(before: Method) -> Method:
        def do_open(self: Any, *args: Any, **kwargs: Any) -> Any:
            response = before(self, *args, **kwargs)
            row = getattr(response, "_loopdiag_row", 0)
            if row:  # its socket was closed without its connection's knowing
                response._loopdiag_link = words[row + CONNECTION] * row_words
            return response

        return do_open

    handler = original(module, "AbstractHTTPHandler")
    original(handler, "do_open")
    replace(original(module, "OpenerDirector"), "open", shared(rows).entered(LIBRARY))
    replace(handler, "do_open", make_open)
