"""What every report says of a ladder: its rungs from the ground up, and what each layer adds."""

from loopdiag.model.diagnosis import LadderFound, Rung
from loopdiag.report import format as fmt

HEADS = ("Rung", "Slope, ms/request", "This layer adds", "Share")


def title(ladder: LadderFound) -> str:
    """The loop, and the values of N."""
    over = f", over N = {', '.join(map(str, ladder.ns))}" if ladder.ns else ""
    return f"{fmt.clean(ladder.loop)}{over}"


def row(ladder: LadderFound, rung: Rung) -> tuple[str, str, str, str]:
    """Arm, slope, step and share of the highest rung's slope; the lowest rung's step is its slope."""
    sign = "" if rung is ladder.rungs[0] or rung.step_ms.value < 0 else "+"
    return fmt.clean(rung.arm), fmt.estimate(rung.slope_ms), f"{sign}{fmt.estimate(rung.step_ms)}", fmt.percent(rung.share)


def rows(ladder: LadderFound) -> list[tuple[str, str, str, str]]:
    """The rungs, the lowest first."""
    return [row(ladder, rung) for rung in ladder.rungs]


def total(ladder: LadderFound) -> str:
    """What the steps add up to, and the highest rung's slope."""
    if not ladder.rungs:
        return ""
    steps = sum(rung.step_ms.value for rung in ladder.rungs)
    return f"The steps add up to {fmt.significant(steps)} ms/request, the slope of {fmt.clean(ladder.rungs[-1].arm)}."


def notes(ladder: LadderFound) -> list[str]:
    """The sum, why rungs are missing, and why numbers have no interval."""
    bare = [
        f"{fmt.clean(rung.arm)}: no interval: {fmt.clean(number.why)}"
        for rung in ladder.rungs
        for number in (rung.slope_ms, rung.step_ms)
        if number.low is None and number.why
    ]
    return [text for text in dict.fromkeys((total(ladder), fmt.clean(ladder.why), *bare)) if text]
