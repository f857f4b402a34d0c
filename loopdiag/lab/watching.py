"""Who watches a run."""

from typing import Protocol

from loopdiag.model.recording import TrialResult, TrialSpec


class Progress(Protocol):
    """Who watches a run.  Times are seconds; `eta_s` is what is left at most."""

    def begin(self, total_estimate_s: float, what: str = "measuring") -> None:
        """A run begins, or another long work that is made of trials."""

    def trial_started(self, spec: TrialSpec, eta_s: float) -> None:
        """A trial begins."""

    def trial_ended(self, result: TrialResult, eta_s: float) -> None:
        """A trial ended and is on disk."""

    def note(self, line: str) -> None:
        """Something worth a line happened."""

    def end(self) -> None:
        """The run is over, however it ended."""


class Silent:
    """Nobody watches."""

    def begin(self, total_estimate_s: float, what: str = "measuring") -> None:
        """Say nothing."""

    def trial_started(self, spec: TrialSpec, eta_s: float) -> None:
        """Say nothing."""

    def trial_ended(self, result: TrialResult, eta_s: float) -> None:
        """Say nothing."""

    def note(self, line: str) -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""
