"""What was tried, on disk: `verify/verify.json` beside the sub-recordings, so that every verdict can be had again from the folder alone.

``verify/<nn>-<client>-<loop>-<cause>/base`` and ``/treated`` are ordinary run folders.
"""

from pathlib import Path
from typing import Literal

import msgspec

from loopdiag.errors import InputError, goes_on
from loopdiag.lab import store
from loopdiag.model.law import Estimate
from loopdiag.model.value import Value

SCHEMA = "loopdiag/verify/1"
FOLDER, FILE = "verify", "verify.json"
BASE, TREATED = "base", "treated"


class Attempt(Value, frozen=True, kw_only=True):
    """One intervention that was run."""

    arm: str  # that the cause was found in; the treated scenario may run another loop or client
    cause: str
    also: tuple[str, ...] = ()  # further causes that were removed with it, because none helps alone
    upon: tuple[str, ...] = ()  # causes whose confirmed changes its base holds already
    changes: tuple[str, ...]
    remedy: bool = True
    predicted: Estimate | None = None  # slope of the treated trials, as the replay says; ms per request
    expected: float | None = None  # slope of the base that this starts from; what is measured scales the prediction
    offset: Estimate | None = None  # ms of the total at the largest N, which is judged in the slope's place where the cause claims a step
    ns: tuple[int, ...]
    folder: str  # under the run's folder


class Untried(Value, frozen=True, kw_only=True):
    """A cause that was found and not tried."""

    arm: str
    cause: str
    verdict: Literal["NOT_APPLICABLE", "NOT_TRIED"]
    why: str


class Sweep(Value, frozen=True, kw_only=True):
    """Further N of an arm with all its confirmed changes."""

    arm: str
    folder: str


class Dose(Value, frozen=True, kw_only=True):
    """Known delays that were put into a cause's mechanism, each in a folder of its own beside ``base``: ``dose-1``, ``dose-2``."""

    arm: str
    cause: str
    mechanism: str  # the scenario's key, or the seam of a program
    doses_ms: tuple[float, ...]  # added to each request, or each time that the seam is passed
    predicted: float | None = None  # ms of slope per ms that was added to each request, as the critical path says; None: it does not
    folder: str


class Verified(Value, frozen=True, kw_only=True):
    """A verification."""

    schema: str = SCHEMA
    attempts: tuple[Attempt, ...] = ()  # in the order in which they ran
    untried: tuple[Untried, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    doses: tuple[Dose, ...] = ()
    warnings: tuple[str, ...] = ()
    interrupted: bool = False


def save(folder: Path, verified: Verified) -> None:
    """Leave it in the run's folder.

    Raises:
        InputError: it cannot be written.
    """
    path = folder / FOLDER / FILE
    try:
        path.parent.mkdir(exist_ok=True)
        store.write(path, msgspec.json.format(msgspec.json.encode(verified), indent=1))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; {goes_on(folder)} when it can be") from error


def load(folder: Path) -> Verified | None:
    """Read what was tried in a run's folder; None where nothing was.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / FOLDER / FILE
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verified)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged: {error}") from error
