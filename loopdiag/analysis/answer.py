"""The answer in one sentence: which arms grow how, and why where that was proved."""

from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound

#: an exponent whose whole interval lies above it is called super-linear, below its inverse sub-linear
CURVED = 1.1
#: an exponent that may be larger is compatible with super-linear growth, whatever law predicts best
SETTLED = 1.5
#: share of the slope below which a cause does not explain the growth: it is told, but not in the first sentence
NAMED = 0.2


def answer(arms: tuple[ArmDiagnosis, ...], *, partial: bool = False) -> str:
    """One sentence over all arms; it says what is not known, too."""
    measured = [arm for arm in arms if arm.slope_ms is not None]
    if not measured:
        return "Nothing was measured that could be fitted."
    proved = sorted(((arm, cause) for arm in measured if (cause := confirmed(arm)) is not None), key=lambda pair: -_value(pair[0]))
    told = {arm.arm for arm, _ in proved}
    rest = [arm for arm in measured if arm.arm not in told]
    parts = [_proved(arm, cause) for arm, cause in proved]
    parts += [
        part for growth in ("linear", "faster", "slower", "unclear") if (part := _part(growth, [a for a in rest if grows(a) == growth]))
    ]
    silent = [arm.name for arm in arms if arm.slope_ms is None]
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


def confirmed(arm: ArmDiagnosis) -> CauseFound | None:
    """The largest cause of the arm that its intervention confirmed; a step, or one that only showed when others were gone, is none of this slope's."""
    return next((cause for cause in arm.causes if cause.verdict == "CONFIRMED" and (cause.share or 0.0) >= NAMED), None)


def _proved(arm: ArmDiagnosis, cause: CauseFound) -> str:
    """One arm with its confirmed cause: how it grows, by how much, and what the intervention made of it."""
    faster = f"grows faster than N (exponent {_exponent(arm)})" if grows(arm) == "faster" else "grows with N"
    what = cause.cause + (f": {cause.detail}" if cause.detail else "")
    share = "" if cause.share is None else f"{100 * cause.share:.0f} % of {_slope(arm)} ms a request, "
    change = "" if cause.base is None or cause.effect is None else f": {cause.base.value:.3g} → {max(0.0, cause.effect.value):.2g}"
    return f"{arm.name} {faster} because of {what} ({share}CONFIRMED{change})"


def _value(arm: ArmDiagnosis) -> float:
    return arm.slope_ms.value if arm.slope_ms is not None else 0.0


def _part(growth: str, arms: list[ArmDiagnosis]) -> str:
    if not arms:
        return ""
    if growth == "faster":
        return f"{_listed([f'{arm.name} (exponent {_exponent(arm)})' for arm in arms])} grow{_s(arms)} faster than N"
    slopes = _listed([f"{arm.name}{'' if at else ' grows'} by {_slope(arm)}" for at, arm in enumerate(arms)])
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
