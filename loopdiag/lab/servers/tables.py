"""CSV columns of a scenario's tables, read with a fault line for every wrong cell."""

import csv
import math
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from loopdiag.errors import InputError

SHIPPED = {"pokeapi": "tables/pokeapi.csv"}
FAULTS_SHOWN = 5


def read_columns(table: str | None, where: str, *, required: str, optional: str | None = None) -> list[tuple[float, float | None]]:
    """Read a table's numbers, one pair a row: the required column's and the optional one's (None where the table has no such column).

    Args:
        table: name of a shipped table or path of a CSV file with a header line.
        where: the scenario's key, for the faults.
        required: name of the column that every row must fill with a number that is not negative.
        optional: name of a second such column.

    Raises:
        InputError: the file cannot be read, lacks the column, has no row, or a cell is not a number ≥ 0; one line a fault.
    """
    if table is None:
        raise InputError(f'{where}: missing; law = "table" needs {_wanted(required)}')
    source = files("loopdiag").joinpath(SHIPPED[table]) if table in SHIPPED else Path(table)
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"{where}: {table!r} cannot be read: {reason}; {_wanted(required)} would be right") from error
    try:
        return _rows(csv.DictReader(lines), f"{where}: {table}", required, optional)
    except csv.Error as error:
        raise InputError(f"{where}: {table!r} is not CSV: {error}; {_wanted(required)} would be right") from error


def _wanted(required: str) -> str:
    return f"a CSV file with a column {required!r}" + (f" or a shipped table ({', '.join(SHIPPED)})" if required == "json_bytes" else "")


def _rows(reader: "csv.DictReader[str]", where: str, required: str, optional: str | None) -> list[tuple[float, float | None]]:
    names = reader.fieldnames or ()
    if required not in names:
        raise InputError(f"{where}: no column {required!r}; its columns are {', '.join(names) or 'none'}")
    second = optional if optional in names else None
    rows, faults = [], []
    for line, cells in enumerate(reader, start=2):
        wrong = [name for name in (required, second) if name and _number(cells[name]) is None]
        faults += [f"{where}, line {line}: {name} is {cells[name]!r}; a number ≥ 0 would be right" for name in wrong]
        if not wrong:
            rows.append((_number(cells[required]) or 0.0, _number(cells[second]) if second else None))
    if faults:
        raise InputError(*_shortened(faults))
    if not rows:
        raise InputError(f"{where}: no rows; at least one would be right")
    return rows


def _number(cell: str | None) -> float | None:
    try:
        number = float(cell or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _shortened(faults: list[str]) -> Iterable[str]:
    yield from faults[:FAULTS_SHOWN]
    if len(faults) > FAULTS_SHOWN:
        yield f"… and {len(faults) - FAULTS_SHOWN} more"
