"""Runs a callback after a module's first import, so that no library is imported before the program asks for it."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing these takes as long as a small program
    from importlib.machinery import ModuleSpec
    from types import ModuleType

Callback = Callable[[Any], None]


class _AfterLoad:
    """A module's own loader, and then the callbacks that wait for the module; in all else it is that loader."""

    def __init__(self, loader: Any, name: str, waiting: "dict[str, list[Callback]]") -> None:
        self._loader, self._name, self._waiting = loader, name, waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self).get("_loader"), name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: "ModuleType") -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader  # whoever asks the module sees its real loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        for callback in self._waiting.pop(self._name, ()):  # only now: who looks for a module's spec need not import it
            callback(module)


class _Finder:
    """Finds what the finders behind it find, for the watched names only."""

    def __init__(self) -> None:
        self.watched: dict[str, list[Callback]] = {}
        self._asking: set[str] = set()

    def find_spec(self, name: str, path: "Sequence[str] | None", target: "ModuleType | None" = None) -> "ModuleSpec | None":
        if name not in self.watched or name in self._asking:
            return None
        self._asking.add(name)
        try:
            for finder in sys.meta_path:
                if finder is self or not hasattr(finder, "find_spec"):
                    continue
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
            else:
                return None
        finally:
            self._asking.discard(name)
        if spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _AfterLoad(spec.loader, name, self.watched)  # type: ignore[assignment] # a loader by what it does, as the import system asks
        return spec


_finder = _Finder()


def on_import(name: str, callback: Callback) -> None:
    """Call `callback(module)` once `name` has been imported; at once where it already is."""
    module = sys.modules.get(name)
    if module is not None:
        callback(module)
        return
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.watched.setdefault(name, []).append(callback)
