"""What every report says of a run beside an earlier one: verdicts, slopes, accounts and causes, in words."""

from collections.abc import Iterator

from loopdiag.model.comparison import AccountChange, ArmComparison, CauseChange, Change, Comparison
from loopdiag.model.law import Estimate
from loopdiag.report import findings
from loopdiag.report import format as fmt

MOST = 5  # accounts shown
APART = "The runs were made at different times: what changed on the machine between them counts, too."

#: verdict → colour of a terminal
STYLES: dict[Change, str] = {"slower": "bold red", "faster": "bold green", "no difference seen": "", "not decided": "yellow"}


def title(comparison: Comparison) -> str:
    """The two runs."""
    after = f"{fmt.clean(comparison.after)}, " if comparison.after else ""
    return f"{after}compared with {fmt.clean(comparison.before)}"


def name(arm: ArmComparison) -> str:
    """The arm, with its former name where that was another."""
    return fmt.clean(arm.arm if arm.arm == arm.before_arm else f"{arm.before_arm} → {arm.arm}")


def slopes(arm: ArmComparison) -> str:
    """``2.10 ±0.04 → 3.35 ±0.06 ms/request``."""
    return f"{fmt.estimate(arm.before_ms)} → {fmt.estimate(arm.after_ms)} ms/request"


def verdict(arm: ArmComparison) -> str:
    """The verdict with its figure."""
    if arm.change == "not decided":
        return f"{arm.change}: {fmt.clean(arm.why) or 'too little was measured'}"
    if arm.change == "no difference seen":
        return f"{arm.change}{'' if arm.visible is None else f' (could see ≥ {fmt.percent(arm.visible)})'}"
    if ratio(arm) == fmt.DASH:
        why = "the former slope is 0" if arm.ratio is None else fmt.clean(arm.ratio.why or "")
        return f"{arm.change}: {signed(arm.difference_ms)} ms/request{f'; no ratio: {why}' if why else ''}"
    return f"{arm.change}: {ratio(arm)} times, {signed(arm.difference_ms)} ms/request"


def ratio(arm: ArmComparison) -> str:
    """The later slope over the earlier one, ``1.60 ±0.04``; a dash where every ratio is possible: the verdict says why."""
    return fmt.DASH if arm.ratio is None or arm.ratio.low is None else fmt.estimate(arm.ratio)


def signed(change: Estimate | None) -> str:
    """A difference with its sign."""
    text = fmt.estimate(change)
    return f"+{text}" if change is not None and change.value > 0 else text


def exponents(arm: ArmComparison) -> str:
    """``exponent 1.00 ±0.02 → 1.90 ±0.05``; empty where neither is known."""
    if arm.before_exponent is None and arm.after_exponent is None:
        return ""
    return f"exponent {fmt.estimate(arm.before_exponent)} → {fmt.estimate(arm.after_exponent)}"


def laws(arm: ArmComparison) -> str:
    """Both forms, or the one that they share."""
    old, new = (fmt.formula(form) for form in (arm.before_law, arm.after_law))
    return f"law {new}" if old == new else f"law {old} → {new}"


def over(arm: ArmComparison) -> str:
    """Over which N the slopes were compared."""
    if arm.ns:
        return f"over N = {', '.join(map(str, arm.ns))}, which both runs measured"
    return "each over its own N: the runs share fewer than two values of N"


def account(change: AccountChange) -> str:
    """``wait/client-pool +1.20 ±0.05 ms/request (0.10 → 1.30)``."""
    was, now = (fmt.significant(value) for value in (change.before_ms, change.after_ms))
    return f"{fmt.clean(change.account)} {signed(change.change_ms)} ms/request ({was} → {now})"


def cause(change: CauseChange) -> str:
    """The cause with its detail, share and line."""
    detail = f" ({fmt.clean(change.detail)})" if change.detail else ""
    share = f", {fmt.percent(change.share)} of the slope" if change.share is not None else ""
    line = f", {findings.placed(change)}" if change.place is not None else ""
    return f"{fmt.clean(change.cause)}{detail}{share}{line}"


def details(arm: ArmComparison) -> Iterator[tuple[str, str]]:
    """Everything else of an arm, as (what, text)."""
    yield "", "; ".join(filter(None, (laws(arm), exponents(arm), over(arm))))
    for change in arm.accounts[:MOST]:
        yield "account", account(change)
    if len(arm.accounts) > MOST:
        yield "account", f"and {fmt.count(len(arm.accounts) - MOST, 'smaller change')}"
    yield from (("came", cause(change)) for change in arm.came)
    yield from (("went", cause(change)) for change in arm.went)


def notes(comparison: Comparison) -> Iterator[str]:
    """What else a reader must know."""
    for names, which in ((comparison.only_before, "the earlier"), (comparison.only_after, "the later")):
        if names:
            yield f"Only in {which} run: {', '.join(map(fmt.clean, names))}."
    if comparison.differs:
        yield f"Also changed: {'; '.join(map(fmt.clean, comparison.differs))}."
    yield APART
