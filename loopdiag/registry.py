"""Registries: literal tables ``name → "module:attribute"``, loaded when asked for."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Generic, TypeVar, cast

from loopdiag.errors import InputError

T = TypeVar("T")


class Registry(Generic[T]):
    """A named set of parts of one kind; a part is imported only when it is asked for."""

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __getitem__(self, name: str) -> T:
        """Return the part called `name`.

        Raises:
            InputError: no part has that name.
        """
        if name not in self._table:
            raise InputError(f"unknown {self.kind} {name!r}{self.suggest(name)}")
        module, _, attribute = self._table[name].partition(":")
        return cast("T", getattr(import_module(module), attribute))

    def suggest(self, name: str) -> str:
        """What would be right instead of `name`, as the end of a fault line."""
        near = get_close_matches(name, self._table, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{hint} (known: {', '.join(self._table)})"
