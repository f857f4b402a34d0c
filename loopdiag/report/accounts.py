"""What every report says of the ledger: which parts the slope is made of, named, ordered, and rounded so that they add up."""

import math
from collections.abc import Sequence
from typing import Literal

from loopdiag.model.diagnosis import ArmDiagnosis, LedgerEntry
from loopdiag.model.document import Document
from loopdiag.model.ledger import ACCOUNTS, ArmLedger
from loopdiag.model.value import Value
from loopdiag.report import format as fmt
from loopdiag.report import programs

Group = Literal["loop", "outside", "unexplained"]

NAMED = 0.01  # of the slope: smaller parts are summed up in the sentence, and so are those that would be rounded to 0
APART = 0.005  # of the slope, by which parts may miss it before the sentence says so
THREAD_WAITS = frozenset({"loop/run-queue", "loop/off-cpu"})  # the loop's, but its thread did not run
#: what the scenario calls the loop of an arm that has none, or one of its client's own
NO_LOOP = frozenset({"sync", "threads", "processes", "own"})
#: what a hop of the critical path goes through
VIAS = {
    "pool": "the pool", "worker": "a worker", "connection": "a connection's opener", "stream": "a stream", "schedule": "the schedule",
    "serial": "the request before it in its task", "semaphore": "a semaphore", "lock": "a lock", "queue": "a queue", "condition": "a condition",
    "event": "an event", "task": "a task that another one waits for", "batch": "a batch that is waited for", "executor": "a thread of an executor",
}  # fmt: skip
#: hops that a limit makes: each is one wave more
WAVES = ("pool", "worker", "stream", "serial", "semaphore", "lock", "batch", "task", "executor")


class Part(Value, frozen=True, kw_only=True):
    """One account of an arm's slope, in ms per request."""

    account: str
    name: str
    group: Group
    slope_ms: float
    low: float | None = None
    high: float | None = None
    share: float | None = None


def group_of(account: str) -> Group:
    """The loop, the outside, or unexplained."""
    if account.startswith("loop/"):
        return "loop"
    return "unexplained" if account == "unexplained" else "outside"


def waits(account: str) -> bool:
    """Whether the account is time in which nothing of the program's ran: drawn hatched."""
    return group_of(account) != "loop" or account in THREAD_WAITS


def name_of(account: str) -> str:
    """The account as it is shown: the client's by their class alone, unless something outside has the same name."""
    short = account.removeprefix("loop/")
    return fmt.clean(f"{short} (client)" if short != account and short in ACCOUNTS else short)


def inside(document: Document, arm: ArmDiagnosis | None) -> str:
    """What the group "loop" is called in an arm: in one without an event loop it is all that the client did."""
    looped = arm is None or (arm.loop not in NO_LOOP and not programs.unlooped(document))
    return "loop" if looped else "client"


def meaning(account: str) -> str:
    """What is charged to the account."""
    return ACCOUNTS.get(account, "an account that this version does not know")


def ledger_of(document: Document, arm: str) -> ArmLedger | None:
    """The ledger of one arm, with its points and critical paths."""
    return next((ledger for ledger in document.ledgers if ledger.arm == arm), None)


def parts(document: Document, arm: ArmDiagnosis) -> list[Part]:
    """The parts of the arm's slope: the loop's, then the outside's, the largest first, then what is unexplained."""
    ledger = ledger_of(document, arm.arm)
    entries: Sequence[LedgerEntry] = arm.ledger
    if not entries and ledger is not None:
        entries = [
            LedgerEntry(account=a.account, slope_ms=a.slope_ms.value, low=a.slope_ms.low, high=a.slope_ms.high) for a in ledger.accounts
        ]
    order = {"loop": 0, "outside": 1, "unexplained": 2}
    made = [part(entry, arm) for entry in entries]
    return sorted(made, key=lambda one: (order[one.group], -one.slope_ms))


def part(entry: LedgerEntry, arm: ArmDiagnosis) -> Part:
    """One entry, with its share of the arm's slope."""
    share = entry.share
    if share is None and arm.slope_ms is not None and arm.slope_ms.value:
        share = entry.slope_ms / arm.slope_ms.value
    return Part(
        account=entry.account,
        name=name_of(entry.account),
        group=group_of(entry.account),
        slope_ms=entry.slope_ms,
        low=entry.low,
        high=entry.high,
        share=share,
    )


def why_none(document: Document, arm: ArmDiagnosis) -> str:
    """Why the arm has no ledger."""
    ledger = ledger_of(document, arm.arm)
    if ledger is not None and ledger.why:
        return fmt.clean(ledger.why)
    if arm.slope_ms is None:
        return "the arm has no slope to be split"
    return "no timeline trial of this arm was charged to accounts"


def group_sums(shown: Sequence[Part]) -> list[tuple[Group, float]]:
    """Each group that occurs with the sum of its parts."""
    return [(name, sum(p.slope_ms for p in shown if p.group == name)) for name in dict.fromkeys(p.group for p in shown)]


def named(shown: Sequence[Part], least: float) -> tuple[list[Part], list[Part]]:
    """Parts that the sentence names, and those that it sums up; what is unexplained is always named."""
    large = [p for p in shown if p.group == "unexplained" or abs(p.slope_ms) >= least]
    small = [p for p in shown if p not in large and p.slope_ms]
    return (large, small) if len(small) > 1 else ([p for p in shown if p in large or p in small], [])


def places(slope: float, shown: str) -> int:
    """How many decimals the parts get: as many as the slope is shown with, two significant digits of it, and one decimal below 100."""
    told = len(shown.split(" ", 1)[0].partition(".")[2])
    return max(told, int(abs(slope) < 100), fmt.decimals_for(slope, 2)) if slope else 3


def rounded(values: Sequence[float], decimals: int) -> list[float]:
    """The values rounded so that they add up to their rounded sum: the largest remainders are rounded up."""
    unit = 10.0**-decimals
    steps = [math.floor(value / unit) for value in values]
    missing = round(sum(values) / unit) - sum(steps)
    first = sorted(range(len(values)), key=lambda k: steps[k] - values[k] / unit)
    for k in first[: max(0, missing)]:
        steps[k] += 1
    return [step * unit for step in steps]


def equation(document: Document, arm: ArmDiagnosis) -> str:
    """The slope as a sentence: ``8.06 ±0.21 ms/request = 7.05 pool + 0.41 client-library + 0.33 server in 8 waves + 0.07 unexplained``."""
    shown, slope = parts(document, arm), arm.slope_ms
    if not shown or slope is None:
        return ""
    total = sum(p.slope_ms for p in shown)
    decimals = places(slope.value, fmt.estimate(slope))
    large, small = named(shown, max(NAMED * abs(total), 10.0**-decimals / 2))
    values = [*(p.slope_ms for p in large), *([sum(p.slope_ms for p in small)] if small else [])]
    # Unexplained stays last: it is what the others leave.
    names = [*(p.name for p in large), *([f"in {len(small)} smaller"] if small else [])]
    told = waves(document, arm)
    names = [f"{name} in {told[1]} waves" if name == "server" and told is not None else name for name in names]
    terms = [(value, name) for value, name in zip(rounded(values, decimals), names, strict=True) if value or name == "unexplained"]
    terms.sort(key=lambda term: term[1] == "unexplained")
    said = " ".join(signed(value, decimals, name, first=k == 0) for k, (value, name) in enumerate(terms))
    apart = "" if abs(total - slope.value) <= APART * abs(slope.value) else f" (the parts add up to {fmt.significant(total)})"
    return f"{fmt.estimate(slope)} ms/request = {said}{apart}"


def signed(value: float, decimals: int, name: str, *, first: bool) -> str:
    """One term with its sign."""
    text = fmt.fixed(abs(value), decimals)
    negative = value < 0 and float(text) != 0
    if first:
        return f"{'−' if negative else ''}{text} {name}"
    return f"{'−' if negative else '+'} {text} {name}"


def most_hops(ledger: ArmLedger) -> tuple[int, dict[str, float]] | None:
    """The largest N, and via → hops of a trial there."""
    found = {via: max(points) for via, points in ledger.hops.items() if points}
    n = max((n for n, _ in found.values()), default=None)
    return None if n is None else (n, {via: hops for via, (at, hops) in found.items() if at == n and hops})


def waves(document: Document, arm: ArmDiagnosis) -> tuple[int, int] | None:
    """(the largest N, of how many waves its total is made); None where no limit made more than one."""
    ledger = ledger_of(document, arm.arm)
    seen = most_hops(ledger) if ledger is not None else None
    if seen is None:
        return None
    count = round(sum(hops for via, hops in seen[1].items() if via in WAVES)) + 1
    return (seen[0], count) if count > 1 else None


def hops_line(document: Document, arm: ArmDiagnosis) -> str:
    """How the critical path came from request to request at the largest N; empty where nothing is known."""
    ledger = ledger_of(document, arm.arm)
    seen = most_hops(ledger) if ledger is not None else None
    if seen is None:
        return ""
    n, hops = seen
    if not hops:
        return f"At N = {n} the critical path stays with one request."
    said = ", ".join(f"{fmt.count_of(count, 'time')} through {VIAS.get(via, fmt.clean(via))}" for via, count in hops.items())
    found = waves(document, arm)
    made = f": the total is made of {found[1]} waves" if found else ""
    return f"At N = {n} the critical path goes {said}{made}."
