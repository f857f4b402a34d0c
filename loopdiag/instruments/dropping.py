"""How a probe that fails while the program runs is given up: told once, however many loops and threads it fails in."""

from .context import Rows


class Drop:
    """Call it with what a probe raised; the probe must have taken itself out of the way there.

    Attributes:
        done: it was called; a probe that attaches to every loop attaches to no other.
    """

    __slots__ = ("_name", "_rows", "done")

    def __init__(self, rows: Rows, name: str) -> None:
        self._rows, self._name = rows, name
        self.done = False

    def __call__(self, error: BaseException) -> None:
        """Note why, the first time."""
        if not self.done:
            self.done = True
            self._rows.drop(self._name, error)
