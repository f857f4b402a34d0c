"""An attempt's folder → what came out: both sides' totals, the effect, the verdict.  Nothing is run; the same while verifying and years later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import asdict, replace

from loopdiag.analysis.effects import Effect, effect, total_effect
from loopdiag.analysis.slope import slope
from loopdiag.errors import LoopdiagError
from loopdiag.lab import store
from loopdiag.lab.pairs import paired
from loopdiag.model.diagnosis import Verdict
from loopdiag.model.law import Estimate
from loopdiag.model.recording import Recording
from loopdiag.model.scenario import Scenario
from loopdiag.verify.record import BASE, TREATED, Attempt

Points = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class Outcome:
    """What an attempt gave.

    Attributes:
        attempt: what was tried.
        effect: None where too little was measured; `why` then says what is missing.
        predicted: the replay's prediction, scaled to the base that was measured.
        base, treated: N → totals in seconds, paired.
        scenario: of the treated side; None where it could not be read.
    """

    attempt: Attempt
    effect: Effect | None
    predicted: Estimate | None
    base: Points = field(default_factory=dict)
    treated: Points = field(default_factory=dict)
    scenario: Scenario | None = None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the effect says; INCONCLUSIVE where there is none."""
        return "INCONCLUSIVE" if self.effect is None else self.effect.verdict

    @property
    def reason(self) -> str:
        """Why, in a line; "" where there is nothing to add."""
        return self.why if self.effect is None else self.effect.why

    @property
    def adopted(self) -> bool:
        """Whether its change is part of the prescription."""
        return self.verdict == "CONFIRMED" and self.attempt.remedy

    @property
    def gain(self) -> float:
        """What of the base's slope is gone, 0 … 1."""
        if self.effect is None or self.effect.base.value <= 0:
            return 0.0
        return -self.effect.change.value / self.effect.base.value


def outcome(folder: Path, attempt: Attempt) -> Outcome:
    """Read one attempt's sub-recordings under the run's `folder`."""
    place = folder / attempt.folder
    try:
        base, treated = store.load(place / BASE), store.load(place / TREATED)
    except LoopdiagError as fault:
        return Outcome(attempt, None, attempt.predicted, why=fault.faults[0])
    before, after = paired(base, treated)
    if idle := idle_knobs(base, treated):
        return Outcome(attempt, None, attempt.predicted, before, after, treated.scenario, idle)
    found, predicted = compared(attempt, before, after)
    stopped = "; ".join(dict.fromkeys((*base.warnings, *treated.warnings)))
    why = "" if found is not None else f"too little was measured: {stopped or 'the time was over'}"
    return Outcome(attempt, found, predicted, before, after, treated.scenario, why)


def idle_knobs(base: Recording, treated: Recording) -> str:
    """Why what was to be changed in a program was not, where a knob of the treated side alone never acted; "" else."""
    told = asdict(treated.scenario.knobs)
    new = {name for name, value in asdict(base.scenario.knobs).items() if value != told[name]}
    idle = dict[str, str]()
    for trial in treated.trials:
        if trial.usable:
            idle |= {name: why for name, why in trial.knobs_idle.items() if name in new}
    acted = {name for trial in treated.trials for name in trial.knobs_acted}
    return "; ".join(f"the knob {name} changed nothing in the program: {why}" for name, why in sorted(idle.items()) if name not in acted)


def compared(attempt: Attempt, before: Points, after: Points) -> tuple[Effect | None, Estimate | None]:
    """The effect, and the prediction that it was judged by."""
    base = slope(before)
    predicted = scaled(attempt, base)
    if attempt.offset is not None:
        return total_effect(before, after, attempt.offset), predicted
    return effect(before, after, predicted), predicted


def scaled(attempt: Attempt, base: Estimate | None) -> Estimate | None:
    """The prediction over the measured base: a replay predicts a ratio; the slope that it starts from drifts with the machine."""
    predicted = attempt.predicted
    if predicted is None or base is None or not attempt.expected or attempt.expected <= 0 or base.value <= 0:
        return predicted
    factor = base.value / attempt.expected
    return replace(
        predicted,
        value=predicted.value * factor,
        low=None if predicted.low is None else predicted.low * factor,
        high=None if predicted.high is None else predicted.high * factor,
    )
