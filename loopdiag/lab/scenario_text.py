"""Scenario → TOML, in the order of the model's fields, so that two texts compare line by line."""

import re
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import fields

from loopdiag.model.scenario import Arm, Scenario

ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


def to_toml(scenario: Scenario, *, full: bool = False) -> str:
    """Return TOML that reads back as an equal scenario.

    Args:
        scenario: a resolved one; its paths of tables are absolute.
        full: write the keys that have their default, too; those without a value become comments.
    """
    return "\n".join(_table(scenario, "", full=full)).strip() + "\n"


def _table(value: Struct, path: str, *, full: bool) -> Iterator[str]:
    """Yield a table's own keys, then the tables in it; a table without keys has no header."""
    keys, inner = [], []
    for field in fields(value):
        member = getattr(value, field.name)
        if isinstance(member, Struct):
            inner.append((f"{path}.{field.name}" if path else field.name, member))
        elif full or field.required or member != field.default:
            keys.append(f"# {field.name}: not set" if member is None else f"{field.name} = {toml_value(member)}")
    if keys:
        yield from ("", f"[{path}]") if path else ()
        yield from keys
    for name, member in inner:
        yield from _table(member, name, full=full)


def _arm(arm: Arm) -> str:
    """Return an arm as text where that says it all, else as an inline table."""
    if arm == Arm(client=arm.client, loop=arm.loop):
        return toml_value(arm.name)
    keys = {field.name: getattr(arm, field.name) for field in fields(arm) if field.required or getattr(arm, field.name) != field.default}
    return f"{{ {', '.join(f'{name} = {toml_value(value)}' for name, value in keys.items())} }}"


def toml_value(value: object) -> str:
    """Return a value of a scenario as TOML writes it.

    Raises:
        TypeError: TOML has no such value.
    """
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + re.sub(r'[\x00-\x1f"\\\x7f]', lambda c: ESCAPES.get(c[0], f"\\u{ord(c[0]):04x}"), value) + '"'
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case int() | float():
            return str(value)
        case Arm():
            return _arm(value)
        case tuple():
            return f"[{', '.join(toml_value(item) for item in value)}]"
    raise TypeError(f"TOML cannot hold {value!r}")
