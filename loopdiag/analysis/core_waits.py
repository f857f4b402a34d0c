"""Waits of the client for a core: others' work on the machine, which stretches whatever the loop computes and belongs to no cause."""

from collections.abc import Mapping, Sequence

import numpy as np

from loopdiag.analysis.cells import Points, read_cells
from loopdiag.analysis.slope import cell_weights
from loopdiag.model.recording import TrialResult
from loopdiag.model.timeline import Timeline

#: however loaded the machine is, so much of the slope is the run's own
LEAST_OWN = 0.05


def net_s(trial: TrialResult) -> float:
    """The total without its waits for a core, as far as they were on its way: all where the loop was busy throughout, none where it was idle."""
    total, waited = trial.total_s or 0.0, trial.run_queue_s or 0.0
    return total - waited * min(1.0, ((trial.cpu_s or 0.0) + waited) / total) if total else 0.0


def undisturbed(bare: Sequence[TrialResult], measured: Mapping[int, float]) -> dict[int, float]:
    """N → median total in seconds less what waiting for a core added: others' work is no part of the model."""
    found = dict(measured)
    for n in measured:
        if totals := [net_s(trial) for trial in bare if trial.spec.n == n and trial.total_s]:
            found[n] = float(np.median(totals))
    return found


def own_part(bare: Sequence[TrialResult], points: Points) -> float:
    """What of the slope is the run's own: the slope of the totals without waits for a core, over that of the totals; 1 where neither tells."""
    cells = read_cells(points)
    if cells.n.size < 2:
        return 1.0
    net = [[net_s(trial) for trial in bare if trial.spec.n == n and trial.total_s] for n in cells.n]
    if not all(net):
        return 1.0
    weights, whole = cell_weights(cells), np.array([each.mean() for each in cells.trials])
    slope = float(weights @ whole)
    return min(1.0, max(LEAST_OWN, float(weights @ [np.mean(each) for each in net]) / slope)) if slope > 0 else 1.0


def on_core(line: Timeline) -> float:
    """Share of the time in which the loop's thread wanted to compute that it had a core; 1 where it was not observed."""
    process = line.process
    if process is None or not process.cpu_ns or process.run_queue_ns is None:
        return 1.0
    return process.cpu_ns / (process.cpu_ns + process.run_queue_ns)


def paused_ns(line: Timeline) -> float:
    """How long collections of the garbage collector computed: their length, less the part in which the thread is likely to have waited for a core."""
    return on_core(line) * sum(pause.length_ns for pause in line.pauses)


def waited_ns(line: Timeline) -> float:
    """How long the loop waited for a core while it ran; 0 where that was not observed."""
    return (1 - on_core(line)) * (line.lag.running_ns if line.lag is not None else 0)
