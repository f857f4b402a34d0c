"""httpx: where a request begins in the program's task, and where its body is in the program's hands."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import DONE, A, Rows, current
from .patching import original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

BODY, HEADERS, STATUS = A["body"], A["headers"], A["status"]

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch ``AsyncClient.send`` and ``Response.aread``."""
    words = rows.attempts.words

    def make_send(before: Method) -> Method:
        async def send(self: Any, request: Any, **kwargs: Any) -> Any:
            rows.begin_request()
            try:
                response = await before(self, request, **kwargs)
            except BaseException as error:
                row = current()
                rows.flag(row, "cancelled" if type(error).__name__ == "CancelledError" else "error")
                words[row + DONE] = now() >> TICK_SHIFT & MASK
                raise
            row = current()
            words[row + STATUS] = response.status_code
            rows.end_attempts(row)
            if response.history:
                rows.flag(row, "redirected")
            return response

        return send

    def make_read(before: Method) -> Method:
        async def aread(self: Any) -> bytes:
            body: bytes = await before(self)
            row = current()
            if row and not words[row + BODY]:
                words[row + BODY] = now() >> TICK_SHIFT & MASK
            return body

        return aread

    replace(original(module, "AsyncClient"), "send", make_send)
    replace(original(module, "Response"), "aread", make_read)
