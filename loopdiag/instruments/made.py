"""Things that the program made, counted by the line that made them: for the account's ``made``."""

from typing import Any

from .context import Rows
from .places import PLACES

Count = list[int]

#: so many lines are told of; a program that makes things in more places than that has other worries
MOST = 200


def count(rows: Rows, what: str, place: int, value: int = 0, cpu_ns: int = -1) -> None:
    """One more `what` was made at `place` (a number of `places`); `value` is its bound or size, `cpu_ns` what making it took, -1 where that is not known."""
    key = (what, place, value)
    counted = rows.made.get(key)
    if counted is None:
        if len(rows.made) >= MOST:
            return
        counted = rows.made[key] = [0, -1]
    counted[0] += 1
    if cpu_ns >= 0:
        counted[1] = max(0, counted[1]) + cpu_ns


def listed(rows: Rows) -> "list[dict[str, Any]]":
    """As ``model.program.Made`` has them."""
    return [
        {"what": what, "place": place, "count": counted[0], "value": value, "cpu_ns": None if counted[1] < 0 else counted[1]}
        for (what, place, value), counted in rows.made.items()
    ]


def tell(rows: Rows) -> None:
    """Have the account list them, and the places that they name."""
    rows.told.setdefault("places", PLACES.listed)
    rows.told.setdefault("made", lambda: listed(rows))
