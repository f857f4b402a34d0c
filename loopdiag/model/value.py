"""The base of every noun: immutable, strict about unknown fields, comparable, printable."""

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record that reads strictly and can be saved, loaded, diffed and hand-made in a test.

    Subclasses repeat ``frozen=True, kw_only=True``: type checkers and msgspec, in turn, do not inherit them.
    """
