"""httpx: what was answered, and where the body is in the program's hands.  Where a request begins and fails: `httpx_ends`."""

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
    """Patch ``Response.__init__`` and ``aread``; as few coroutines as can be."""
    client, response = original(module, "AsyncClient"), original(module, "Response")
    if "_loopdiag_watched" in vars(client):  # the same library under two names: httpx2 may stand in for httpx
        return
    words = rows.attempts.words

    def make_response(before: Method) -> Method:
        def __init__(self: Any, status_code: int, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, status_code, **kwargs)
            row = current()
            if not words[row + STATUS]:  # a program may make responses of its own
                self._loopdiag_row = row
                words[row + STATUS] = status_code

        return __init__

    def make_read(before: Method) -> Method:
        async def aread(self: Any) -> bytes:
            body: bytes = await before(self)
            row = self._loopdiag_row  # not the task's: it may have asked for something else before it reads
            if row and not words[row + BODY]:
                words[row + BODY] = now() >> TICK_SHIFT & MASK
            return body

        return aread

    client._loopdiag_watched = True
    response._loopdiag_row = 0
    replace(response, "__init__", make_response)
    replace(response, "aread", make_read)
