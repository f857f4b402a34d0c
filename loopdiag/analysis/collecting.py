"""What collections of the garbage collector take of a request, at every N."""

from collections.abc import Mapping, Sequence

import numpy as np

from loopdiag.analysis.core_waits import paused_ns, waited_ns
from loopdiag.model.timeline import Timeline

#: of a trial's CPU, what collections take at most: something makes the garbage
MOST = 0.9


def per_request(timelines: Sequence[Timeline], total_s: Mapping[int, float], cpu_s: Mapping[int, float]) -> tuple[float, float]:
    """Seconds of collections per request, and per request and request of the trial: p and q of p + q * N, none of them negative.

    A timeline trial tells their share of its total: one that was disturbed is longer, and its collections are.

    Args:
        timelines: resolved timeline trials, whose collections were observed.
        total_s: N → total of bare trials.
        cpu_s: N → CPU of bare trials, of which collections are at most `MOST`.
    """
    seen: dict[int, list[float]] = {}
    for line in timelines:
        if line.n in total_s:
            seen.setdefault(line.n, []).append(paused_ns(line) / max(1.0, line.total_ns - waited_ns(line)) * total_s[line.n] / line.n)
    if not seen:
        return 0.0, 0.0
    n = np.array(sorted(seen), dtype=float)
    mean = np.array([np.mean(seen[int(each)]) for each in n])
    often = np.sqrt(n)  # collections come by the objects that are made: the more requests, the better a mean is known
    steady, growing = (float(part) for part in np.linalg.lstsq(np.stack([often, often * n], axis=-1), often * mean, rcond=None)[0])
    if n.size < 2 or growing < 0:
        steady, growing = float(np.average(mean, weights=n)), 0.0
    elif steady < 0:
        steady, growing = 0.0, float(n @ (n * mean) / (n @ (n * n)))
    whole = {each: (steady + growing * each) * each for each in cpu_s}
    held = min([1.0, *(MOST * cpu_s[each] / whole[each] for each in cpu_s if whole[each])])
    return held * steady, held * growing
