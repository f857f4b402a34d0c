"""Shorter sleeps: asyncio's (AnyIO's end there, too) in the program's own code, and time.sleep on a loop's thread."""

import sys
import time
from collections.abc import Callable
from typing import Any

from .knobs import Told, of_program
from .patching import replace

Method = Callable[..., Any]


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch both as asked for."""
    if (part := values.get("sleep")) is not None:
        told.seam("asyncio.tasks", ("sleep",), lambda module: _tasks(told, module, part))
        told.seam("asyncio", ("sleep",), lambda module: setattr(module, "sleep", module.tasks.sleep))
    if (blocking := values.get("blocking_sleep")) is not None:
        replace(time, "sleep", lambda before: _blocking(told, before, blocking))


def _tasks(told: Told, module: Any, part: float) -> None:
    def make(before: Method) -> Method:
        def sleep(delay: Any, result: Any = None, **kwargs: Any) -> Any:
            if delay > 0 and of_program():
                told.acted("sleep")
                delay *= part
            return before(delay, result, **kwargs)

        _as_coroutine_function(sleep)
        return sleep

    replace(module, "sleep", make)


def _blocking(told: Told, before: Method, part: float) -> Method:
    def sleep(seconds: Any, /) -> None:
        events = sys.modules.get("asyncio.events")  # where no loop runs, it may never be imported
        if seconds > 0 and events is not None and events._get_running_loop() is not None:
            told.acted("blocking_sleep")
            seconds *= part
        before(seconds)

    return sleep


def _as_coroutine_function(function: Any) -> None:
    """For whoever asks what it is before calling it."""
    if sys.version_info >= (3, 12):
        import inspect

        inspect.markcoroutinefunction(function)
    else:
        function._is_coroutine = getattr(sys.modules["asyncio.coroutines"], "_is_coroutine", None)
