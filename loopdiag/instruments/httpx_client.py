"""httpx: where a request begins in the program's task, and where its body is in the program's hands."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import A, Rows, current
from .patching import original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

BODY, STATUS = A["body"], A["status"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch ``AsyncClient.send`` and ``_build_redirect_request``, ``Response.__init__`` and ``aread``; as few coroutines as can be."""
    words = rows.attempts.words

    def make_send(before: Method) -> Method:
        def send(self: Any, request: Any, **kwargs: Any) -> Any:
            rows.begin_request()
            return before(self, request, **kwargs)

        return send

    def make_response(before: Method) -> Method:
        def __init__(self: Any, status_code: int, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, status_code, **kwargs)
            words[current() + STATUS] = status_code

        return __init__

    def make_redirect(before: Method) -> Method:
        def _build_redirect_request(self: Any, request: Any, response: Any) -> Any:
            rows.flag(current(), "redirected")
            return before(self, request, response)

        return _build_redirect_request

    def make_read(before: Method) -> Method:
        async def aread(self: Any) -> bytes:
            body: bytes = await before(self)
            row = current()
            if row and not words[row + BODY]:
                words[row + BODY] = now() >> TICK_SHIFT & MASK
            return body

        return aread

    client, response = original(module, "AsyncClient"), original(module, "Response")
    replace(client, "send", make_send)
    replace(client, "_build_redirect_request", make_redirect)
    replace(response, "__init__", make_response)
    replace(response, "aread", make_read)
