"""``--fail-if``: a comparison on the diagnosis, for scripts and CI.

``httpx/asyncio.slope_ms > 5``, ``exponent >= 1.2``, ``httpx/asyncio.causes.library_overhead.share > 0.5``;
beside an earlier run ``program/own.ratio.low > 1.1``, ``difference_ms > 0.5``, ``causes_came > 0``.
"""

import operator
import re
from collections.abc import Collection

from loopdiag.errors import InputError
from loopdiag.model.diagnosis import ArmDiagnosis, Diagnosis
from loopdiag.model.law import Estimate
from loopdiag.model.value import Value

FIELDS = ("slope_ms", "exponent", "errors", "connections_per_request", "server_utilisation", "reused_share")
COMPARED = ("ratio", "difference_ms", "causes_came")  # of a run beside an earlier one
CAUSE_FIELDS = ("share", "slope_ms", "predicted", "effect")
BOUNDS = ("value", "low", "high")
COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}

NAME = r"(?:(?!\.causes\.)[\w.-])+"  # a part of an arm's: what follows is no part of it
PATTERN = re.compile(
    rf"\s*(?:(?P<arm>(?!causes\.){NAME}(?:/{NAME})?)\.)?(?P<field>{'|'.join((*FIELDS, *COMPARED))}|causes\.(?P<cause>\w+)\.(?P<of_cause>{'|'.join(CAUSE_FIELDS)}))(?:\.(?P<bound>{'|'.join(BOUNDS)}))?"
    r"\s*(?P<compare>>=|<=|>|<)\s*(?P<number>-?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*"
)


class Gate(Value, frozen=True, kw_only=True):
    """One comparison; without an arm it holds where any arm's value satisfies it."""

    text: str
    arm: str | None
    field: str
    bound: str
    compare: str
    number: float
    cause: str | None = None  # `field` is then one of its own

    def verdict(self, diagnosis: Diagnosis) -> tuple[list[str], list[str]]:
        """The arms for which it holds, one line each, and those whose value is not known."""
        holds, unknown = [], []
        for arm in diagnosis.arms:
            if self.arm not in {None, arm.arm, arm.name}:
                continue
            name = self.field if self.cause is None else f"causes.{self.cause}.{self.field}"
            value = self._figure(diagnosis, arm)
            if value is None and self.field in COMPARED and diagnosis.comparison is None:
                unknown.append(f"there is no baseline, so {self.text!r} is not decided for {arm.name}")
            elif value is None:
                unknown.append(f"{arm.name}.{name} is not known, so {self.text!r} is not decided there")
            elif COMPARE[self.compare](value, self.number):
                holds.append(f"{arm.name}.{name} is {value:.4g}: {self.text!r} holds")
        known = {name for arm in diagnosis.arms for name in (arm.arm, arm.name)}
        if self.arm is not None and not holds and not unknown and self.arm not in known:
            unknown.append(f"no arm {self.arm!r} in this run, so {self.text!r} is not decided")
        return holds, unknown

    def _figure(self, diagnosis: Diagnosis, arm: ArmDiagnosis) -> float | None:
        if self.cause is not None:
            return _of_cause(arm, self.cause, self.field, self.bound)
        return _compared(diagnosis, arm, self.field, self.bound) if self.field in COMPARED else _value(arm, self.field, self.bound)


def parse_gate(text: str, causes: Collection[str] | None = None) -> Gate:
    """Read a gate.

    Args:
        text: as the user wrote it.
        causes: names that there are; None: any.

    Raises:
        InputError: it is no comparison of a known value with a number.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise InputError(
            f"--fail-if: expected [CLIENT/LOOP.]VALUE[.low|.high] > NUMBER with VALUE one of {', '.join((*FIELDS, *COMPARED))}, "
            f"causes.NAME.{'|'.join(CAUSE_FIELDS)}, got {text!r}"
        )
    parts = match.groupdict()
    if parts["cause"] is not None and causes is not None and parts["cause"] not in causes:
        raise InputError(f"--fail-if: {text!r}: there is no cause {parts['cause']!r}; 'loopdiag list causes' names them")
    return Gate(
        text=text.strip(),
        arm=parts["arm"],
        field=parts["of_cause"] or parts["field"],
        cause=parts["cause"],
        bound=parts["bound"] or "value",
        compare=parts["compare"],
        number=float(parts["number"]),
    )


def _value(arm: ArmDiagnosis, field: str, bound: str) -> float | None:
    if field == "errors":
        return arm.failures
    value = arm.law.exponent if field == "exponent" else getattr(arm, field)
    if isinstance(value, Estimate):
        number: float | None = getattr(value, bound)
        return number
    return None if value is None else float(value)


def _compared(diagnosis: Diagnosis, arm: ArmDiagnosis, field: str, bound: str) -> float | None:
    """A figure of the arm beside an earlier run's."""
    made = None if diagnosis.comparison is None else next((each for each in diagnosis.comparison.arms if each.arm == arm.arm), None)
    if made is None:
        return None
    if field == "causes_came":
        return float(len(made.came))
    value: Estimate | None = getattr(made, field)
    number: float | None = None if value is None else getattr(value, bound)
    return number


def _of_cause(arm: ArmDiagnosis, name: str, field: str, bound: str) -> float | None:
    """A cause's figure: a share of 0 where the arm was judged and the cause was not found, or refuted; None where nothing was judged, or the figure is not there."""
    if not arm.causes:
        return None
    claimed = field in {"share", "slope_ms"}
    cause = next((each for each in arm.causes if each.cause == name and not (claimed and each.verdict == "REFUTED")), None)
    if cause is None:
        return 0.0 if claimed else None
    if field == "share":
        return {"value": cause.share, "low": cause.low, "high": cause.high}[bound]
    if field == "slope_ms":
        return cause.slope_ms if bound == "value" else None
    value: Estimate | None = getattr(cause, field)
    number: float | None = None if value is None else getattr(value, bound)
    return number
