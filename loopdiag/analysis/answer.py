"""The answer in one sentence: which arms grow how."""

from loopdiag.model.diagnosis import ArmDiagnosis

#: an exponent whose whole interval lies above it is called super-linear, below its inverse sub-linear
CURVED = 1.1
#: an exponent that may be larger is compatible with super-linear growth, whatever law predicts best
SETTLED = 1.5


def answer(arms: tuple[ArmDiagnosis, ...], *, partial: bool = False) -> str:
    """One sentence over all arms; it says what is not known, too."""
    measured = [arm for arm in arms if arm.slope_ms is not None]
    if not measured:
        return "Nothing was measured that could be fitted."
    parts = [
        part for growth in ("linear", "faster", "slower", "unclear") if (part := _part(growth, [a for a in measured if grows(a) == growth]))
    ]
    silent = [arm.arm for arm in arms if arm.slope_ms is None]
    if silent:
        parts.append(f"{_listed(silent)} could not be fitted")
    return "; ".join(parts) + (" (partial: the run was interrupted)." if partial else ".")


def grows(arm: ArmDiagnosis) -> str:
    """How the arm's total grows with N: "linear", "faster", "slower" (than N), or "unclear" where the evidence does not carry."""
    exponent = arm.law.exponent
    if arm.law.form in {"not enough", "undecided"} or exponent is None or exponent.low is None or exponent.high is None:
        return "unclear"
    if exponent.low > CURVED:
        return "faster"
    if exponent.high > SETTLED:
        return "unclear"
    if arm.law.form == "a + b*N":
        return "linear"
    if exponent.high < 1 / CURVED:
        return "slower"
    return "linear"


def _part(growth: str, arms: list[ArmDiagnosis]) -> str:
    if not arms:
        return ""
    if growth == "faster":
        return f"{_listed([f'{arm.arm} (exponent {_exponent(arm)})' for arm in arms])} grow{_s(arms)} faster than N"
    slopes = _listed([f"{arm.arm} by {_slope(arm)}" for arm in arms])
    words = {"linear": "in proportion to N", "slower": "more slowly than N", "unclear": "by a law that the evidence does not settle"}[
        growth
    ]
    return f"{slopes} ms a request, {words}"


def _exponent(arm: ArmDiagnosis) -> str:
    return f"{arm.law.exponent.value:.1f}" if arm.law.exponent is not None else "?"


def _slope(arm: ArmDiagnosis) -> str:
    return f"{arm.slope_ms.value:.3g}" if arm.slope_ms is not None else "?"


def _s(arms: list[ArmDiagnosis]) -> str:
    return "s" if len(arms) == 1 else ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
