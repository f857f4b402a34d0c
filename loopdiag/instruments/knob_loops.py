"""asyncio's debug mode off, and uvloop's loops in the place of asyncio's own."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .knobs import Told
from .patching import original, replace

Method = Callable[..., Any]


def install(told: Told, values: "dict[str, Any]") -> None:
    """Turn what is asked for."""
    if values.get("debug_off"):
        _debug_off(told)
    if values.get("uvloop"):
        _uvloop(told)


def _debug_off(told: Told) -> None:
    if os.environ.get("PYTHONASYNCIODEBUG"):
        os.environ["PYTHONASYNCIODEBUG"] = ""
        told.acted("debug_off")
    told.seam("asyncio.base_events", ("debug_off",), lambda module: _undebugged(told, original(module, "BaseEventLoop")))
    told.seam("uvloop", ("debug_off",), lambda module: _undebugged(told, original(module, "Loop")))


def _undebugged(told: Told, loop: Any) -> None:
    def make(before: Method) -> Method:
        def set_debug(self: Any, enabled: Any) -> Any:
            if enabled:
                told.acted("debug_off")
            return before(self, False)

        return set_debug

    replace(loop, "set_debug", make)


def _uvloop(told: Told) -> None:
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        told.cannot("uvloop", "there is no uvloop in the program's environment")
        return
    except Exception as error:  # noqa: BLE001 - it is there, and does not work
        told.cannot("uvloop", error)
        return

    def new_event_loop(*_: Any) -> Any:
        told.acted("uvloop")
        return uvloop.Loop()

    told.seam("asyncio.unix_events", ("uvloop",), lambda module: _policy(module, new_event_loop))
    told.seam("asyncio.runners", ("uvloop",), lambda module: _runner(module, new_event_loop))


def _policy(module: Any, new_event_loop: Method) -> None:
    policy = getattr(module, "_UnixDefaultEventLoopPolicy", None) or original(module, "DefaultEventLoopPolicy")
    original(policy, "_loop_factory")
    policy._loop_factory = staticmethod(new_event_loop)


def _runner(module: Any, new_event_loop: Method) -> None:
    """A runner that was given a factory of asyncio's own loops, too."""
    runner = getattr(module, "Runner", None)
    if runner is None:  # Python 3.10
        return

    def make(before: Method) -> Method:
        def __init__(self: Any, *, debug: Any = None, loop_factory: Any = None) -> None:  # noqa: N807 - the patched method's own name
            if loop_factory is not None and str(getattr(loop_factory, "__module__", "")).partition(".")[0] == "asyncio":
                loop_factory = new_event_loop
            before(self, debug=debug, loop_factory=loop_factory)

        return __init__

    replace(runner, "__init__", make)
