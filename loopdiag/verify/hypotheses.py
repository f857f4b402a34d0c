"""What a verification asks: causes by name, and what is said of an arm."""

from collections.abc import Mapping
from typing import Protocol

from loopdiag.causes import Cause
from loopdiag.model.attribution import Attribution


class Found(Protocol):
    """A judgement, such as `causes.judging.Judgement`."""

    @property
    def found(self) -> tuple[Attribution, ...]:
        """Largest share first."""

    @property
    def not_enough(self) -> Mapping[str, str]:
        """Cause → what is missing."""

    @property
    def broken(self) -> Mapping[str, str]:
        """Cause → the exception's line."""


class Causes(Protocol):
    """Causes by name."""

    def __contains__(self, name: object) -> bool:
        """Whether there is such a cause."""

    def __getitem__(self, name: str) -> Cause:
        """The cause."""
