"""What can go wrong in the user's terms: what happened, where, what would be right; an exit code each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LoopdiagError(Exception):
    """An error that the command line prints as plain lines, one a fault, and turns into its exit code."""

    exit_code = 3

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class InputError(LoopdiagError):
    """The user's input is wrong; each fault names the place and what would be right."""

    exit_code = 2


class NothingMeasured(LoopdiagError):
    """Nothing usable was measured; what was recorded is kept and named."""

    exit_code = 3


class Unavailable(LoopdiagError):
    """An optional part is not installed or not permitted here; the fault says why and what to do."""

    exit_code = 2


class TargetDied(LoopdiagError):
    """The embedded target's process ended while it was needed."""

    exit_code = 3


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """An interrupt inside says where what was measured is kept."""
    try:
        yield
    except KeyboardInterrupt as asked:
        raise KeyboardInterrupt(goes_on(folder)) from asked


def goes_on(folder: Path) -> str:
    """What can be done with a run that did not come to its report."""
    return f"what was measured is in {folder}, and 'loopdiag report {folder}' goes on from there"
