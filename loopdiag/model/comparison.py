"""What became of a run's growth since another run: slopes, their difference and ratio, accounts and causes that changed."""

from typing import Literal

from loopdiag.model.law import Estimate
from loopdiag.model.program import Place
from loopdiag.model.value import Value

Change = Literal["slower", "faster", "no difference seen", "not decided"]


class AccountChange(Value, frozen=True, kw_only=True):
    """One account of the slope in both runs, in ms per request; one that a run does not have counts 0 there."""

    account: str
    before_ms: float
    after_ms: float
    change_ms: Estimate


class CauseChange(Value, frozen=True, kw_only=True):
    """A cause that one run names and the other does not."""

    cause: str
    detail: str = ""
    share: float | None = None  # of the slope, in the run that names it
    place: Place | None = None


class ArmComparison(Value, frozen=True, kw_only=True):
    """One arm in both runs; slopes are over `ns`."""

    arm: str  # as the later run calls it
    before_arm: str
    ns: tuple[int, ...]  # values of N that both measured; empty: fewer than two, so each slope is over its own
    before_ms: Estimate | None
    after_ms: Estimate | None
    difference_ms: Estimate | None = None  # after less before
    ratio: Estimate | None = None  # after / before
    change: Change = "not decided"
    visible: float | None = None  # where no difference was seen: one of this part of the former slope, or more, would have been
    before_exponent: Estimate | None = None
    after_exponent: Estimate | None = None
    before_law: str = ""
    after_law: str = ""
    accounts: tuple[AccountChange, ...] = ()  # that changed, the largest change first
    came: tuple[CauseChange, ...] = ()
    went: tuple[CauseChange, ...] = ()
    why: str = ""  # not decided: why


class Comparison(Value, frozen=True, kw_only=True):
    """A run beside an earlier one."""

    before: str  # the folder or file of the earlier run, as it was given
    after: str  # "": this run
    arms: tuple[ArmComparison, ...] = ()
    only_before: tuple[str, ...] = ()  # arms that the later run does not have
    only_after: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()  # what else changed between the runs: machine, versions, scenario
