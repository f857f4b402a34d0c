"""What can go wrong in the user's terms: what happened, where, what would be right; an exit code each."""


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
