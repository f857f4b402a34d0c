"""Replacing a method at a seam: checked, named, and with the original at hand."""

import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

#: what was put where: (owner, name, what was there, what is there); for `undo` and `redo`
_replaced: "list[tuple[Any, str, Any, Any]]" = []


_ABSENT = object()


class Missing(Exception):
    """A name that an instrument relies on is not there."""


def original(owner: Any, name: str) -> Any:
    """The attribute `name` of `owner` itself.

    Raises:
        Missing: there is none, so the library is not the one that the instrument knows.
    """
    found = getattr(owner, name, None)
    if found is None:
        raise Missing("{}.{} is not there".format(getattr(owner, "__qualname__", owner), name))
    return found


def put(owner: Any, name: str, after: Any) -> None:
    """Set ``owner.name``, so that `undo` can take it back."""
    _replaced.append((owner, name, vars(owner).get(name, _ABSENT), after))
    setattr(owner, name, after)


def undo() -> None:
    """Put back everything that was replaced: new objects of the libraries are no longer watched.  For benchmarks, which compare in one process."""
    for owner, name, before, _ in reversed(_replaced):
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def redo() -> None:
    """Take back what `undo` did."""
    for owner, name, _, after in _replaced:
        setattr(owner, name, after)


def replace(owner: Any, name: str, make: "Callable[[Any], Any]") -> None:
    """Put ``make(original)`` in the place of ``owner.name``, under the original's name and documentation.

    Raises:
        Missing: there is no such attribute.
    """
    before = original(owner, name)
    after = make(before)
    functools.update_wrapper(after, before)
    put(owner, name, after)


def assigned(owner: Any, name: str, assign: "Callable[[Any, Any], None]") -> None:
    """Call ``assign(instance, value)`` whenever ``instance.name`` is assigned; it must keep the value as ``instance._loopdiag_<name>``, where reading finds it.

    Raises:
        Missing: the class has no such attribute.
    """
    if not hasattr(owner, name):
        raise Missing(f"{getattr(owner, '__qualname__', owner)}.{name} is not there")
    kept = "_loopdiag_" + name.lstrip("_")
    setattr(owner, kept, getattr(owner, name))
    put(owner, name, property(attrgetter(kept), assign))
