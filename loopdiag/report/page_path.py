"""The critical path of one trial as columns for the page's scripts: steps without a gap, in microseconds."""

from itertools import pairwise
from typing import Any

from loopdiag.model.document import Document
from loopdiag.model.ledger import Step, TrialLedger
from loopdiag.report.account_style import account_number
from loopdiag.report.page_columns import column, micros, packed

MOST_STEPS = 20_000  # of one trial
LOOP = -1  # the account "loop": all of the loop's classes


def paths(document: Document) -> dict[str, TrialLedger]:
    """Trial → its ledger, where it has steps that the page has room for."""
    found = (ledger for arm in document.ledgers for ledger in arm.trials)
    return {ledger.trial: ledger for ledger in found if 0 < len(ledger.steps) <= MOST_STEPS}


def path_columns(ledger: TrialLedger | None, inside: str = "loop") -> dict[str, Any] | None:
    """Ends as steps, account numbers (`LOOP`: the loop's), requests (0: none; else one more than its number), own code or not, hops, and what the loop is called."""
    if ledger is None or not ledger.steps:
        return None
    steps = [step for step in ledger.steps if micros(step.end_ns) > micros(step.start_ns) or step.via]
    if not steps:
        return None
    ends = [micros(steps[0].start_ns), *(micros(step.end_ns) for step in steps)]
    vias = list(dict.fromkeys(step.via for step in steps))
    return {
        "lengths": packed([ends[0], *(b - a for a, b in pairwise(ends))]),
        "account": column([number(step) for step in steps]),
        "request": packed(0 if step.request is None else step.request + 1 for step in steps),
        "own": column([int(step.own) for step in steps]),
        "via": column([vias.index(step.via) for step in steps]),
        "vias": vias,
        "hops": ledger.hops,
        "inside": inside,
    }


def number(step: Step) -> int:
    """The step's account."""
    return LOOP if step.account == "loop" else account_number(step.account)
