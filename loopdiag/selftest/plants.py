"""The whole table of the self-test, and which of its rows are run."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from loopdiag.errors import InputError
from loopdiag.selftest.mixed import CONTROLS, PAIRS, SAME
from loopdiag.selftest.program_rows import PROGRAMS
from loopdiag.selftest.row import Row
from loopdiag.selftest.singles import SINGLES

ROWS: tuple[Row, ...] = (*SINGLES, *PAIRS, *CONTROLS, *SAME, *PROGRAMS)
QUICK = 2  # pairs, controls and programs of either kind in a quick run


def chosen(*, quick: bool = False, only: str | None = None, rows: Iterable[Row] = ROWS) -> tuple[Row, ...]:
    """The rows to run.

    Args:
        quick: one variant of each cause, and the first few pairs and controls.
        only: a pattern (``*``, ``?``) or a part of a row's name, or of a cause's that it plants; picks from all rows.
        rows: the table.

    Raises:
        InputError: the pattern fits no row.
    """
    if only is not None:
        pattern = only if set(only) & set("*?[") else f"*{only}*"
        found = tuple(row for row in rows if any(fnmatchcase(name, pattern) for name in (row.name, *row.truth)))
        if not found:
            raise InputError(f"--only {only}: no row of the self-test is called so, and none plants such a cause")
        return found
    return tuple(_quick(rows)) if quick else tuple(rows)


def _quick(rows: Iterable[Row]) -> Iterable[Row]:
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        key, most = ((row.kind, row.truth[0]), 1) if row.kind == "single" else ((row.kind, ""), QUICK)
        seen[key] = seen.get(key, 0) + 1
        if row.kind != "same" and seen[key] <= most:
            yield row
