"""A strict reader: plain data (what a TOML file holds) against a tree of Struct types, every fault at once.

The rules stand in the types alone (``msgspec.inspect``): a new field of a model is read, checked and explained without a line here.
"""

import math
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final, Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec import inspect as types

T = TypeVar("T", bound=Struct)

LARGEST: Final = 2**63 - 1  # what JSON readers and integer columns can hold
BAD: Final = object()  # stands for a value that could not be read


class Fault(NamedTuple):
    """One thing that is wrong: the key's path (``sweep.n[2]``) and what would be right."""

    key: str
    message: str


class Leaf(NamedTuple):
    """One key that may be set: its path, its type, and its default (``NODEFAULT`` where it must be given)."""

    key: str
    type: types.Type
    default: object


def leaves(kind: type[Struct], prefix: str = "") -> Iterator[Leaf]:
    """Yield every key under `kind` that holds a value and not a table, in the order of the fields."""
    shape = types.type_info(kind)
    assert isinstance(shape, types.StructType)
    for field in shape.fields:
        if isinstance(field.type, types.StructType):
            yield from leaves(field.type.cls, f"{prefix}{field.name}.")
        else:
            yield Leaf(f"{prefix}{field.name}", field.type, field.default)


def show(value: object, longest: int = 60) -> str:  # noqa: PLR0911 - one line a type
    """Return `value` as TOML would write it, on one line, shortened, without passwords in addresses."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            clean = re.sub(r"//\S*@", "//…@", value)
            clean = clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
            return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in clean) + '"'
        case int() if abs(value) > LARGEST:
            return "a number of more than 64 bits"
        case int() | float():
            return f"{value:.15g}" if isinstance(value, float) and not value.is_integer() else str(value)
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
    return f"the {type(value).__name__} {value}"  # TOML's dates and times


def describe(kind: types.Type, *, several: bool = False) -> str:  # noqa: PLR0911 - one line a type
    """Return what a value of this type looks like, as in ``expected <this>``."""
    match kind:
        case types.UnionType():
            return describe(_some(kind), several=several)
        case types.VarTupleType():
            return f"a list of {describe(kind.item_type, several=True)}"
        case types.StructType():
            return "tables" if several else "a table"
        case types.IntType() | types.FloatType():
            word = "whole number" if isinstance(kind, types.IntType) else "number"
            return (f"{word}s" if several else f"a {word}") + _bounds(kind)
        case types.LiteralType():
            return "one of " + ", ".join(show(choice) for choice in kind.values)
        case types.BoolType():
            return "true or false"
        case types.StrType():
            return "text in quotes"
    raise TypeError(f"the strict reader has no words for {kind!r}")


def _some(kind: types.UnionType) -> types.Type:
    """Return the member of an optional type that is not None: TOML has no null."""
    (member,) = (one for one in kind.types if not isinstance(one, types.NoneType))
    return member


def _bounds(kind: types.IntType | types.FloatType) -> str:
    signs = ((">", kind.gt), ("≥", kind.ge), ("<", kind.lt), ("≤", kind.le))
    stated = [f"{sign} {bound:g}" for sign, bound in signs if bound is not None]
    return f" {' and '.join(stated)}" if stated else ""


def _inside(kind: types.IntType | types.FloatType, number: float) -> bool:
    return (
        (kind.gt is None or number > kind.gt)
        and (kind.ge is None or number >= kind.ge)
        and (kind.lt is None or number < kind.lt)
        and (kind.le is None or number <= kind.le)
        and abs(number) <= LARGEST
    )


def _scalar(kind: types.Type, plain: object) -> object:
    """Return `plain` as a value of `kind`, or BAD."""
    fits: object = BAD
    match kind, plain:
        case types.LiteralType(), str() if plain in kind.values:
            fits = plain
        case (types.BoolType(), bool()) | (types.StrType(), str()):
            fits = plain
        case ((types.IntType() | types.FloatType()), bool()):
            pass
        case types.IntType(), int() if _inside(kind, plain):
            fits = plain
        case types.FloatType(), int() | float() if math.isfinite(plain if isinstance(plain, float) else 0) and _inside(kind, plain):
            fits = float(plain)
    return fits


def _hint(kind: types.Type, plain: object) -> str:
    """Return the end of a fault line where the mistake can be guessed."""
    kind = _some(kind) if isinstance(kind, types.UnionType) else kind
    if isinstance(plain, float) and not math.isfinite(plain):
        return "; it must be finite"
    if isinstance(kind, types.LiteralType):
        choices = [str(choice) for choice in kind.values]
        if not isinstance(plain, str):
            return "; write it in quotes" if show(plain) in choices else ""
        near = get_close_matches(plain.lower(), [choice.lower() for choice in choices], n=1)
        meant = [choice for choice in choices if choice.lower() in near]
        return f"; did you mean {show(meant[0])}?" if meant else ""
    if isinstance(kind, types.IntType | types.FloatType) and isinstance(plain, str) and re.fullmatch(r"\d+(\.\d+)?", plain):
        return "; write it without quotes"
    return ""


class Reader(Generic[T]):
    """Reads one tree; what is wrong gathers in `faults` while the rest is read on."""

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind
        self.faults: list[Fault] = []
        self.meant: set[str] = set()  # keys that a misspelt one probably meant: what they hold is not known
        self._known = [leaf.key for leaf in leaves(kind)]

    def read(self, plain: Mapping[str, object], stand_in: Mapping[str, object]) -> T:
        """Return the value of `plain`; a wrong key keeps its default, or `stand_in` where it has none."""
        shape = types.type_info(self.kind)
        assert isinstance(shape, types.StructType)
        return self.kind(**{**stand_in, **self._fields(shape, plain, "")})

    def _fields(self, shape: types.StructType, plain: Mapping[str, object], path: str) -> dict[str, object]:
        fields = {field.name: field for field in shape.fields}
        for key in (key for key in plain if key not in fields):
            self.faults.append(Fault(join(path, key), self._unknown(path, key, list(fields))))
        good = {}
        for name, field in fields.items():
            key = join(path, name)
            if name in plain:
                value = self._value(field.type, plain[name], key)
                if value is not BAD:
                    good[name] = value
            elif field.required and key not in self.meant:
                self.faults.append(Fault(key, f"missing; expected {describe(field.type)}"))
        return good

    def _value(self, kind: types.Type, plain: object, key: str) -> object:
        if isinstance(kind, types.UnionType):
            return self._value(_some(kind), plain, key)
        if isinstance(kind, types.StructType) and isinstance(plain, Mapping):
            good = self._fields(kind, plain, key)
            lacking = any(field.required and field.name not in good for field in kind.fields)
            return BAD if lacking else kind.cls(**good)
        if isinstance(kind, types.VarTupleType) and isinstance(plain, list):
            items = [self._value(kind.item_type, item, f"{key}[{i}]") for i, item in enumerate(plain)]
            return tuple(item for item in items if item is not BAD)
        value = _scalar(kind, plain)
        if value is BAD:
            self.faults.append(Fault(key, f"expected {describe(kind)}, got {show(plain)}{_hint(kind, plain)}"))
        return value

    def _unknown(self, path: str, key: str, here: list[str]) -> str:
        near = get_close_matches(key.lower(), here, n=1)
        if near:
            self.meant.add(join(path, near[0]))
            return f"unknown key; did you mean {near[0]}?"
        elsewhere = [known for known in self._known if known.rpartition(".")[2] == key]
        if elsewhere:
            return f"unknown key here; did you mean {' or '.join(elsewhere)}?"
        return f"unknown key; expected one of {', '.join(here)}"


def join(path: str, key: str) -> str:
    """Return the path of `key` under `path`, quoted where TOML would quote it."""
    bare = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) and len(key) <= 60 else show(key)
    return f"{path}.{bare}" if path else bare
