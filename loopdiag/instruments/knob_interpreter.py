"""The interpreter's garbage collector and its lock's interval, and a quicker JSON decoder."""

import gc
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .knobs import Told
from .patching import original, replace

Method = Callable[..., Any]

NEVER = 1 << 30
#: library, and its function, that decodes JSON
DECODERS = (("orjson", "loads"), ("msgspec.json", "decode"), ("ujson", "loads"))


def install(told: Told, values: "dict[str, Any]") -> None:
    """Turn what is asked for."""
    if values.get("gc_frozen"):
        _frozen(told)
    if (interval := values.get("switch_interval_ms")) is not None:
        sys.setswitchinterval(interval / 1000)
        sys.setswitchinterval = lambda _: None  # what the program sets is not wanted
        told.acted("switch_interval_ms")
    if values.get("fast_json"):
        _decoder(told)


def _frozen(told: Told) -> None:
    """Freeze what is there when a loop is made, and never collect the oldest generation, whoever asks for it."""
    set_threshold, collect = gc.set_threshold, gc.collect

    def young(generation: int = 2) -> int:
        return collect(min(generation, 1))

    set_threshold(*gc.get_threshold()[:2], NEVER)
    gc.set_threshold = lambda *_: None  # what the program sets is not wanted
    gc.collect = young  # the same, of the young alone

    def watch(loop: Any) -> None:
        def make(before: Method) -> Method:
            def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
                collect()
                gc.freeze()
                told.acted("gc_frozen")
                before(self, *args, **kwargs)

            return __init__

        replace(loop, "__init__", make)

    told.seam("asyncio.base_events", ("gc_frozen",), lambda module: watch(original(module, "BaseEventLoop")))
    told.seam("uvloop", ("gc_frozen",), lambda module: watch(original(module, "Loop")))


def _decoder(told: Told) -> None:
    for library, name in DECODERS:
        try:
            quick: Method = getattr(import_module(library), name)
        except Exception:  # noqa: BLE001, S112 - it is not there, or does not work here: the next
            continue
        told.seam("json", ("fast_json",), lambda module, quick=quick: _json(told, module, quick))  # type: ignore[misc] # mypy cannot type a lambda's default
        return
    told.cannot("fast_json", "there is no orjson, msgspec or ujson in the program's environment")


def _json(told: Told, module: Any, quick: Method) -> None:
    def make(before: Method) -> Method:
        def loads(s: Any, *args: Any, **kwargs: Any) -> Any:
            if args or kwargs:
                return before(s, *args, **kwargs)
            try:
                made = quick(s)
            except Exception:  # noqa: BLE001 - the standard decoder takes more, or says what is wrong
                return before(s)
            told.acted("fast_json")
            return made

        return loads

    replace(module, "loads", make)
