"""Several scenarios run side by side, to be compared: in each round every N runs once on each side, one right after the other.

The order of N, and of the sides within an N, is shuffled, so that whatever drifts hits all sides alike; the trials of one N and round
have the same seed on every side.  Each side is an ordinary run's folder of its own, every finished trial on disk at once.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median

from msgspec.structs import replace

from loopdiag.errors import LoopdiagError
from loopdiag.lab.campaign import WORLD, Run, World
from loopdiag.lab.cells import TRIES
from loopdiag.lab.interrupts import Interrupts
from loopdiag.lab.store import Store
from loopdiag.lab.targets import Targets
from loopdiag.lab.watching import Progress, Silent
from loopdiag.model.recording import Environment, Recording, Tier, TrialResult, TrialSpec
from loopdiag.model.scenario import Scenario

Points = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class Side:
    """One scenario of one arm, and the folder that its trials go to."""

    scenario: Scenario
    store: Store


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """What is run, and when it is enough.

    Attributes:
        ns: values of N, ascending.
        least, most: rounds; fewer only where the budget ends.
        budget_s: of everything, warm-ups and timelines included.
        expected_s: what a whole trial takes at an N, for each side, until one was measured.
        enough: whether the sides' paired totals, base first, need no further round; None: all rounds are run.
        timelines: values of N at which the last side gets a `timeline` trial at the end; for the first of them the budget keeps room.
        pace_s: between the starts of two trials at least (a live target).
    """

    ns: tuple[int, ...]
    budget_s: float
    expected_s: tuple[Mapping[int, float], ...]
    enough: Callable[[Sequence[Points]], bool] | None = None
    least: int = 2
    most: int = 8
    timelines: tuple[int, ...] = ()
    pace_s: float = 0.0


def run_pairs(  # noqa: PLR0913 - who runs, what, where, and who watches
    sides: Sequence[Side],
    rounds: Rounds,
    *,
    environment: Environment,
    targets: Targets | None = None,
    progress: Progress | None = None,
    left_s: Callable[[], float] | None = None,
    world: World = WORLD,
) -> tuple[Recording, ...]:
    """Run all sides, as `rounds` says.

    A worker that hangs or dies is a trial with that status, and its round has no pair there; three failures in a row on one side end it all.  A target that dies is
    started once more.  Ctrl-C, a full disk and a second death end the run early, as partial, with what ended kept.

    Args:
        sides: base first; a scenario's only arm is run.
        rounds: as its attributes tell.
        environment: with the cores for clients and targets.
        targets: running ones to share; None: own ones, ended at the end.
        progress: who watches; its beginning and end are the caller's.
        left_s: what is left of a larger work, for `progress`; None: of this budget.
        world: for tests.

    Returns:
        A recording a side.
    """
    with Interrupts() as interrupts:
        shared = targets or Targets(world.start)
        seen = _Once(progress or Silent())
        there = replace_start(world, shared)
        runs = [Run(side.scenario, side.store, environment, seen, there, interrupts) for side in sides]
        pairs = _Pairs([side.scenario for side in sides], runs, rounds, seen, world)
        try:
            for run in runs:
                run.open()
            pairs.through(left_s or pairs.left_s)
        except KeyboardInterrupt:
            for run in runs:
                run.interrupted()
        except LoopdiagError as fault:
            for run in runs:
                run.stop("; ".join(fault.faults))
        finally:
            interrupts.done()
            for run in runs:
                run.close()  # leaves a target that is shared
            if targets is None:
                shared.close()
        return tuple(run.finish() for run in runs)


def replace_start(world: World, targets: Targets) -> World:
    """The same world, whose targets are shared."""
    from dataclasses import replace as changed

    return changed(world, start=targets.start)


def paired(*recordings: Recording) -> tuple[dict[int, list[float]], ...]:
    """N → totals of the usable bare trials, a mapping a recording, of those rounds alone that were usable in all; N ascending, rounds in order."""
    found = [
        {(t.spec.n, t.spec.repetition): t.total_s for t in made.trials if t.usable and t.spec.tier == "bare" and t.total_s is not None}
        for made in recordings
    ]
    common = sorted(set.intersection(*(set(each) for each in found)) if found else ())
    points: tuple[dict[int, list[float]], ...] = tuple({} for _ in recordings)
    for key in common:
        for side, each in zip(points, found, strict=True):
            side.setdefault(key[0], []).append(each[key])
    return points


class _Once:
    """A watcher that hears a line once, though several runs say it."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._said = progress, set[str]()
        self.begin, self.end = progress.begin, progress.end
        self.trial_started, self.trial_ended = progress.trial_started, progress.trial_ended

    def note(self, line: str) -> None:
        """Pass it on, the first time."""
        if line not in self._said:
            self._said.add(line)
            self._progress.note(line)


@dataclass
class _Cell:
    """One side and N."""

    expected_s: float
    costs_s: list[float] = field(default_factory=list)

    @property
    def cost_s(self) -> float:
        return median(self.costs_s) if self.costs_s else self.expected_s


class _Pairs:
    """The rounds in progress."""

    def __init__(self, scenarios: list[Scenario], runs: list[Run], rounds: Rounds, progress: Progress, world: World) -> None:
        self._scenarios, self._runs, self._rounds, self._progress, self._world = scenarios, runs, rounds, progress, world
        self._random = Random(scenarios[0].sweep.seed)
        self._began = world.clock()
        self._turn_s = self._began
        self._count = 0
        self._cells = {(side, n): _Cell(expected[n]) for side, expected in enumerate(rounds.expected_s) for n in rounds.ns}
        self._totals: list[dict[tuple[int, int], float]] = [{} for _ in runs]
        self._failures = [0] * len(runs)

    def left_s(self) -> float:
        """What is left of the budget."""
        return max(0.0, self._rounds.budget_s - (self._world.clock() - self._began))

    def through(self, left_s: Callable[[], float]) -> None:
        """Warm-ups, rounds, timelines."""
        rounds, last = self._rounds, len(self._runs) - 1
        for side in self._order(range(len(self._runs))):
            self._one(side, rounds.ns[0], "bare", -1, left_s)
        done = 0
        while done < rounds.most and max(self._failures) < TRIES and self._round_s() + self._timeline_s() <= self.left_s():
            self._round(done, rounds.ns, left_s)
            done += 1
            if rounds.enough is not None and done >= rounds.least and rounds.enough(self._paired()):
                break
        if 0 < done < min(rounds.least, rounds.most) and max(self._failures) < TRIES:
            self._round(done, self._affordable(), left_s)  # smaller N alone still tell how trials scatter
        if done and max(self._failures) < TRIES:
            for n in rounds.timelines:
                if self._cells[last, n].cost_s <= self.left_s():
                    self._one(last, n, "timeline", 0, left_s)

    def _round(self, number: int, ns: Sequence[int], left_s: Callable[[], float]) -> None:
        for n in self._order(ns):
            for side in self._order(range(len(self._runs))):
                result = self._one(side, n, "bare", number, left_s)
                if result.usable and result.total_s is not None:
                    self._totals[side][n, number] = result.total_s
                self._failures[side] = 0 if result.usable else self._failures[side] + 1
                if self._failures[side] >= TRIES:
                    self._runs[side].stop(f"ended after {TRIES} failures in a row: {result.why or result.errors or result.status}")
                    return

    def _one(self, side: int, n: int, tier: Tier, repetition: int, left_s: Callable[[], float]) -> TrialResult:
        """One trial, when its turn has come."""
        self._wait()
        began = self._world.clock()
        result = self._runs[side].trial(self._spec(side, n, tier, repetition), left_s())
        if tier == "bare":
            self._cells[side, n].costs_s.append(self._world.clock() - began)
        self._progress.trial_ended(result, left_s())
        return result

    def _wait(self) -> None:
        now = self._world.clock()
        if now < self._turn_s:
            self._world.sleep(self._turn_s - now)
        self._turn_s = max(now, self._turn_s) + self._rounds.pace_s

    def _spec(self, side: int, n: int, tier: Tier, repetition: int) -> TrialSpec:
        self._count += 1
        base, arm = self._scenarios[0], self._scenarios[side].arms[0]
        turn = "warm-up" if repetition < 0 else f"r{repetition}"
        seed = zlib.crc32(f"{base.sweep.seed}/{base.arms[0].name}/{n}/{tier}/{repetition}".encode())
        name = f"{self._count:04d}-{arm.name.replace('/', '-')}-n{n}-{tier}-{turn}"
        return TrialSpec(id=name, arm=arm, n=n, tier=tier, repetition=repetition, seed=seed)

    def _paired(self) -> list[dict[int, list[float]]]:
        common = sorted(set.intersection(*(set(each) for each in self._totals)))
        return [{n: [each[key] for key in common if key[0] == n] for n, _ in common} for each in self._totals]

    def _round_s(self, ns: Sequence[int] | None = None) -> float:
        cells = [cell for (_, n), cell in self._cells.items() if ns is None or n in ns]
        return max(self._rounds.pace_s * len(cells), sum(cell.cost_s for cell in cells))

    def _affordable(self) -> tuple[int, ...]:
        """The smallest N that one more round on all sides could have."""
        ns = self._rounds.ns
        fits = (count for count in range(len(ns), 0, -1) if self._round_s(ns[:count]) + self._timeline_s() <= self.left_s())
        return ns[: next(fits, 0)]

    def _timeline_s(self) -> float:
        return sum(max(self._rounds.pace_s, self._cells[len(self._runs) - 1, n].cost_s) for n in self._rounds.timelines[:1])

    def _order(self, items: Sequence[int]) -> list[int]:
        order = list(items)
        self._random.shuffle(order)
        return order


def alone(scenario: Scenario, ns: tuple[int, ...]) -> Scenario:
    """The scenario as a side runs it: these N, and no verification of its own."""
    return replace(scenario, sweep=replace(scenario.sweep, n=ns), verify=replace(scenario.verify, enabled=False))
