"""Replacing a method at a seam: checked, named, and with the original at hand."""

import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any


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


def replace(owner: Any, name: str, make: "Callable[[Any], Any]") -> None:
    """Put ``make(original)`` in the place of ``owner.name``, under the original's name and documentation.

    Raises:
        Missing: there is no such attribute.
    """
    before = original(owner, name)
    after = make(before)
    functools.update_wrapper(after, before)
    setattr(owner, name, after)


def assigned(owner: Any, name: str, stamp: "Callable[[Any, Any], None]") -> None:
    """Call ``stamp(instance, value)`` whenever ``instance.name`` is assigned; reading stays as it was.

    Raises:
        Missing: the class has no such attribute.
    """
    if not hasattr(owner, name):
        raise Missing(f"{getattr(owner, '__qualname__', owner)}.{name} is not there")
    kept = "_loopdiag" + name
    setattr(owner, kept, getattr(owner, name))

    def put(self: Any, value: Any) -> None:
        setattr(self, kept, value)
        stamp(self, value)

    setattr(owner, name, property(attrgetter(kept), put))
