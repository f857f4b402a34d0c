"""The embedded server's own stamps, put beside the attempts that they belong to."""

from collections import defaultdict

import msgspec

from loopdiag.analysis.columns import Rows
from loopdiag.model.timeline import Attempt

#: stamps are cut to ticks of 128 ns, the server's are not
SLACK_NS = 256

Served = tuple[int, int, int]  # received, answered, ended


def witnessed(attempts: tuple[Attempt, ...], served: Rows | None, since_ns: int) -> tuple[Attempt, ...]:
    """The attempts with what the server saw of each, where each of a request's attempts that were sent has its one answer, in the same order.

    Args:
        attempts: in the order in which they were opened.
        served: the trial's ``server_requests`` (None: not observed, or the answers are not this trial's).
        since_ns: the trial's start; earlier rows are warm-up.
    """
    if served is None or not len(served):
        return attempts
    answers = _answers(served, since_ns)
    sent: dict[int, list[int]] = defaultdict(list)
    for index, attempt in enumerate(attempts):
        if "send_start" in attempt.stamps:
            sent[attempt.request].append(index)
    found = list(attempts)
    for request, indices in sent.items():
        rows = answers.get(request, [])
        if len(rows) == len(indices):
            for index, row in zip(indices, rows, strict=True):
                found[index] = _with(attempts[index], row)
    return tuple(found)


def _answers(served: Rows, since_ns: int) -> dict[int, list[Served]]:
    """Request → its rows at the server, ascending, since the trial began; 0 where it observed nothing."""
    found: dict[int, list[Served]] = defaultdict(list)
    columns = (served[name].tolist() for name in ("request", "received_ns", "begun_ns", "ended_ns"))
    for request, *times in zip(*columns, strict=True):
        if request and times[0] >= since_ns:
            received, answered, ended = (at - since_ns if at else 0 for at in times)
            found[request].append((received, answered, ended))
    return {request: sorted(rows) for request, rows in found.items()}


def _with(attempt: Attempt, row: Served) -> Attempt:
    """The attempt with these stamps, unless they contradict its own: then one side's clock or numbering is not what we think."""
    received, answered, ended = row
    first = attempt.stamps.get("first_byte")
    if received + SLACK_NS < attempt.stamps["send_start"] or (first is not None and answered and first + SLACK_NS < answered):
        return attempt
    return msgspec.structs.replace(attempt, server_received_ns=received, server_answered_ns=answered or None, server_ended_ns=ended or None)
