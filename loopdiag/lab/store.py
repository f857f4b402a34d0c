"""A recording on disk: the only file that knows the format of a run's folder.

History of ``run.json``'s schema:

- ``loopdiag/run/1``: ``run.json`` is a `Recording`; it is written when the run begins, without trials, and again when it ends.
  ``trials/<id>/trial.json`` is a `TrialResult`, written at once when the trial ends; beside it stand the trial's tables as ``.npy``,
  and what a profiler left: ``pyspy.json.gz`` (as py-spy wrote it) with ``pyspy.taken.json`` (how it was taken), ``calls.json``.
  A run.json without ``ended`` is of a run that was killed: its trials are those found under ``trials/``.
"""

import contextlib
import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from loopdiag.errors import InputError, LoopdiagError
from loopdiag.lab import columns as tables
from loopdiag.model.profile import Calls, Profile
from loopdiag.model.recording import SCHEMA, Recording, TrialResult

if TYPE_CHECKING:
    from loopdiag.lab.columns import Array

RUN, TRIALS, TRIAL = "run.json", "trials", "trial.json"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
T = TypeVar("T")


class Store:
    """A run's folder that is being written."""

    def __init__(self, folder: Path, recording: Recording) -> None:
        self.folder = folder
        self.recording = recording  # as it was begun

    @classmethod
    def create(cls, folder: Path, recording: Recording) -> "Store":
        """Make the folder and leave the begun recording in it.

        Raises:
            InputError: the folder cannot be made or written, is a file, or holds another run.
        """
        if (folder / RUN).exists():
            raise InputError(f"{folder}: holds a run already; name another folder with --out")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; --out needs a folder")
        store = cls(folder, recording)
        try:
            (folder / TRIALS).mkdir(parents=True, exist_ok=True)
            _write(folder / RUN, recording)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written: {error.strerror}; name another folder with --out") from error
        return store

    def trial_folder(self, trial: str) -> Path:
        """Make and return the folder of one trial.

        Raises:
            LoopdiagError: there is no room or permission any more.
        """
        folder = self.folder / TRIALS / trial
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise lost(folder, error) from error
        return folder

    def save_trial(self, result: TrialResult) -> None:
        """Put one trial on disk, whole or not at all.

        Raises:
            LoopdiagError: there is no room or permission any more; what was saved before stays.
        """
        path = self.trial_folder(result.spec.id) / TRIAL
        try:
            _write(path, result)
        except OSError as error:
            raise lost(path, error) from error

    def finish(self, recording: Recording) -> None:
        """Leave the whole recording in run.json; the begun one stays if that fails.

        Raises:
            LoopdiagError: there is no room or permission any more.
        """
        path = self.folder / RUN
        try:
            _write(path, recording)
        except OSError as error:
            raise lost(path, error) from error


def load(folder: Path) -> Recording:
    """Read a run's folder; of a killed run, everything that was saved, marked as partial.

    Raises:
        InputError: it is not a run's folder, of a schema that is not known, or damaged; one line a fault.
    """
    path = folder / RUN
    if not path.is_file():
        raise InputError(f"{folder}: is not a run's folder: it has no {RUN}")
    written = _decode(path, dict[str, msgspec.Raw]).get("schema", msgspec.Raw(b"null"))
    if bytes(written) != msgspec.json.encode(SCHEMA):
        raise InputError(f"{path}: has schema {bytes(written).decode('utf-8', 'replace')}; this version reads {SCHEMA!r}")
    recording = _decode(path, Recording)
    known = {trial.spec.id for trial in recording.trials}
    found: list[TrialResult] = []
    faults: list[str] = []
    for path in sorted((folder / TRIALS).glob(f"*/{TRIAL}")):
        if path.parent.name not in known:
            try:
                found.append(_decode(path, TrialResult))
            except InputError as fault:
                faults += fault.faults
    if faults:
        raise InputError(*faults)
    partial = recording.partial or recording.ended is None
    return msgspec.structs.replace(recording, trials=(*recording.trials, *found), partial=partial)


def columns(folder: Path, trial: str) -> "dict[str, Array]":
    """Read one trial's tables, as `lab.columns.load` tells; a trial without any gives none.

    Raises:
        InputError: a table is damaged.
    """
    return tables.load(folder / TRIALS / trial)


def profiles(folder: Path, trial: str) -> tuple[Profile, ...]:
    """Read what py-spy saw of one trial, a profile a thread, the main thread's first; of a trial that was not profiled, nothing.

    Raises:
        InputError: a file is damaged.
    """
    from loopdiag.lab.probes import pyspy_trace

    place = folder / TRIALS / trial
    return pyspy_trace.read(place, _decode(place / TRIAL, TrialResult)) if (place / TRIAL).exists() else ()


def calls(folder: Path, trial: str) -> tuple[Calls, ...]:
    """Read what yappi counted in one trial, most calls first; of a trial without it, nothing.

    Raises:
        InputError: the file is damaged.
    """
    from loopdiag.lab.probes import yappi

    return yappi.read(folder / TRIALS / trial)


def default_folder(scenario_name: str, now: datetime, under: Path = Path("reports")) -> Path:
    """Name a folder that does not exist yet: ``reports/<scenario>-<UTC time>``, with a number after it where that is taken."""
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in scenario_name).strip(".") or "run"
    first = under / f"{name}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    folder, count = first, 1
    while folder.exists():
        count += 1
        folder = first.with_name(f"{first.name}-{count}")
    return folder


def lost(path: Path, error: OSError) -> LoopdiagError:
    """What is told where a trial cannot be put on disk."""
    return LoopdiagError(f"{path}: cannot be written: {error.strerror}; the trials saved before are kept")


def _decode(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged: {error}") from error


def _write(path: Path, value: object) -> None:
    write(path, msgspec.json.format(msgspec.json.encode(value), indent=1))


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and durably: a draft beside it, synced, then renamed.

    Raises:
        OSError: there is no room or no permission; what stood there before still does.
    """
    draft = path.with_name(path.name + ".tmp")
    try:
        with draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
