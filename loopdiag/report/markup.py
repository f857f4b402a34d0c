"""HTML from Python values: everything is escaped unless it was made here."""

from collections.abc import Iterable
from html import escape

from loopdiag.report.format import clean


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


VOID = frozenset({"meta", "link", "br", "input"})


def text(value: object) -> Markup:
    """`value` as escaped text, or as it is where it is markup."""
    return value if isinstance(value, Markup) else Markup(escape(clean(str(value))))


def join(parts: Iterable[object]) -> Markup:
    """The parts one after the other; None leaves nothing."""
    return Markup("".join(text(part) for part in parts if part is not None))


def tag(name: str, *children: object, **attributes: str | bool | None) -> Markup:
    """One element; ``class_`` is the attribute ``class``, ``data_label`` is ``data-label``, None and False leave an attribute out."""
    pairs = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(clean(str(value)))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{pairs}>" if name in VOID else f"<{name}{pairs}>{join(children)}</{name}>")
