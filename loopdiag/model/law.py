"""Scaling laws: the terms of T(N), their coefficients with intervals, and how well they fit."""

from loopdiag.model.value import Value


class Estimate(Value, frozen=True, kw_only=True):
    """A number with its 95 % interval; one without an interval says why."""

    value: float
    low: float | None = None
    high: float | None = None
    unit: str | None = None
    why: str | None = None  # why there is no interval

    @property
    def half_width(self) -> float | None:
        """Half the interval's width as a share of the value; None where there is no interval or the value is 0."""
        if self.low is None or self.high is None or self.value == 0:
            return None
        return (self.high - self.low) / 2 / abs(self.value)


class Coefficient(Value, frozen=True, kw_only=True):
    """One coefficient of a law, with its 95 % interval."""

    name: str
    value: float
    low: float | None
    high: float | None
    unit: str


class Alternative(Value, frozen=True, kw_only=True):
    """A law that was considered and not chosen; `error` is its leave-one-out error over the chosen one's."""

    form: str
    error: float


class Law(Value, frozen=True, kw_only=True):
    """How the total time of an arm grows with N.

    `form` is one of the candidates of ``analysis/scaling.py`` or "undecided" (near-ties that disagree about growth) or "not enough" (too
    few values of N; `note` says what is missing).
    """

    form: str
    coefficients: tuple[Coefficient, ...] = ()
    exponent: Estimate | None = None  # local exponent d log T / d log N at the sweep's upper end
    alternatives: tuple[Alternative, ...] = ()
    note: str | None = None  # near-ties, abstention, what was missing
    curve: tuple[tuple[float, float, float, float], ...] = ()  # (N, seconds, low, high): the fitted band


class NotEnough(Value, frozen=True, kw_only=True):
    """The evidence does not carry an answer; `why` says what is missing."""

    why: str
