"""A trial's tables on disk: cutting what the instruments reserved, and reading what is there.

The instruments map each table at its full capacity (a sparse file, because a stamp beyond a file's end is a SIGBUS); row 0 is their sink.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopdiag.errors import InputError
from loopdiag.instruments.schema import TABLES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BLOCK_ROWS = 4096
DAMAGED = (OSError, ValueError, EOFError)  # what numpy raises; the last of a file without a byte, as a full disk leaves it


def cut(folder: Path) -> None:
    """Shorten each instrument's table in `folder` to the rows that were opened, header included; what cannot be read stays as it is."""
    import numpy as np

    for name in TABLES:
        path = folder / f"{name}.npy"
        try:
            table = np.load(path, mmap_mode="r")
            rows = _opened(table)
            start, kind = table.offset, table.dtype
            del table
            _shorten(path, kind.descr, rows, start, rows * kind.itemsize)
        except (*DAMAGED, AttributeError):
            continue


def load(folder: Path) -> "dict[str, Array]":
    """Read a trial's tables, memory-mapped; a table that is not there is absent.

    Rows keep their numbers (`attempts` refers to `connections` by them): row 0 is the sink of the instruments' tables, rows that were
    never opened are cut off at the end only, and rows that were opened before the trial's ``t0_ns`` are the warm-up's.

    Raises:
        InputError: a table is damaged.
    """
    import numpy as np

    tables, faults = {}, []
    for path in sorted(folder.glob("*.npy")):
        try:
            table = np.load(path, mmap_mode="r")
            tables[path.stem] = table[: _opened(table)] if path.stem in TABLES else table
        except DAMAGED as error:
            faults.append(f"{path}: damaged: {error}")
    if faults:
        raise InputError(*faults)
    return tables


def opened(path: Path) -> int:
    """How many rows of an instrument's table were opened, the sink not counted; 0 where there is no such table."""
    import numpy as np

    try:
        return _opened(np.load(path, mmap_mode="r")) - 1
    except DAMAGED:
        return 0


def _opened(table: "np.memmap[Any, Any]") -> int:
    """How many rows from the sink to the last that was opened; rows are opened in order, so one block without any is the end.

    They are read from the file: to touch a hole of a mapped one takes room on a tmpfs, and where there is none it is a SIGBUS.
    """
    import numpy as np

    end = 1
    with Path(table.filename or "").open("rb") as file:
        file.seek(table.offset)
        for at in range(0, len(table), BLOCK_ROWS):
            rows: Array = np.fromfile(file, table.dtype, min(BLOCK_ROWS, len(table) - at))
            used = np.flatnonzero(rows["t0"][at == 0 :])  # the sink is no row
            if not len(used):
                break
            end = max(at, 1) + int(used[-1]) + 1
    return min(end, len(table))


def _shorten(path: Path, descr: object, rows: int, start: int, length: int) -> None:
    """Write the new number of rows into the header, in the old header's room, and cut the file."""
    text = repr({"descr": descr, "fortran_order": False, "shape": (rows,)}).encode("latin1")
    room = start - 10  # after the magic, the version and the header's length
    if len(text) >= room:
        raise ValueError("no room in the header")
    with path.open("r+b") as file:
        file.seek(10)
        file.write(text.ljust(room - 1) + b"\n")
        os.ftruncate(file.fileno(), start + length)
