"""A known time added at a seam, to see how much of it reaches the total: where requests enter their client, where connections are made, or at a line or function of the program."""

import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from .knobs import Told, stands_at
from .patching import original, replace

Method = Callable[..., Any]

KNOB = "delay"
_pause = time.sleep  # whatever becomes of it
_inside = threading.local()


def install(told: Told, values: "dict[str, Any]") -> None:
    """Put the delay in."""
    asked = values[KNOB]
    seconds, place = asked.get("ms", 0.0) / 1000, asked.get("place")
    seam = asked.get("seam", "request")
    if seam in {"blocking_call", "function"}:
        if not place:
            told.cannot(KNOB, "no place is given")
        else:
            _at_place(told, seconds, place)
        return
    awaited, blocking = SEAMS[seam]
    for module, owner, name in awaited:
        told.seam(module, (KNOB,), lambda found, owner=owner, name=name: _awaited(told, original(found, owner), name, seconds))  # type: ignore[misc] # mypy cannot type a lambda's defaults
    for module, owner, name in blocking:
        told.seam(module, (KNOB,), lambda found, owner=owner, name=name: _blocking(told, original(found, owner), name, seconds))  # type: ignore[misc] # the same


#: seam → coroutine functions, and functions that block: (module, class, method), the outermost of a library first
SEAMS: "dict[str, tuple[tuple[tuple[str, str, str], ...], tuple[tuple[str, str, str], ...]]]" = {
    "request": (
        (
            ("aiohttp.client", "ClientSession", "_request"),
            ("httpx._client", "AsyncClient", "send"),
            ("httpx2._client", "AsyncClient", "send"),
        ),
        (
            ("httpx._client", "Client", "send"),
            ("httpx2._client", "Client", "send"),
            ("requests.sessions", "Session", "request"),
            ("urllib3.connectionpool", "HTTPConnectionPool", "urlopen"),
            ("http.client", "HTTPConnection", "request"),
        ),
    ),
    "connect": (
        (
            ("aiohttp.connector", "TCPConnector", "_create_connection"),
            ("httpcore._async.connection", "AsyncHTTPConnection", "_connect"),
            ("httpcore2._async.connection", "AsyncHTTPConnection", "_connect"),
        ),
        (
            ("httpcore._sync.connection", "HTTPConnection", "_connect"),
            ("httpcore2._sync.connection", "HTTPConnection", "_connect"),
            ("http.client", "HTTPConnection", "connect"),
            ("urllib3.connection", "HTTPConnection", "connect"),
            ("urllib3.connection", "HTTPSConnection", "connect"),
        ),
    ),
}


def _awaited(told: Told, owner: Any, name: str, seconds: float) -> None:
    def make(before: Method) -> Method:
        async def delayed(self: Any, *args: Any, **kwargs: Any) -> Any:
            from asyncio import get_running_loop

            loop = get_running_loop()
            told.acted(KNOB)
            passed = loop.create_future()
            loop.call_later(seconds, _pass, passed)
            await passed  # not asyncio's sleep, which the program's own instruments count
            return await before(self, *args, **kwargs)

        return delayed

    replace(owner, name, make)


def _pass(passed: Any) -> None:
    if not passed.done():
        passed.set_result(None)


def _blocking(told: Told, owner: Any, name: str, seconds: float) -> None:
    def make(before: Method) -> Method:
        def delayed(self: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(_inside, "delayed", False):  # one library's entry calls another's
                return before(self, *args, **kwargs)
            _inside.delayed = True
            try:
                told.acted(KNOB)
                _pause(seconds)
                return before(self, *args, **kwargs)
            finally:
                _inside.delayed = False

        return delayed

    replace(owner, name, make)


def _at_place(told: Told, seconds: float, place: str) -> None:
    """Wait each time that a line, or a function, of the program begins."""
    where = place.rpartition(":")[2]
    by_line = where.isdigit()

    def passes() -> None:
        told.acted(KNOB)
        _pause(seconds)

    if sys.version_info >= (3, 12):
        _monitored(place, passes, by_line=by_line)
    else:
        _traced(place, passes, by_line=by_line)


def _traced(place: str, passes: "Callable[[], None]", *, by_line: bool) -> None:
    """By tracing, which slows every call: a dose of 0 ms does so, too, and is what others are compared with."""
    file = place.rpartition(":")[0]

    def line(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and stands_at(frame, place):
            passes()
        return line

    def call(frame: FrameType, _event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(file):
            return None
        if by_line:
            return line
        if stands_at(frame, place):
            passes()
        return None

    threading.settrace(call)
    sys.settrace(call)


def _monitored(place: str, passes: "Callable[[], None]", *, by_line: bool) -> None:
    """By ``sys.monitoring``, which is told to leave all other code alone."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore] # since Python 3.12
    file, _, where = place.rpartition(":")
    tool = next(number for number in (4, 3, 5) if monitoring.get_tool(number) is None)
    event = monitoring.events.LINE if by_line else monitoring.events.PY_START

    def reached(code: CodeType, at: int) -> Any:
        here = str(at) if by_line else code.co_name
        if here != where or not code.co_filename.endswith(file):
            return monitoring.DISABLE
        passes()
        return None

    monitoring.use_tool_id(tool, "loopdiag")
    monitoring.register_callback(tool, event, reached)
    monitoring.set_events(tool, event)
