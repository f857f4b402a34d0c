"""Two runs beside each other: how the slope of each arm changed, by how much at least, and what changed with it."""

from collections import Counter
from collections.abc import Iterator
from math import sqrt

from loopdiag.analysis.cells import Points, read_cells
from loopdiag.analysis.distributions import student_quantile
from loopdiag.analysis.scaling import CONSTANT, LINE, NOT_ENOUGH, UNDECIDED, WAVES
from loopdiag.analysis.slope import UNIT, slope, spread
from loopdiag.model.comparison import AccountChange, ArmComparison, CauseChange, Change, Comparison
from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Diagnosis, LedgerEntry
from loopdiag.model.law import Estimate
from loopdiag.model.recording import Environment

#: a change of an account that has no interval is told from this part of the former slope on
TOLD = 0.05
#: a true difference of so many times the interval's half is seen in four runs of five; one of just the half in every second
SEEN = 1.4
HEALTHY = "none"
#: laws with the same slope over any N, and those that say nothing of it
STRAIGHT = frozenset({CONSTANT, LINE, WAVES, NOT_ENOUGH, UNDECIDED})


def compare(before: Diagnosis, after: Diagnosis, *, before_name: str = "", after_name: str = "") -> Comparison:
    """Put a run beside an earlier one, arm by arm.

    Arms are paired by name; where both runs have one arm only, these two.

    Args:
        before: the earlier run.
        after: the later one.
        before_name: where the earlier one was read from.
        after_name: likewise; "": it is the run that the comparison is kept with.
    """
    old, new = ({arm.arm: arm for arm in run.arms} for run in (before, after))
    pairs = [(old[name], new[name]) for name in new if name in old]
    if not pairs and len(old) == len(new) == 1:
        pairs = [(before.arms[0], after.arms[0])]
    matched = {arm.arm for pair in pairs for arm in pair}
    return Comparison(
        before=before_name,
        after=after_name,
        arms=tuple(compare_arms(*pair) for pair in pairs),
        only_before=tuple(name for name in old if name not in matched),
        only_after=tuple(name for name in new if name not in matched),
        differs=tuple(_differences(before, after, pairs)),
    )


def compare_arms(before: ArmDiagnosis, after: ArmDiagnosis) -> ArmComparison:
    """One arm in both runs."""
    points = [{point.n: point.total_s for point in arm.points} for arm in (before, after)]
    common = tuple(sorted(n for n in points[0] if points[0][n] and points[1].get(n)))
    ns = common if len(common) > 1 else ()
    shared = [{n: found[n] for n in ns} for found in points] if ns else points
    slopes = [slope(found) if len(found) > 1 else None for found in shared]
    apart = "" if ns else _apart(before, after)
    difference, ratio = slope_change(shared[0], shared[1]) if None not in slopes and not apart else (None, None)
    change, visible, why = _verdict(slopes, difference, apart)
    return ArmComparison(
        arm=after.arm,
        before_arm=before.arm,
        ns=ns,
        before_ms=slopes[0],
        after_ms=slopes[1],
        difference_ms=difference,
        ratio=ratio,
        change=change,
        visible=visible,
        why=why,
        before_exponent=before.law.exponent,
        after_exponent=after.law.exponent,
        before_law=before.law.form,
        after_law=after.law.form,
        accounts=tuple(_accounts(before, after)),
        came=tuple(_only(after, before)),
        went=tuple(_only(before, after)),
    )


def _apart(before: ArmDiagnosis, after: ArmDiagnosis) -> str:
    """Why slopes over different N cannot be compared, where a law bends: each is then its sweep's as much as the program's; "" else."""
    bent = [arm.law.form for arm in (before, after) if arm.law.form not in STRAIGHT]
    return f"the runs share fewer than two values of N, and by the law {bent[0]} other N have another slope" if bent else ""


def slope_change(before: Points, after: Points) -> tuple[Estimate, Estimate | None]:
    """Difference and ratio of two slopes that were measured apart, with Welch's and Fieller's intervals; no ratio to a slope of 0.

    Args:
        before: N → totals in seconds, of two values of N at least.
        after: likewise.
    """
    cells = [read_cells(points) for points in (before, after)]
    slopes = [slope(points) for points in (before, after)]
    spreads = [spread(found) for found in cells]
    (old, new), (first, second) = (0.0 if each is None else each.value for each in slopes), spreads
    if first is None or second is None:
        why = "too few repetitions for an interval"
        return Estimate(value=new - old, unit=UNIT, why=why), Estimate(value=new / old, why=why) if old else None
    variances = (1e6 * first[0], 1e6 * second[0])
    t = student_quantile(_welch(variances, (first[1], second[1])))
    half = t * sqrt(sum(variances))
    difference = Estimate(value=new - old, low=new - old - half, high=new - old + half, unit=UNIT)
    return difference, fieller(old, new, variances, t) if old else None


def _welch(variances: tuple[float, float], dofs: tuple[float, float]) -> float:
    """Degrees of freedom of a difference's variance, after Welch and Satterthwaite; at least 1."""
    below = sum(variance**2 / max(dof, 1.0) for variance, dof in zip(variances, dofs, strict=True))
    return max(1.0, sum(variances) ** 2 / below) if below > 0 else max(1.0, *dofs)


def fieller(old: float, new: float, variances: tuple[float, float], t: float) -> Estimate:
    """The ratio `new / old` of two independent estimates with its interval after Fieller: all r for which `new - r * old` may be 0.

    Args:
        old: the divisor, not 0.
        new: the dividend.
        variances: of both, in the same order.
        t: Student's quantile.

    Returns:
        Without an interval, and with `why`, where the divisor may itself be 0: every ratio is then possible.
    """
    square = old**2 - t**2 * variances[0]
    if square <= 0:
        return Estimate(value=new / old, why="the former slope may be 0, so that every ratio is possible")
    middle = old * new
    root = sqrt(max(0.0, middle**2 - square * (new**2 - t**2 * variances[1])))
    return Estimate(value=new / old, low=(middle - root) / square, high=(middle + root) / square)


def _verdict(slopes: list[Estimate | None], difference: Estimate | None, apart: str) -> tuple[Change, float | None, str]:
    """The verdict; where no difference was seen what could have been, where none can be given why."""
    old, new = slopes
    if old is None or new is None:
        return "not decided", None, f"the {'earlier' if old is None else 'later'} run has no slope"
    if difference is None:
        return "not decided", None, apart
    if difference.low is None or difference.high is None:
        return "not decided", None, difference.why or ""
    if difference.low > 0:
        return "slower", None, ""
    if difference.high < 0:
        return "faster", None, ""
    reach = (difference.high - difference.low) / 2
    return "no difference seen", SEEN * reach / abs(old.value) if old.value else None, ""


def _accounts(before: ArmDiagnosis, after: ArmDiagnosis) -> Iterator[AccountChange]:
    """The accounts of the slope whose change is more than scatter, the largest first."""
    if not before.ledger or not after.ledger:
        return
    old, new = ({entry.account: entry for entry in arm.ledger} for arm in (before, after))
    whole = abs(before.slope_ms.value) if before.slope_ms else 0.0
    changes = [_account(name, old.get(name), new.get(name)) for name in dict.fromkeys((*old, *new))]
    yield from sorted((found for found in changes if _told(found.change_ms, whole)), key=lambda found: -abs(found.change_ms.value))


def _account(name: str, old: LedgerEntry | None, new: LedgerEntry | None) -> AccountChange:
    was, now = (0.0 if entry is None else entry.slope_ms for entry in (old, new))
    halves = [_half(entry) for entry in (old, new) if entry is not None]
    change = now - was
    if None in halves:
        made = Estimate(value=change, unit=UNIT, why="an account without an interval")
    else:
        half = sqrt(sum(each**2 for each in halves if each is not None))
        made = Estimate(value=change, low=change - half, high=change + half, unit=UNIT)
    return AccountChange(account=name, before_ms=was, after_ms=now, change_ms=made)


def _half(entry: LedgerEntry) -> float | None:
    return None if entry.low is None or entry.high is None else (entry.high - entry.low) / 2


def _told(change: Estimate, whole: float) -> bool:
    if abs(change.value) < TOLD * whole:
        return False
    return change.low is None or change.high is None or change.low > 0 or change.high < 0


def _only(here: ArmDiagnosis, there: ArmDiagnosis) -> Iterator[CauseChange]:
    """The causes that one arm has more of than the other; lines of a program move, so that a cause is known by its name."""
    left = Counter(cause.cause for cause in _standing(there))
    for cause in _standing(here):
        if left[cause.cause] > 0:
            left[cause.cause] -= 1
        else:
            yield CauseChange(cause=cause.cause, detail=cause.detail, share=cause.share, place=cause.place)


def _standing(arm: ArmDiagnosis) -> list[CauseFound]:
    return [cause for cause in arm.causes if cause.verdict != "REFUTED" and cause.cause != HEALTHY]


def _differences(before: Diagnosis, after: Diagnosis, pairs: list[tuple[ArmDiagnosis, ArmDiagnosis]]) -> Iterator[str]:
    """What else changed between the runs, one line each: a reader must know before he blames the code."""
    if before.scenario != after.scenario:
        yield f"scenario: {before.scenario} → {after.scenario}"
    yield from (
        f"{what}: {old} → {new}"
        for (what, old), (_, new) in zip(_machine(before.environment), _machine(after.environment), strict=True)
        if old != new
    )
    versions = [_versions(run, [pair[side] for pair in pairs]) for side, run in enumerate((before, after))]
    for name in sorted(versions[0].keys() | versions[1].keys()):
        old, new = (found.get(name, "not there") for found in versions)
        if old != new:
            yield f"{name}: {old} → {new}"


def _machine(environment: Environment) -> list[tuple[str, object]]:
    return [
        ("system", environment.system),
        ("Python", environment.python),
        ("processor", environment.cpu),
        ("cores", environment.cores),
        ("cores of the client", environment.client_cores),
        ("cores of the server", environment.server_cores),
    ]


def _versions(run: Diagnosis, arms: list[ArmDiagnosis]) -> dict[str, str]:
    """Versions of libraries that both runs' arms used, as far as they are known."""
    return {name: version for arm in arms for name, version in arm.versions.items()} or dict(run.environment.versions)
