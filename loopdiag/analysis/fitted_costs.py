"""CPU of the loop, taken apart by what it grows with: requests, connections, the pool's scan, the square of N."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from loopdiag.analysis.cells import Floats
from loopdiag.analysis.nonneg import fit_nonneg

#: how well one trial's CPU is known at best, as a share of it; and where nothing was repeated
NOISE, UNREPEATED = 0.03, 0.06
#: CPU of a trial's start that no request pays, in seconds, as far as is known beforehand, and how far it is not
ONCE = 0.003
#: CPU of httpcore's pool to look at one connection for one request, in seconds, as far as is known beforehand
SCAN_S = 4.2e-7
#: how far a cost may be from what is known beforehand, as a share of it
DOUBT = 0.5
#: a cost that grows faster than N is believed where it takes away so much of the squared misfit, by this ratio and by so many variances of one
#: trial, and is so much of the CPU at the largest N
GAIN, SURE, LEAST = 1.5, 6.0, 0.03
#: and where so much of it stays whichever N is left out, of at least so many
STAYS, LEAST_N = 0.5, 4

Rows = npt.NDArray[np.bool_]
Steep = Literal["scan", "square"] | None


@dataclass(frozen=True)
class Costs:
    """In seconds.

    Attributes:
        request, connection: CPU per request and per connection (without what of the connection was known beforehand).
        scan: per unit of the scan.
        square: per request and request of the trial.
        once: a trial.
    """

    request: float
    connection: float
    scan: float
    square: float
    once: float


@dataclass(frozen=True)
class Used:
    """One trial: requests, connections opened, units scanned, CPU in seconds."""

    n: int
    opened: float
    scanned: float
    cpu_s: float


def fit(used: Sequence[Used], *, connection: float, steep: Steep) -> Costs:
    """Least squares of relative errors, costs ≥ 0.

    Args:
        used: the trials.
        connection: what a connection costs as far as is known beforehand; where the trials do not tell (as many connections as requests) it stays.
        steep: what CPU that grows faster than N goes with: the pool's scan, or N²; None: there is none.
    """
    n, opened, scanned, cpu = (np.array([getattr(row, name) for row in used], dtype=float) for name in ("n", "opened", "scanned", "cpu_s"))
    faster = {"scan": scanned, "square": n**2, None: np.zeros_like(n)}[steep]
    columns = np.stack([n, opened, np.ones_like(n), faster], axis=1)
    prior = np.array([0.0, connection, ONCE, SCAN_S if steep == "scan" else 0.0])
    known = np.array([0.0, 1 / max(DOUBT * connection, 1e-5), 1 / ONCE, 1 / (DOUBT * SCAN_S) if steep == "scan" else 0.0])

    noise = _noise(n, cpu)

    def solve(rows: Rows, width: int) -> tuple[Floats, float]:
        return _solve(columns[rows, :width], cpu[rows], prior[:width], known[:width], noise)

    every = np.ones(n.size, dtype=bool)
    found, less = solve(every, 4)
    if steep != "scan":  # whose cost is known well enough to be kept where the trials tell little
        plain, misfit = solve(every, 3)
        part = float(found[3] * faster.max()) / max(float(cpu.max()), 1e-12)
        believed = misfit > GAIN * less and misfit - less > SURE and part > LEAST
        if believed:  # one N that came out high must not make a square
            others = [float(solve(n != left, 4)[0][3]) for left in np.unique(n)]
            believed = np.unique(n).size >= LEAST_N and min(others) > STAYS * float(found[3])
        if not believed:
            found = np.append(plain, 0.0)
    request, each, once, rest = (float(value) for value in found)
    return Costs(
        request=request, connection=each, once=once, scan=rest if steep == "scan" else 0.0, square=rest if steep == "square" else 0.0
    )


def _noise(n: Floats, cpu: Floats) -> float:
    """Relative standard deviation of one trial's CPU, from repetitions of the same N."""
    squares = free = 0.0
    for cell in np.unique(n):
        of_cell = cpu[n == cell]
        squares += float(((of_cell / max(float(of_cell.mean()), 1e-12) - 1) ** 2).sum())
        free += of_cell.size - 1
    return max(NOISE, (squares / free) ** 0.5) if free else UNREPEATED


def _solve(columns: Floats, cpu: Floats, prior: Floats, known: Floats, noise: float = NOISE) -> tuple[Floats, float]:
    """Costs, and their squared misfit; what is known beforehand counts as one more observation each."""
    told = np.flatnonzero(known)
    design = np.concatenate([columns, np.eye(columns.shape[1])[told]])
    rows = np.concatenate([cpu, prior[told]])
    weight = np.concatenate([1 / (noise * np.maximum(cpu, 1e-9)) ** 2, known[told] ** 2])
    found, squares = fit_nonneg(design[None], rows[None], weight)
    return np.asarray(found[0, 0]), float(squares[0, 0])


def per_request(by_n: Mapping[int, float]) -> tuple[float, float]:
    """CPU of a class of code per request, and per request and request of the trial, in seconds; 0 where it was not seen."""
    ns = np.array([n for n in sorted(by_n) if by_n[n] > 0], dtype=float)
    if not ns.size:
        return 0.0, 0.0
    cpu = np.array([by_n[int(n)] for n in ns])
    linear, misfit = _solve(ns[:, None], cpu, np.zeros(1), np.zeros(1))
    both, less = _solve(np.stack([ns, ns**2], axis=1), cpu, np.zeros(2), np.zeros(2))
    if ns.size < 3 or misfit < GAIN * less or both[1] * ns[-1] ** 2 < 0.3 * cpu[-1]:
        return float(linear[0]), 0.0
    return float(both[0]), float(both[1])
