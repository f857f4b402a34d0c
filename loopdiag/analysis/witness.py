"""Client timelines against an independent witness: the server's account of the same requests, on the same clock."""

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.columns import MISSING, nanoseconds, used

#: stamps are cut to ticks of 128 ns, the witness's are not: an order is broken only beyond two ticks
SLACK_NS = 256


def agreement(attempts: NDArray[np.void], served: NDArray[np.void], since_ns: int) -> tuple[int, int]:
    """How many requests both sides saw, and for how many of them send <= received <= answered <= first byte.

    Args:
        attempts: the client's rows, as in ``instruments/schema.py``.
        served: the server's rows: ``request``, ``received_ns``, ``begun_ns``.
        since_ns: the trial's start; earlier rows are warm-up.
    """
    rows = attempts[used(attempts, since_ns)]
    served = served[served["received_ns"].astype(np.int64) >= since_ns]
    ours, once = np.unique(rows["request"], return_counts=True)
    theirs, answered = np.unique(served["request"], return_counts=True)
    # a request with several attempts has several answers; which belongs to which is not known, so it is not compared
    comparable = np.intersect1d(ours[once == 1], theirs[answered == 1])
    rows = rows[np.isin(rows["request"], comparable)]
    served = served[np.isin(served["request"], comparable)]
    rows, served = rows[np.argsort(rows["request"])], served[np.argsort(served["request"])]
    send, first = nanoseconds(rows, "send_start"), nanoseconds(rows, "first_byte")
    received, begun = served["received_ns"].astype(np.int64), served["begun_ns"].astype(np.int64)
    seen = (send != MISSING) & (first != MISSING)
    right = seen & (send <= received + SLACK_NS) & (received <= begun) & (begun <= first + SLACK_NS)
    return int(seen.sum()), int(right.sum())
