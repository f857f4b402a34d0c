"""A run's folder → its document, its evidence and what the causes say of it: what both diagnosing and verifying begin with."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

from msgspec.structs import replace

from loopdiag.analysis.answer import answer
from loopdiag.analysis.diagnose import analyse
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.gather import evidence_of
from loopdiag.analysis.stacks import of_requests
from loopdiag.causes import CAUSES
from loopdiag.causes.judging import judge
from loopdiag.errors import LoopdiagError
from loopdiag.lab import store
from loopdiag.model.document import Document
from loopdiag.model.scenario import Scenario
from loopdiag.verify import Hypotheses
from loopdiag.verify.hypotheses import Found
from loopdiag.verify.record import Verified
from loopdiag.verify.told import with_verdicts


@dataclass(frozen=True)
class Analysed:
    """A recording, analysed and judged.

    Attributes:
        folder: of the run.
        document: without causes.
        evidence: of each arm that has a slope.
        judged: arm → what the causes say.
        hypotheses: the causes that were asked.
    """

    folder: Path
    document: Document
    evidence: Mapping[str, Evidence]
    judged: Mapping[str, Found]
    hypotheses: Hypotheses

    def told(self, verified: Verified | None) -> Document:
        """The document with causes, verdicts and prescriptions; `verified` is what was tried, None: nothing."""
        diagnosis, scenario = self.document.diagnosis, self.document.recording.scenario
        arms = tuple(
            with_verdicts(arm, self.judged[arm.arm].found, self._alone(scenario, arm.arm), verified, self.folder)
            if arm.arm in self.judged
            else arm
            for arm in diagnosis.arms
        )
        partial = diagnosis.partial or (verified is not None and verified.interrupted)
        warnings = [f"{arm}: the cause {name} failed: {why}" for arm, said in self.judged.items() for name, why in said.broken.items()]
        silent = [f"{arm}: cause {name}: {why}" for arm, said in self.judged.items() for name, why in said.not_enough.items()]
        if verified is not None:
            warnings += verified.warnings
            warnings += ["verification was interrupted: causes without a verdict were not tried"] if verified.interrupted else []
        diagnosis = replace(
            diagnosis,
            arms=arms,
            partial=partial,
            answer=answer(arms, partial=partial),
            warnings=tuple(dict.fromkeys((*diagnosis.warnings, *warnings))),
            not_observed=tuple(sorted({*diagnosis.not_observed, *silent})),
        )
        return replace(self.document, diagnosis=diagnosis)

    def _alone(self, scenario: Scenario, arm: str) -> Scenario:
        return replace(scenario, arms=tuple(each for each in scenario.arms if each.name == arm)[:1])


def analysed(folder: Path, document: Document | None = None, hypotheses: Hypotheses | None = None) -> Analysed:
    """Analyse and judge the run in `folder`.

    Args:
        folder: of the run.
        document: what was made of it before; None: it is read and analysed.
        hypotheses: the causes to ask; None: all that there are.

    Raises:
        InputError: it holds no recording.
    """
    asked = hypotheses or Hypotheses(causes=CAUSES, judge=judge, again=again)
    if document is None:
        document, evidence = _analyse(folder)
    else:
        laws = {arm.arm: arm.law for arm in document.diagnosis.arms}
        evidence = evidence_of(document.recording, document.timelines, document.profiles, document.top, laws)
    judged = {arm: asked.judge(each) for arm, each in evidence.items()}
    return Analysed(folder, document, evidence, judged, asked)


def again(folder: Path, scenario: Scenario) -> Evidence | None:
    """The evidence of a treated side; its scenario is what it says, not what the side's folder says of its sweep.  None where it has no slope."""
    try:
        _, found = _analyse(folder)
    except LoopdiagError:
        return None
    made = next(iter(found.values()), None)
    if made is None:
        return None
    return changed(made, scenario=scenario)


def _analyse(folder: Path) -> tuple[Document, dict[str, Evidence]]:
    return analyse(
        store.load(folder),
        lambda trial: store.columns(folder, trial),
        profiles=lambda trial: of_requests(store.profiles(folder, trial)),
        calls=lambda trial: store.calls(folder, trial),
    )
