"""``--fail-if``: a comparison on the diagnosis, for scripts and CI, such as ``httpx/asyncio.slope_ms > 5`` or ``exponent >= 1.2``."""

import operator
import re

from loopdiag.errors import InputError
from loopdiag.model.diagnosis import ArmDiagnosis, Diagnosis
from loopdiag.model.law import Estimate
from loopdiag.model.value import Value

FIELDS = ("slope_ms", "exponent", "errors", "connections_per_request", "server_utilisation", "reused_share")
BOUNDS = ("value", "low", "high")
COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}

PATTERN = re.compile(
    rf"\s*(?:(?P<arm>[\w.-]+/[\w.-]+)\.)?(?P<field>{'|'.join(FIELDS)})(?:\.(?P<bound>{'|'.join(BOUNDS)}))?"
    r"\s*(?P<compare>>=|<=|>|<)\s*(?P<number>[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*"
)


class Gate(Value, frozen=True, kw_only=True):
    """One comparison; without an arm it holds where any arm's value satisfies it."""

    text: str
    arm: str | None
    field: str
    bound: str
    compare: str
    number: float

    def verdict(self, diagnosis: Diagnosis) -> tuple[list[str], list[str]]:
        """The arms for which it holds, one line each, and those whose value is not known."""
        holds, unknown = [], []
        for arm in diagnosis.arms:
            if self.arm not in {None, arm.arm}:
                continue
            value = _value(arm, self.field, self.bound)
            if value is None:
                unknown.append(f"{arm.arm}.{self.field} is not known, so {self.text!r} is not decided there")
            elif COMPARE[self.compare](value, self.number):
                holds.append(f"{arm.arm}.{self.field} is {value:.4g}: {self.text!r} holds")
        if self.arm is not None and not holds and not unknown and self.arm not in {arm.arm for arm in diagnosis.arms}:
            unknown.append(f"no arm {self.arm!r} in this run, so {self.text!r} is not decided")
        return holds, unknown


def parse_gate(text: str) -> Gate:
    """Read a gate.

    Raises:
        InputError: it is no comparison of a known value with a number.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise InputError(
            f"--fail-if: expected [CLIENT/LOOP.]VALUE[.low|.high] > NUMBER with VALUE one of {', '.join(FIELDS)}, got {text!r}"
        )
    parts = match.groupdict()
    return Gate(
        text=text.strip(),
        arm=parts["arm"],
        field=parts["field"],
        bound=parts["bound"] or "value",
        compare=parts["compare"],
        number=float(parts["number"]),
    )


def _value(arm: ArmDiagnosis, field: str, bound: str) -> float | None:
    if field == "errors":
        return float(sum(arm.errors.values()))
    value = arm.law.exponent if field == "exponent" else getattr(arm, field)
    if isinstance(value, Estimate):
        number: float | None = getattr(value, bound)
        return number
    return None if value is None else float(value)
