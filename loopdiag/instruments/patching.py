"""Replacing a method at a seam: checked, named, and with the original at hand."""

import functools
from collections.abc import Callable
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
