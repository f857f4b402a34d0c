"""How the CPU of each stack grows with N: samples of several N, rescaled to the CPU that the bare trials measured.

The profiler slows the client, and slows some clients more than others; it tells proportions, not amounts.  So the samples of each trial become
shares, and the shares of each N are applied to the CPU that its bare trials spent.  All that is derived is linear in these numbers: the slopes of stacks add
up to the slope of the CPU exactly, up to what other threads spent (a profile is of one thread; its trial knows the CPU of all).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loopdiag.analysis.cells import Cells, Floats, Points, read_cells, scatter
from loopdiag.analysis.distributions import student_quantile
from loopdiag.analysis.flame_tree import Ints, Numbers
from loopdiag.analysis.slope import cell_weights
from loopdiag.model.law import NotEnough
from loopdiag.model.profile import Frame, Profile

LEAST_N = 3
Z = 1.959963984540054  # of the normal law, 95 %
MEDIAN_VARIANCE = np.pi / 2  # of a median over that of a mean, under normal noise
LEAST_COUNT = 5.0  # samples a trial, that a function must have to tell how much trials differ
LEAST_DOF = 5.0
#: a run of one stack is one event where chance alone would make any so long in fewer than so many trials
CHANCE = 0.05
MICRO = 1e6


@dataclass(frozen=True)
class Growth:
    """CPU of every stack by N.

    Attributes:
        stacks: numbers in `frames`, outermost frame first.
        frames: that the stacks are made of.
        n: values of N, ascending, shape (k,).
        share: of each stack in the CPU of each N, mean over trials, shape (stacks, k); adds up to the profiled thread's share over stacks.
        square: Σ over trials and events of (an event's share / trials)², shape (stacks, k): what counting does to the share's variance.
        cpu_s: median CPU of the bare trials, shape (k,).
        cpu_sd: its standard deviation, shape (k,); 0 where nothing was repeated.
        cpu_dof: degrees of freedom of that.
        weight: w of slope = Σ w cpu, in requests⁻¹, shape (k,).
        spread: how much more trials differ than counting explains (variance ratio), at least 1.
        count: events (`events`) of each stack, shape (stacks,).
        factors: bare CPU over the samples' weight, of each trial.
        lost: share of the samples that could not be taken: of whole trials, set-up included, over those of the timed parts, so that it is rather too large.
    """

    stacks: list[Numbers]
    frames: list[Frame]
    n: Floats
    share: Floats
    square: Floats
    cpu_s: Floats
    cpu_sd: Floats
    cpu_dof: float
    weight: Floats
    spread: float
    count: Floats
    factors: Floats
    lost: float = 0.0

    @property
    def slope_us(self) -> float:
        """Slope of the bare trials' CPU over these N, in µs a request."""
        return float(self.weight @ self.cpu_s) * MICRO

    def seconds(self, share: Floats) -> Floats:
        """CPU in seconds by N, of anything with these shares, shape (m, k)."""
        return np.asarray(share * self.cpu_s)

    def counting(self, share: Floats, square: Floats) -> Floats:
        """Variance of `seconds` that comes from counting samples, in s², shape (m, k).

        Shares are of a total that is fixed, so that what holds all samples has none.  Half a sample is added: one that was never seen at some N may be there.
        """
        whole = self.square.sum(axis=0)  # 1 / number of samples, where all weigh the same
        seen = (1 - 2 * share) * square + share**2 * whole + (1 - share) ** 2 * whole**2 / 2
        return np.asarray(np.maximum(seen, 0) * self.spread * self.cpu_s**2)

    def slopes(self, share: Floats, square: Floats) -> tuple[Floats, Floats]:
        """Slopes in µs a request and half their 95 % intervals, of anything with these shares, shapes (m,).

        The variance is that of Σ w·share·cpu: of the counts (between trials they scatter more than Poisson's, by `spread`), and, with Student's
        quantile, of the bare CPU.  A bootstrap over two or three trials would cover 60-90 % instead of 95.

        What cannot be averaged away is added to it: lost samples are of stacks that changed meanwhile, so that code that stays put gets up to their share too
        much of what is not its own, and code of many short calls as much too little (100 µs planted into aiohttp's requests came out as 118 µs, with 13 % lost).
        """
        value = self.seconds(share) @ self.weight
        shifted = self.lost * np.abs(self.seconds(share * (1 - np.minimum(share, 1))) @ self.weight)
        counted = self.counting(share, square) @ self.weight**2
        measured = (share * self.cpu_sd) ** 2 @ self.weight**2
        student = student_quantile(self.cpu_dof) if self.cpu_dof else 0.0
        return value * MICRO, (np.sqrt(Z**2 * counted + student**2 * measured) + shifted) * MICRO


def measure(profiles: Sequence[Profile], bare_cpu_s: Points) -> Growth | NotEnough:
    """Put the profiles of one arm beside the CPU of its bare trials.

    Args:
        profiles: prepared (`flames.prepared`) and cut to the timed part; any order.
        bare_cpu_s: N → CPU in seconds of the usable bare trials.
    """
    used = [profile for profile in profiles if profile.total_ns > 0 and any(bare_cpu_s.get(profile.n, ()))]
    ns = sorted({profile.n for profile in used})
    if len(ns) < LEAST_N:
        return NotEnough(
            why=f"a slope flame graph needs profiles at {LEAST_N} or more values of N whose CPU bare trials measured; {_have(ns)}"
        )
    cells = read_cells({n: bare_cpu_s[n] for n in ns})
    numbers, frames, weight, squares, count = _sampled(used)
    whole = weight.sum(axis=0)
    at = np.array([ns.index(profile.n) for profile in used])
    trials = np.bincount(at, minlength=len(ns)).astype(float)
    covered = np.array([min(1.0, profile.total_ns / profile.cpu_ns) if profile.cpu_ns else 1.0 for profile in used])
    shares, square = weight / whole * covered, squares / whole**2 / trials[at] ** 2
    gather = np.eye(len(ns))[at]  # (trials, k)
    cpu = cells.median
    sd, dof = _cpu_scatter(cells)
    leaf = np.array([stack[-1] if stack else -1 for stack in numbers])
    return Growth(
        stacks=numbers,
        frames=frames,
        n=cells.n,
        share=shares @ (gather / trials),
        square=square @ gather,
        cpu_s=cpu,
        cpu_sd=sd,
        cpu_dof=dof,
        weight=cell_weights(cells),
        spread=_spread(leaf, shares, squares / whole**2, count, at),
        count=count.sum(axis=1),
        factors=cpu[at] * 1e9 / whole * covered,
        lost=(lost := sum(profile.lost for profile in used)) / (lost + sum(len(profile.stack) for profile in used)),
    )


def _have(ns: Sequence[int]) -> str:
    return f"have {', '.join(map(str, ns))}" if ns else "have none"


def _sampled(profiles: Sequence[Profile]) -> tuple[list[Numbers], list[Frame], Floats, Floats, Floats]:
    """Stacks and frames of all profiles numbered together; weight in ns, its squares and the number of events, shapes (stacks, trials)."""
    frames: dict[Frame, int] = {}
    stacks: dict[Numbers, int] = {}
    of_trial = []
    for profile in profiles:
        number = [frames.setdefault(frame, len(frames)) for frame in profile.frames]
        of_trial.append([stacks.setdefault(tuple(number[i] for i in stack), len(stacks)) for stack in profile.stacks])
    weight, squares, count = (np.zeros((len(stacks), len(profiles))) for _ in range(3))
    for trial, (profile, numbers) in enumerate(zip(profiles, of_trial, strict=True)):
        each, rows = np.array(profile.weight_ns, dtype=float), np.array(numbers)[np.array(profile.stack)]
        event, rows = events(rows, each)
        whole = np.bincount(event, weights=each)
        np.add.at(weight[:, trial], rows, whole)
        np.add.at(squares[:, trial], rows, whole**2)
        np.add.at(count[:, trial], rows, 1.0)
    return list(stacks), list(frames), weight, squares, count


def events(stack: Ints, weight: Floats) -> tuple[Ints, Ints]:
    """Which samples of one trial are one event: a run of the same stack that is longer than chance makes it.

    A full garbage collection holds the program for tens of milliseconds inside of whatever function happened to allocate, at the same place in each trial:
    ten samples in a row, which are one observation and not ten.  Shorter runs are samples of different calls.

    Args:
        stack: of each sample, in order of time, shape (samples,).
        weight: of each sample, shape (samples,).

    Returns:
        The number of each sample's event, ascending, shape (samples,), and each event's stack, shape (events,).
    """
    if not stack.size:
        return stack, stack
    begins = np.concatenate([[True], stack[1:] != stack[:-1]])
    run = np.cumsum(begins) - 1
    share = np.bincount(stack, weights=weight)[stack] / max(float(weight.sum()), 1e-300)
    by_chance = 1 + np.log(CHANCE / (run[-1] + 1)) / np.log(np.clip(share, 1e-9, 1 - 1e-9))
    alone = begins | (np.bincount(run)[run] <= by_chance)
    return np.cumsum(alone) - 1, stack[alone]


def _cpu_scatter(cells: Cells) -> tuple[Floats, float]:
    """Standard deviation of each N's median CPU, in seconds, and its degrees of freedom; zeros where nothing was repeated."""
    found = scatter(cells)
    if not found.known:
        return np.zeros(cells.n.size), 0.0
    wide = np.where(cells.count > 2, MEDIAN_VARIANCE, 1.0)
    return np.sqrt(found.variance * wide / cells.count) * cells.scale, found.overall_dof


def _spread(leaf: Ints, shares: Floats, squares: Floats, count: Floats, at: Ints) -> float:
    """How much more the shares of functions differ between trials of one N than counting explains: χ² over its degrees of freedom, at least 1."""
    functions = np.unique(leaf, return_inverse=True)[1]
    chi2 = dof = 0.0
    for cell in np.unique(at):
        chosen = np.flatnonzero(at == cell)
        share, square, seen = (_by(functions, of_stacks[:, chosen]) for of_stacks in (shares, squares, count))
        middle = share.mean(axis=1)
        variance = (1 - 2 * middle) * square.mean(axis=1) + middle**2 * square.sum(axis=0).mean()
        told = (seen.mean(axis=1) >= LEAST_COUNT) & (variance > 0)
        chi2 += float((((share - middle[:, None])[told] ** 2).sum(axis=1) / variance[told]).sum())
        dof += (chosen.size - 1) * float(told.sum())
    return max(1.0, chi2 / dof) if dof >= LEAST_DOF else 1.0


def _by(group: Ints, values: Floats) -> Floats:
    """Sums of rows by group, shape (groups, …)."""
    table = np.zeros((int(group.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(table, group, values)
    return table
