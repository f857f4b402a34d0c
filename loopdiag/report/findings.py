"""What every report says of causes and prescriptions: verdicts in words, shares, slopes before and after, what was changed."""

from collections.abc import Mapping
from types import MappingProxyType

from loopdiag.model.comparison import CauseChange
from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Evidence, Prescription, Verdict
from loopdiag.model.document import Document
from loopdiag.model.law import Estimate
from loopdiag.report import format as fmt

YES = "1: yes"  # the unit of a figure that is 1 for yes and 0 for no
HEALTHY = "none"  # the name of the answer that nothing grows

#: verdict → (its mark, what it means)
VERDICTS: Mapping[Verdict, tuple[str, str]] = MappingProxyType(
    {
        "CONFIRMED": ("✓", "its intervention was run, and the slope changed as claimed"),
        "REFUTED": ("✗", "its intervention was run, and the slope did not change as claimed: struck from the diagnosis"),
        "INCONCLUSIVE": ("?", "its intervention was run, and the interval is too wide to tell"),
        "NOT_APPLICABLE": ("·", "nothing can be changed from this side"),
        "NOT_TRIED": ("–", "its intervention was not run"),
    }
)


def worst_first(document: Document) -> list[ArmDiagnosis]:
    """The arms by slope, the steepest first; those without one last."""
    return sorted(document.diagnosis.arms, key=lambda arm: (arm.slope_ms is None, -(arm.slope_ms.value if arm.slope_ms else 0.0)))


def standing(arm: ArmDiagnosis) -> list[CauseFound]:
    """The causes in the order of the diagnosis, those that were refuted last."""
    return sorted(arm.causes, key=lambda cause: cause.verdict == "REFUTED")


def verdict(cause: CauseFound) -> str:
    """The verdict as it is shown."""
    return cause.verdict.replace("_", " ")


def titled(cause: CauseFound) -> str:
    """The cause's name with its detail."""
    detail = fmt.clean(cause.detail)
    return f"{fmt.clean(cause.cause)} ({detail})" if detail else fmt.clean(cause.cause)


def placed(cause: CauseFound | CauseChange) -> str:
    """The line of the program that is to be changed: ``client.py:14 `async with sem:` ``; empty where there is none."""
    if cause.place is None:
        return ""
    text = fmt.clean(cause.place.text)
    return f"{fmt.clean(cause.place.name)} `{text}`" if text else fmt.clean(cause.place.name)


def share(cause: CauseFound) -> str:
    """The share of the slope in percent, with its interval, or the step of the total; empty where neither is known."""
    if cause.offset_ms is not None:
        return f"{fmt.estimate(cause.offset_ms)} ms"
    if cause.share is None:
        return ""
    bounds = [None if bound is None else bound * 100 for bound in (cause.low, cause.high)]
    return f"{fmt.percent(cause.share).removesuffix(' %') if None in bounds else fmt.between(cause.share * 100, *bounds)} %"


def whole(cause: CauseFound) -> str:
    """What the share is a share of."""
    return "of the total at the largest N" if cause.offset_ms is not None else "of the slope"


def capital(text: str) -> str:
    """The text as a sentence begins."""
    said = fmt.clean(text)
    return said[:1].upper() + said[1:]


def because(cause: CauseFound) -> str:
    """Why the verdict is what it is, as a sentence; where it was left open, what would settle it."""
    if cause.verdict == "INCONCLUSIVE" and "too wide an interval" in cause.why:
        return capital(f"{cause.why}; a larger --budget, or a quieter machine, makes it narrower")
    if cause.verdict == "NOT_TRIED" and cause.why.endswith("that were left"):
        return capital(f"{cause.why}: give it a larger --budget")
    return capital(cause.why)


def slopes(arm: ArmDiagnosis, cause: CauseFound) -> list[tuple[str, Estimate]]:
    """Before, predicted and measured, in ms per request, as far as they are known; nothing for a step, and where there is nothing to compare with."""
    if (cause.predicted is None and cause.effect is None) or cause.offset_ms is not None:
        return []  # of a step, `why` tells totals
    before = cause.base or arm.slope_ms
    rows = (("before", before), ("predicted", cause.predicted), ("measured", cause.effect))
    return [(name, number) for name, number in rows if number is not None]


def slopes_line(arm: ArmDiagnosis, cause: CauseFound) -> str:
    """The same in a line: ``8.06 → 1.48 ±0.05 ms/request, predicted 1.51``."""
    seen = dict(slopes(arm, cause))
    if not seen:
        return ""
    before = f"{fmt.estimate(seen['before'])} → " if "before" in seen else ""
    if "measured" not in seen:
        return f"{before}{fmt.estimate(seen['predicted'])} ms/request predicted"
    tail = f"; predicted {fmt.estimate(seen['predicted'])}" if "predicted" in seen else ""
    return f"{before}{fmt.estimate(seen['measured'])} ms/request{tail}"


def figure(evidence: Evidence) -> str:
    """One figure with its unit."""
    unit = "" if evidence.unit == "1" else fmt.clean(evidence.unit)
    if evidence.unit == "share" or (evidence.unit == "1" and "share" in evidence.what):
        return fmt.percent(evidence.value)
    if unit == YES:
        return "yes" if evidence.value else "no"
    whole = float(evidence.value).is_integer() and abs(evidence.value) < 1e15
    if evidence.value == 1 and unit.isalpha() and unit.endswith("s") and len(unit) > len("ms "):
        unit = unit.removesuffix("s")  # 1 request, but 1 ms
    value = f"{evidence.value:.0f}" if whole else fmt.significant(evidence.value)
    return f"{value} {unit}".rstrip()


def evidence(cause: CauseFound) -> list[tuple[str, str]]:
    """What the cause rests on, as (what, figure)."""
    return [(fmt.clean(row.what), figure(row)) for row in cause.evidence]


def leading(arm: ArmDiagnosis) -> CauseFound | None:
    """The cause that the arm's sentence names: the first that was confirmed, else the first that stands; a step only where there is nothing else."""
    found = [cause for cause in arm.causes if cause.verdict != "REFUTED"]
    growing = [cause for cause in found if cause.offset_ms is None] or found
    return next((cause for cause in growing if cause.verdict == "CONFIRMED"), growing[0] if growing else None)


def sentence(arm: ArmDiagnosis) -> str:
    """One arm's answer in one sentence, without its name."""
    if arm.slope_ms is None:
        return f"Its growth is not known: {fmt.clean(arm.law.note or 'too little was measured')}."
    grows = f"one more request costs {fmt.estimate(arm.slope_ms)} ms"
    cause = leading(arm)
    if cause is None:
        struck = [fmt.clean(c.cause) for c in arm.causes]
        none = f"no cause is left: {' and '.join(struck)} did not hold" if struck else "no cause was found"
        return f"{grows.capitalize()}; {none}."
    if cause.cause == HEALTHY:
        return f"Nothing that grows was found: {grows}."
    if cause.offset_ms is not None:
        return f"{grows.capitalize()}; {share(cause)} {whole(cause)} go with {titled(cause)}, {outcome(arm, cause)}."
    line = f" at {placed(cause)}" if cause.place is not None else ""
    part = f"{share(cause)} of it goes with {titled(cause)}" if cause.share is not None else f"it goes with {titled(cause)}"
    part += line
    return f"{grows.capitalize()}; {part}, {outcome(arm, cause)}."


def outcome(arm: ArmDiagnosis, cause: CauseFound) -> str:
    """What became of the cause's intervention, inside a sentence."""
    if cause.verdict == "CONFIRMED":
        before = cause.base or arm.slope_ms
        told = f": {fmt.estimate(before)} → {fmt.estimate(cause.effect)} ms/request" if before and cause.effect else ""
        return f"confirmed by changing it{told}"
    said = {"INCONCLUSIVE": "tried, but not settled", "NOT_APPLICABLE": "which nothing on this side can change"}
    return said.get(cause.verdict, "not verified")


def faster(prescription: Prescription) -> str:
    """How many times less a request costs; empty where nothing of that is sure."""
    if prescription.speedup_high is None and prescription.speedup_low is not None:  # the slope that is left may be 0
        return f"at least {fmt.significant(prescription.speedup_low)} × " if prescription.speedup_low > 1 else ""
    return f"{fmt.between(prescription.speedup, prescription.speedup_low, prescription.speedup_high)} × "


def gain(arm: ArmDiagnosis, prescription: Prescription) -> str:
    """Speed-up, slopes and law of the prescription in one line."""
    # Beside the base that ran with the changes, where there is one: the speed-up is measured against it.
    base = next((cause.base for cause in arm.causes if cause.verdict == "CONFIRMED" and cause.base is not None), arm.slope_ms)
    before = f"{fmt.estimate(base)} → " if base is not None else ""
    law = ""
    if prescription.law is not None and prescription.law.coefficients:
        now, was = (fmt.formula(fmt.law_form(each)) for each in (prescription.law, arm.law))
        law = f", T(N) = {now}" + (f" instead of {was}" if arm.law.coefficients and was != now else "")
    return f"{faster(prescription)}less per request: {before}{fmt.estimate(prescription.slope_ms)} ms/request{law}"


def diff_lines(text: str) -> list[tuple[str, str]]:
    """A unified diff as (kind, line): "file", "hunk", "added", "removed" or "same"."""
    kinds = (("---", "file"), ("+++", "file"), ("@@", "hunk"), ("+", "added"), ("-", "removed"))
    lines = [fmt.clean(line.rstrip("\r")) for line in text.rstrip("\n").split("\n")] if text.strip() else []
    return [(next((kind for start, kind in kinds if line.startswith(start)), "same"), line) for line in lines]


def examined(document: Document) -> bool:
    """Whether anything was said of causes or accounts at all."""
    return bool(document.ledgers) or any(arm.ledger or arm.causes or arm.prescription for arm in document.diagnosis.arms)


NOT_EXAMINED = "Not examined: this run's diagnosis holds neither a ledger nor causes."
