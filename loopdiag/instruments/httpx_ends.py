"""httpx: where a request enters its client, and the errors that it ends with outside of httpcore's pool.

Seams: ``AsyncClient._set_timeout``, which ``send`` calls once, first of all, in the request's own task; and the constructor of ``RequestError``, the base of
everything that a request is ended with, but a cancellation.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import A, Rows, current
from .patching import original, replace

BODY = A["body"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch the two."""
    client, words = original(module, "AsyncClient"), rows.attempts.words
    if "_loopdiag_entered" in vars(client):  # the same library under two names
        return
    client._loopdiag_entered = True
    library = module.__name__

    def make_enter(before: Method) -> Method:
        def _set_timeout(self: Any, request: Any) -> Any:
            rows.begin_request(library)
            return before(self, request)

        return _set_timeout

    def make_error(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, *args, **kwargs)
            row = current()
            if row and not words[row + BODY]:
                rows.fail(row, self)

        return __init__

    replace(client, "_set_timeout", make_enter)
    replace(original(module, "RequestError"), "__init__", make_error)
