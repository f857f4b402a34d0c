"""A run beside an earlier one: the two are read, compared, and the earlier one is kept with the later, so that every report of it tells."""

from pathlib import Path

import msgspec
from msgspec.structs import replace

from loopdiag.analysis.comparison import compare as compared
from loopdiag.errors import InputError
from loopdiag.model.diagnosis import SCHEMA, Diagnosis
from loopdiag.model.document import Document
from loopdiag.model.value import Value

#: what a run's folder keeps of the run that it is compared with
KEPT = "baseline.json"


class Baseline(Value, frozen=True, kw_only=True):
    """An earlier run, and where it was read from."""

    place: str
    diagnosis: Diagnosis


def compare(before: Path, after: Path) -> Diagnosis:
    """The later run's diagnosis with the earlier one beside it.

    Args:
        before: folder of a run, or its diagnosis.json.
        after: likewise.

    Raises:
        InputError: one of them holds no diagnosis, or they have no arm in common.
    """
    earlier, later = read(before), read(after)
    made = beside(later.diagnosis, earlier, name=later.place)
    if made.comparison is not None and not made.comparison.arms:
        old, new = (", ".join(arm.arm for arm in run.diagnosis.arms) or "none" for run in (earlier, later))
        raise InputError(f"compare: {before} and {after} have no arm in common: {old}; {new}")
    return made


def read(path: Path) -> Baseline:
    """The diagnosis in a run's folder, or in a file.

    Raises:
        InputError: there is none, or it is of another kind; one line that says what would be right.
    """
    from loopdiag.report.json import read as read_json

    file = path / "diagnosis.json" if path.is_dir() else path
    try:
        return Baseline(place=str(path), diagnosis=read_json(file.read_bytes()))
    except FileNotFoundError as error:
        undone = (path / "run.json").exists()
        right = f"'loopdiag diagnose {path}' writes it" if undone else "expected a run's folder or its diagnosis.json"
        raise InputError(f"{file}: no such file; {right}") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, AttributeError, TypeError, RecursionError) as error:  # JSON of any shape
        raise InputError(f"{file}: holds no diagnosis of the schema {SCHEMA}: {error}") from error


def keep(baseline: Baseline, folder: Path) -> None:
    """Keep the earlier run in the folder of the one that will be compared with it; nothing happens where that is no run's folder.

    Raises:
        InputError: it cannot be written.
    """
    if not (folder / "run.json").exists():
        return
    try:
        (folder / KEPT).write_bytes(msgspec.json.encode(baseline))
    except OSError as error:
        raise InputError(f"--baseline: {folder / KEPT}: cannot be written: {error.strerror}") from error


def kept(folder: Path) -> Baseline | None:
    """The earlier run that `keep` put there, if any.

    Raises:
        InputError: it is damaged.
    """
    file = folder / KEPT
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Baseline)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: is damaged ({error}); give --baseline again, or remove it") from error


def with_baseline(document: Document, folder: Path) -> Document:
    """The document with its comparison, where the folder keeps an earlier run."""
    earlier = kept(folder)
    return document if earlier is None else replace(document, diagnosis=beside(document.diagnosis, earlier))


def beside(diagnosis: Diagnosis, earlier: Baseline, *, name: str = "") -> Diagnosis:
    """The diagnosis with an earlier run's arms and the comparison with it."""
    made = compared(earlier.diagnosis, diagnosis, before_name=earlier.place, after_name=name)
    return replace(diagnosis, baselines=earlier.diagnosis.arms, comparison=made)
