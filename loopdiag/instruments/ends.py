"""Reading how a request ended from the exception in flight, where a library handles one: exceptions are rare, so it costs nothing to ask then."""

from typing import Any


def ending(error: BaseException) -> str:
    """The flag for an attempt that ended with `error`, by the names of its classes, because they are of many libraries."""
    names = {base.__name__ for base in type(error).__mro__}
    if names & {"CancelledError", "Cancelled", "GeneratorExit"}:
        return "cancelled"
    if "NewConnectionError" in names:  # of urllib3, where it is a kind of time-out
        return "error"
    return "timed_out" if names & {"TimeoutError", "TimeoutException", "Timeout"} else "error"


def handled_by(error: BaseException, *packages: str) -> bool:
    """Whether the code that handles `error` is of one of `packages`, and not a program that calls them while it handles something else."""
    trace = error.__traceback__
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in packages


def handled_in(error: BaseException, code: Any) -> bool:
    """Whether the function with `code` handles `error`."""
    trace = error.__traceback__
    return trace is not None and trace.tb_frame.f_code is code


def code_of(function: Any) -> Any:
    """The code object of `function` itself, under whatever replaced it."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function.__code__
