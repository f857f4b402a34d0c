"""The ledger: the critical path's steps as charges that add up to the trial, and an arm's accounts whose slopes add up to its slope."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from loopdiag.analysis import class_shares as classes_by_n
from loopdiag.analysis.account_slopes import Account, account_slopes
from loopdiag.analysis.cells import Points
from loopdiag.analysis.class_shares import class_shares
from loopdiag.analysis.critical_path import path
from loopdiag.analysis.loop_split import collected, loop_shares, rounded
from loopdiag.analysis.outside import LOOP
from loopdiag.analysis.path_phases import UNEXPLAINED
from loopdiag.model.diagnosis import LedgerEntry
from loopdiag.model.ledger import ArmLedger, Step, TrialLedger
from loopdiag.model.scenario import Workload
from loopdiag.model.timeline import Timeline

__all__ = ["arm_ledger", "class_shares", "entries", "trial_ledger"]

NO_LOOP = "the loop's iterations were not observed: all time in which only the loop can keep a request waiting is charged to it"
GC = "loop/gc"
#: bounds that lie closer together than this share of the total are none
CLOSE = 0.001


def trial_ledger(timeline: Timeline, steps: Sequence[Step], classes: Mapping[str, float] | None = None) -> TrialLedger:
    """Charge every instant of one trial; the charges add up to its total.

    Args:
        timeline: the trial.
        steps: its critical path (`critical_path.path`).
        classes: class of code → share of the loop's CPU at this N (`class_shares`); None or empty: there is no profile.
    """
    spent: Counter[str] = Counter()
    for step in steps:
        spent[step.account] += step.end_ns - step.start_ns
    loop_ns = spent.pop(LOOP, 0)
    gc_ns = min(loop_ns, collected(steps, timeline.pauses))
    shares, notes = loop_shares(timeline, classes)
    charges = {**spent, **rounded(loop_ns - gc_ns, shares)}
    if gc_ns:
        charges[GC] = charges.get(GC, 0) + gc_ns
    least, most = _bounds(steps, charges, loop_ns, timeline.total_ns)
    return TrialLedger(
        trial=timeline.trial,
        arm=timeline.arm,
        n=timeline.n,
        total_ns=timeline.total_ns,
        charges={account: charge for account, charge in sorted(charges.items()) if charge},
        least=least,
        most=most,
        hops=dict(Counter(step.via for step in steps if step.via)),
        steps=tuple(steps),
        notes=(*notes, *_missing(timeline)),
    )


def _missing(timeline: Timeline) -> Iterator[str]:
    """What the path had to do without."""
    if timeline.iterations is None:
        yield NO_LOOP
    if left_out := timeline.left_out.get("attempts"):
        yield f"{left_out} of {left_out + len(timeline.attempts)} attempts are not looked at: the path may go by a neighbour of the one that it should"


def _bounds(steps: Sequence[Step], charges: Mapping[str, int], loop_ns: int, total_ns: int) -> tuple[dict[str, int], dict[str, int]]:
    """The least and the most that each account may be charged, of accounts that have bounds; the loop's are shared out as its time is."""
    low: Counter[str] = Counter()
    high: Counter[str] = Counter()
    for step in steps:
        length = step.end_ns - step.start_ns
        low[step.account] += length if step.least_ns is None else step.least_ns
        high[step.account] += length if step.most_ns is None else step.most_ns
    least: dict[str, int] = {}
    most: dict[str, int] = {}
    for account, charge in charges.items():
        of_loop = account.startswith(f"{LOOP}/")
        scale = charge / loop_ns if of_loop and loop_ns else 1.0
        side = LOOP if of_loop else account
        lower, upper = round(low[side] * scale), round(high[side] * scale)
        if upper - lower > CLOSE * total_ns:
            least[account], most[account] = min(lower, charge), max(upper, charge)
    return least, most


def arm_ledger(
    arm: str,
    timelines: Iterable[Timeline],
    points: Points,
    class_shares: Mapping[int, Mapping[str, float]] | None = None,
    *,
    workload: Workload | None = None,
) -> ArmLedger:
    """The accounts of an arm: each trial's proportions, applied to the totals that the bare trials of its N measured.

    Args:
        arm: its name.
        timelines: its resolved timeline trials, any order.
        points: N → bare totals in seconds.
        class_shares: N → class of code → share of the loop's CPU (`class_shares`); None: there is no profile.
        workload: how the requests were made.
    """
    lines = sorted((line for line in timelines if line.total_ns > 0 and line.attempts), key=lambda line: (line.n, line.trial))
    trials = tuple(trial_ledger(line, path(line, workload), classes_by_n.at(class_shares or {}, line.n)) for line in lines)
    residual = max((abs(sum(trial.charges.values()) - trial.total_ns) / trial.total_ns for trial in trials), default=0.0)
    accounts, notes, why = account_slopes(trials, points)
    return ArmLedger(
        arm=arm,
        accounts=accounts,
        hops=_hops(trials),
        residual=residual,
        trials=trials,
        notes=tuple(dict.fromkeys((*notes, *(note for trial in trials for note in trial.notes)))),
        why=why,
    )


def entries(ledger: ArmLedger) -> tuple[LedgerEntry, ...]:
    """The accounts for the diagnosis; their slopes, and their shares, add up."""
    whole = sum(account.slope_ms.value for account in ledger.accounts)
    return tuple(_entry(account, whole) for account in ledger.accounts)


def _entry(account: Account, whole: float) -> LedgerEntry:
    slope = account.slope_ms
    return LedgerEntry(
        account=account.account,
        slope_ms=slope.value,
        low=slope.low,
        high=slope.high,
        share=slope.value / whole if whole else None,
    )


def _hops(trials: Sequence[TrialLedger]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Via → (N, mean hops a trial), N ascending."""
    of_n: dict[int, list[TrialLedger]] = defaultdict(list)
    for trial in trials:
        of_n[trial.n].append(trial)
    names = dict.fromkeys(via for trial in trials for via in trial.hops)
    return {via: tuple((n, sum(trial.hops.get(via, 0) for trial in cell) / len(cell)) for n, cell in sorted(of_n.items())) for via in names}


def unexplained_share(ledger: ArmLedger) -> float | None:
    """The unexplained share of the slope; None where there are no accounts."""
    shares = {entry.account: entry.share for entry in entries(ledger)}
    return shares.get(UNEXPLAINED, 0.0) if shares else None
