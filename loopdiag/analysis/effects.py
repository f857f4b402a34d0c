"""What an intervention did to the slope: base against treated trials, paired by N and round, and the verdict on the claim behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from loopdiag.analysis.cells import Cells, Points, read_cells, scatter, smooth
from loopdiag.analysis.distributions import student_quantile
from loopdiag.analysis.slope import estimate, slope
from loopdiag.model.diagnosis import Verdict
from loopdiag.model.law import Estimate

#: a change's interval is narrow where half of it is at most such a part of the change that was predicted
NARROW = 1 / 3
#: and where nothing was predicted, such a part of the base's slope
NARROW_ALONE = 0.05
#: a real change that is surely below this part of the predicted one is not what was claimed
FRACTION = 1 / 4
#: a prediction is told as missed where it lies outside the measured interval by more than this part of the base's slope
TOLD_MISS = 0.1
#: rounds of a comparison, and how many where nothing tells how trials scatter
FEWEST, MOST, UNKNOWN = 2, 8, 4
#: trials are taken to scatter so many times more than earlier ones did
DOUBT = 1.3


@dataclass(frozen=True)
class Effect:
    """What an intervention did.

    Attributes:
        base: slope of the base trials, ms per request; of `total_effect`: their total at the largest N, ms.
        treated: the same of the treated ones, over the same N.
        change: treated less base, from the differences of pairs; below 0: faster.
        verdict: CONFIRMED, REFUTED or INCONCLUSIVE.
        why: the verdict's reason, or how far a confirmed prediction missed; "" where there is nothing to add.
    """

    base: Estimate
    treated: Estimate
    change: Estimate
    verdict: Verdict
    why: str = ""


def effect(base: Points, treated: Points, predicted: Estimate | None = None) -> Effect | None:
    """Compare two scenarios that were run side by side.

    The change is the least-squares slope of the paired differences over N; its interval is Student's, from the scatter of the
    differences within each N, so that whatever drifts slowly and hits both alike is no part of it.

    Args:
        base: N → totals in seconds, in the order of their rounds.
        treated: the same of the changed scenario; the k-th total of an N is the k-th base total's pair.
        predicted: slope of the treated trials, ms per request over the same N; None: only the change itself is judged.

    Returns:
        None where fewer than two values of N were measured on both sides.
    """
    pairs = {n: list(zip(base[n], treated.get(n, ()), strict=False)) for n in sorted(base)}
    pairs = {n: found for n, found in pairs.items() if found}
    if len(pairs) < 2:
        return None
    before, after = (slope({n: [pair[side] for pair in found] for n, found in pairs.items()}) for side in (0, 1))
    change = estimate(_differences(pairs))
    assert before is not None
    assert after is not None
    assert change is not None
    verdict, why = judge(before, after, change, predicted)
    return Effect(before, after, change, verdict, why)


def total_effect(base: Points, treated: Points, offset: Estimate) -> Effect | None:
    """Compare the totals at the largest N that both sides have, for a cause of a step, which a slope does not show.

    Args:
        base: as of `effect`.
        treated: likewise.
        offset: ms of the total that the cause claims.
    """
    pairs = {n: list(zip(base[n], treated.get(n, ()), strict=False)) for n in sorted(base)}
    pairs = {n: found for n, found in pairs.items() if found}
    if not pairs:
        return None
    cells = _differences(pairs)
    seen = scatter(cells)
    before, after = (Estimate(value=1e3 * float(np.mean([pair[side] for pair in pairs[max(pairs)]])), unit="ms") for side in (0, 1))
    change = Estimate(value=1e3 * float(cells.centre[-1]), unit="ms", why="nothing was repeated")
    if seen.dof[seen.group[-1]] >= 1:
        half = 1e3 * student_quantile(float(seen.dof[seen.group[-1]])) * float(cells.scale[-1] * sqrt(seen.variance[-1] / cells.count[-1]))
        change = Estimate(value=change.value, low=change.value - half, high=change.value + half, unit="ms")
    predicted = Estimate(value=before.value - offset.value, unit="ms")
    verdict, why = judge(before, after, change, predicted, f"the total at N = {max(pairs)}", "ms")
    told = f"the total at N = {max(pairs)} changed by {number(change.value)} ms, where {number(-offset.value)} ms was predicted"
    return Effect(before, after, change, verdict, why or told)


def judge(  # noqa: PLR0913, PLR0917 - what is compared, and how it is told
    before: Estimate, after: Estimate, change: Estimate, predicted: Estimate | None, what: str = "the slope", unit: str = "ms per request"
) -> tuple[Verdict, str]:
    """The verdict on a claim that the treated figure would be `predicted`, and its reason."""
    if change.low is None or change.high is None:
        return "INCONCLUSIVE", "too few pairs for an interval"
    half = (change.high - change.low) / 2
    claimed = None if predicted is None else predicted.value - before.value
    told = f"{what} changed by {number(change.value, half)} {unit}"
    if change.low > 0:
        return "REFUTED", f"{what} grew by {number(change.value, half)} {unit}"
    if change.high < 0:
        if claimed is not None and change.low > FRACTION * claimed:
            return "REFUTED", f"{what} fell by {number(-change.value, half)} {unit} only, where {number(-claimed)} was predicted"
        return "CONFIRMED", "" if predicted is None else _miss(before, after, predicted, unit)
    enough = NARROW_ALONE * abs(before.value) if claimed is None else NARROW * abs(claimed)
    if half <= enough and (claimed is None or claimed < 0):
        return "REFUTED", told + ("" if claimed is None else f", where {number(claimed)} was predicted")
    return "INCONCLUSIVE", f"{told}: too wide an interval to tell"


def rounds_needed(points: Points, ns: Sequence[int], claimed_ms: float | None) -> int:
    """How many rounds make a change's interval narrow enough, from the scatter of trials that ran before.

    The number is fixed before the first round: to stop as soon as an interval came out narrow would prefer those that are too narrow by chance, and confirm what is
    not there (in simulated pairs of the same 3.7 % instead of 2.5 %).

    Args:
        points: N → totals in seconds of an earlier sweep of the base.
        ns: values of N that will be compared.
        claimed_ms: the change of the slope that is predicted, in ms per request; None: none is.

    Returns:
        `FEWEST` to `MOST`; `UNKNOWN` where the earlier sweep repeated nothing.
    """
    cells = read_cells({n: points[n] for n in ns})
    seen = scatter(read_cells(points))
    if not seen.known or cells.n.size < 2:
        return UNKNOWN
    centred = cells.n - cells.n.mean()
    weight = centred / (centred**2).sum()
    base_ms = 1e3 * abs(float((weight * cells.centre).sum()))
    wanted_ms = max(0.75 * NARROW * abs(claimed_ms or 0.0), NARROW_ALONE * base_ms)
    one_ms = 1e3 * sqrt(2 * seen.pooled * float((weight**2 * cells.scale**2).sum()))  # standard deviation of one round's change
    for rounds in range(FEWEST, MOST):
        if student_quantile((rounds - 1) * cells.n.size) * DOUBT * one_ms <= wanted_ms * sqrt(rounds):
            return rounds
    return MOST


def _differences(pairs: dict[int, list[tuple[float, float]]]) -> Cells:
    """Treated less base, one cell an N; a difference scatters as both its totals do, so its scale is theirs, not its own size."""
    ns = np.array(list(pairs), dtype=float)
    both = [np.array(found) for found in pairs.values()]
    trials = tuple(np.sort(found[:, 1] - found[:, 0]) for found in both)
    sizes = np.abs(np.array([np.median(found, axis=0) for found in both]))
    return Cells(
        n=ns,
        trials=trials,
        count=np.array([float(found.size) for found in trials]),
        centre=np.array([found.mean() for found in trials]),
        scale=np.hypot(smooth(ns, sizes[:, 0]), smooth(ns, sizes[:, 1])),
    )


def _miss(before: Estimate, after: Estimate, predicted: Estimate, unit: str) -> str:
    """How far a prediction missed, where that is worth a line: outside both intervals, and by more than a tenth of the base's figure."""
    miss = abs(after.value - predicted.value)
    (low, high), (least, most) = (_ends(each) for each in (after, predicted))
    if max(low - most, least - high) <= 0 or miss <= TOLD_MISS * abs(before.value):
        return ""
    return (
        f"predicted {number(predicted.value)}, measured {number(after.value)} {unit}: "
        f"missed by {100 * miss / abs(before.value):.0f} % of {number(before.value)}"
    )


def _ends(each: Estimate) -> tuple[float, float]:
    return each.value if each.low is None else each.low, each.value if each.high is None else each.high


def number(value: float, half: float | None = None) -> str:
    """A figure to three digits, with half its interval to two."""
    told = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return told if half is None else f"{told} ± {f'{half:.2g}' if half < 100 else f'{half:.0f}'}"
