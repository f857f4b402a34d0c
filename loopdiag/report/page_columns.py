"""How the page's data is packed: whole microseconds, steps instead of times, shapes instead of names, one value where all are the same."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def micros(nanoseconds: int) -> int:
    """Whole microseconds, rounded."""
    return (nanoseconds + 500) // 1000


def column(values: Sequence[Any]) -> Any:
    """The values, or the one value that they all share."""
    return values[0] if values and all(value == values[0] for value in values) else list(values)


def deltas(times_ns: Iterable[int]) -> list[int]:
    """The first time and the steps from each to the next, rounded as times, so that no error adds up."""
    steps, before = [], 0
    for at in map(micros, times_ns):
        steps.append(at - before)
        before = at
    return steps


def packed(numbers: Iterable[int]) -> str:
    """Many integers as text, a character for 5 bits: half of what their decimals take."""
    return "".join(map(digits, numbers))


@lru_cache(maxsize=1 << 16)
def digits(number: int) -> str:
    """One integer: its sign in the lowest bit, then 5 bits a character, low bits first; the sixth bit says that more follow."""
    rest = abs(number) << 1 | (number < 0)
    text = ""
    while rest > 31:
        text += DIGITS[rest & 31 | 32]
        rest >>= 5
    return text + DIGITS[rest]


class Shapes:
    """Numbers each distinct sequence of names in the order in which it is first seen."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.index = {name: k for k, name in enumerate(names)}
        self.seen: dict[tuple[int, ...], int] = {}

    def number(self, names: Iterable[str]) -> int:
        """The shape's number."""
        return self.seen.setdefault(tuple(self.index.setdefault(name, len(self.index)) for name in names), len(self.seen))


def in_time(stamps: dict[str, int]) -> list[tuple[str, int]]:
    """The stamps in the order of time; ties keep the recorded order."""
    return sorted(stamps.items(), key=lambda item: item[1])


def stamp_columns(rows: Iterable[dict[str, int]]) -> dict[str, Any]:
    """Stamps of many rows: the shape of each (which stamps, in which order), and all their times as steps."""
    shapes, numbers, steps = Shapes(), [], []
    for row in map(in_time, rows):
        numbers.append(shapes.number(name for name, _ in row))
        steps += deltas(at for _, at in row)
    return {"shape": column(numbers), "shapes": list(shapes.seen), "names": list(shapes.index), "steps": packed(steps)}
