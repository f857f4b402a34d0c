"""How arms are called where people read: a user's program by its own name, not by that of the arm whose place it takes."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from loopdiag.model.comparison import Comparison
from loopdiag.model.diagnosis import ArmDiagnosis, Diagnosis
from loopdiag.model.document import Document
from loopdiag.model.recording import Skipped

Names = Mapping[str, str]


def named(document: Document) -> Document:
    """The document with each arm's label in the place of its name; the recording stays as it is."""
    diagnosis = relabelled(document.diagnosis)
    if diagnosis is document.diagnosis:
        return document
    names = _names(document.diagnosis.arms)
    return replace(
        document,
        diagnosis=diagnosis,
        recording=replace(
            document.recording, skipped=_cells(document.recording.skipped, names), warnings=_said(document.recording.warnings, names)
        ),
        timelines=tuple(replace(line, arm=names.get(line.arm, line.arm)) for line in document.timelines),
        profiles=tuple(replace(each, arm=names.get(each.arm, each.arm)) for each in document.profiles),
        flames=tuple(replace(each, arm=names.get(each.arm, each.arm), title=_titled(each.title, names)) for each in document.flames),
        ledgers=tuple(replace(each, arm=names.get(each.arm, each.arm)) for each in document.ledgers),
        top={names.get(arm, arm): rows for arm, rows in document.top.items()},
        calls={names.get(arm, arm): rows for arm, rows in document.calls.items()},
    )


def relabelled(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis, likewise; itself where no arm has a label."""
    names, former = _names(diagnosis.arms), _names(diagnosis.baselines)
    if not names and not former:
        return diagnosis
    made = diagnosis.comparison
    return replace(
        diagnosis,
        arms=_arms(diagnosis.arms, names),
        baselines=_arms(diagnosis.baselines, former),
        comparison=None if made is None else _compared(made, names, former),
        overhead=tuple(replace(row, arm=names.get(row.arm, row.arm)) for row in diagnosis.overhead),
        witness=tuple(replace(row, arm=names.get(row.arm, row.arm)) for row in diagnosis.witness),
        not_measured=_cells(diagnosis.not_measured, names),
        not_observed=_said(diagnosis.not_observed, names),
        warnings=_said(diagnosis.warnings, names),
    )


def _names(arms: Iterable[ArmDiagnosis]) -> dict[str, str]:
    return {arm.arm: arm.label for arm in arms if arm.label and arm.label != arm.arm}


def _arms(arms: Iterable[ArmDiagnosis], names: Names) -> tuple[ArmDiagnosis, ...]:
    return tuple(replace(arm, arm=names.get(arm.arm, arm.arm)) for arm in arms)


def _compared(made: Comparison, names: Names, former: Names) -> Comparison:
    return replace(
        made,
        arms=tuple(
            replace(arm, arm=names.get(arm.arm, arm.arm), before_arm=former.get(arm.before_arm, arm.before_arm)) for arm in made.arms
        ),
        only_before=tuple(former.get(name, name) for name in made.only_before),
        only_after=tuple(names.get(name, name) for name in made.only_after),
    )


def _cells(cells: Iterable[Skipped], names: Names) -> tuple[Skipped, ...]:
    return tuple(replace(cell, arm=names.get(cell.arm, cell.arm), why=_reworded(cell.why, names)) for cell in cells)


def _said(lines: Iterable[str], names: Names) -> tuple[str, ...]:
    return tuple(_reworded(line, names) for line in lines)


def _titled(title: str, names: Names) -> str:
    """A title may name two arms."""
    for name, label in names.items():
        title = title.replace(name, label)
    return title


def _reworded(text: str, names: Names) -> str:
    """A line that begins with an arm's name begins with its label."""
    return next((label + text.removeprefix(name) for name, label in names.items() if text.startswith(name)), text)
