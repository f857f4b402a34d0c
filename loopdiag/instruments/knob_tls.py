"""One TLS context a process for all who make one alike at the same place: their certificates are loaded once.

Verification is as the program has it.  A context that the program has weakened since it was made is never handed out again.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from .knobs import BETWEEN, CLIENTS, Told, root
from .patching import original, replace

Method = Callable[..., Any]

KNOB = "shared_tls"


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch the makers of contexts, and the loading of what is loaded already."""
    if not values.get(KNOB):
        return
    shared = _Shared(told)
    told.seam("ssl", (KNOB,), lambda module: replace(module, "create_default_context", shared.make_maker))
    told.seam("urllib3.util.ssl_", (KNOB,), lambda module: replace(module, "create_urllib3_context", shared.make_maker))
    told.seam("ssl", (KNOB,), lambda module: replace(original(module, "SSLContext"), "load_verify_locations", shared.make_loader))


class _Shared:
    """The contexts that there are."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._contexts: dict[Any, tuple[Any, Any]] = {}  # how and where it was made → the context, and how it verifies
        self._loaded: dict[int, set[Any]] = {}  # shared context → what was loaded into it; they live as long as the process

    def make_maker(self, before: Method) -> Method:
        """For a function that makes a context."""

        def make(*args: Any, **kwargs: Any) -> Any:
            try:
                key = (before, args, tuple(sorted(kwargs.items())), _way())
                known = self._contexts.get(key)
            except TypeError:  # something that has no hash
                return before(*args, **kwargs)
            if known is not None and _verifies(known[0]) == known[1]:
                self._told.acted(KNOB)
                return known[0]
            context = before(*args, **kwargs)
            if known is not None:
                self._told.cannot(KNOB, "the program changes how its contexts verify, so that each is its own")
                return context
            self._contexts[key] = context, _verifies(context)
            self._loaded[id(context)] = set()
            return context

        return make

    def make_loader(self, before: Method) -> Method:
        """For ``SSLContext.load_verify_locations``."""

        def load_verify_locations(self_: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> Any:
            loaded = self._loaded.get(id(self_))
            if loaded is None:
                return before(self_, cafile, capath, cadata)
            try:
                if (cafile, capath, cadata) in loaded:
                    return None
            except TypeError:
                return before(self_, cafile, capath, cadata)
            before(self_, cafile, capath, cadata)
            loaded.add((cafile, capath, cadata))
            return None

        return load_verify_locations


def _verifies(context: Any) -> Any:
    return context.verify_mode, context.check_hostname


def _way() -> "tuple[Any, ...]":
    """The lines from the making up to the program's own: contexts that come from different ones are not shared."""
    frame: FrameType | None = sys._getframe(2)
    way: list[Any] = []
    while frame is not None and len(way) < 20:
        way.append((frame.f_code, frame.f_lineno))
        if root(frame) not in CLIENTS | BETWEEN:
            break
        frame = frame.f_back
    return tuple(way)
