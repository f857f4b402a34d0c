"""Which trial comes next: rounds over arms, N and tiers, shuffled and interleaved, within a budget.  Pure: what time passed is told.

First the warm-ups (repetition -1, discarded): each arm's smallest values of N, ascending, from which the larger ones are predicted.  Then
rounds; in each, every cell that is still wanted and fits runs once, in an order shuffled with the seed.  A value of N is first tried after
the next smaller one of its arm, so that no prediction reaches far.

Every arm has an equal share of the budget; what an arm that is done has not used falls to the others.  A cell that does not fit waits, and
is told as skipped when the plan ends without it; an arm that is left with fewer values of N than a law needs gets smaller ones instead.
"""

import zlib
from collections.abc import Iterator
from random import Random

from loopdiag.lab.cells import TRIES, ArmState, Cell, HalfWidth, Predict, more_values, seconds
from loopdiag.lab.plan_profiles import Profiles
from loopdiag.lab.preparing import refused
from loopdiag.model.recording import Skipped, Tier, TrialResult, TrialSpec
from loopdiag.model.scenario import Scenario

TIERS: tuple[Tier, ...] = ("bare", "timeline")
WARM_UP_VALUES = 3
WARM_UP_SHARE = 0.15  # of an arm's share: the most that one warm-up may be predicted to take
TIMELINES = 2  # repetitions of a timeline cell at most; the second after three bare ones, whose totals are what is fitted
VALUES, SPAN = 5, 8.0  # what a law needs


class Plan:
    """The order of a run's trials.  Ask `next_trial`, run it, tell `observe`; repeat until None.

    Args:
        scenario: arms and sweep.
        predict: T of an N from the totals of others (seconds); None where it cannot tell.
        half_width: half the slope's 95 % interval as a share of the slope; None where it cannot tell.
        budget_s: of measuring; None: the sweep's.
        least_s: what a trial takes at least, waiting for its turn included (live targets).
        max_n: larger values of N are skipped (live targets).
    """

    def __init__(  # noqa: PLR0913 - the two functions are analysis, which the lab may not import; the rest has defaults
        self,
        scenario: Scenario,
        *,
        predict: Predict,
        half_width: HalfWidth,
        budget_s: float | None = None,
        least_s: float = 0.0,
        max_n: int | None = None,
    ) -> None:
        self._sweep, self._predict, self._half_width = scenario.sweep, predict, half_width
        self._budget_s = scenario.sweep.budget_s if budget_s is None else budget_s
        self._least_s, self._max_n = least_s, max_n
        self._random = Random(scenario.sweep.seed)
        self._arms = [ArmState(arm=arm, index=i, refused=refused(arm)) for i, arm in enumerate(scenario.arms)]
        self._by_name = {state.arm.name: state for state in self._arms}
        self._values = sorted(set(scenario.sweep.n))
        for state in self._arms:
            for n in self._allowed():
                state.cell(n, "bare")
        self._profiles = Profiles(scenario, predict, self._budget_s / max(1, len(self._arms)))
        self._count = 0
        self._queue: list[tuple[ArmState, Cell]] = []
        self._warm_ups = list(self._warm_up_cells())
        self._ending: Iterator[Skipped] | None = None

    @property
    def spent_s(self) -> float:
        """What was measured so far, over all arms."""
        return sum(state.spent_s for state in self._arms)

    def remaining_s(self) -> float:
        """What the rest of the plan will take at most."""
        if self._ending is not None:
            return 0.0
        left = sum(min(max(0.0, self._left_s(state)), self._at_most_s(state)) for state in self._arms if not state.done)
        return max(0.0, min(left, self._budget_s - self.spent_s))

    def next_trial(self) -> TrialSpec | Skipped | None:
        """The next trial; at the end, one by one, what was not run and why; then None."""
        while self._ending is None:
            if spec := self._next_warm_up() or self._next_queued():
                return spec
            if not self._new_round():
                self._ending = self._skipped()
        return next(self._ending, None)

    def observe(self, result: TrialResult, cost_s: float) -> None:
        """Take in how a trial ended and what it took, whole process and waiting included (seconds)."""
        state, spec = self._by_name[result.spec.arm.name], result.spec
        state.spent_s += cost_s
        if result.total_s is not None and result.status == "ok":
            state.overheads_s.append(max(0.0, cost_s - result.total_s))
        if spec.repetition < 0:
            if result.total_s is not None:
                state.warm_ups.setdefault(spec.n, []).append(result.total_s)
            return
        cell = state.cell(spec.n, spec.tier)
        cell.costs_s.append(cost_s)
        cell.tried += 1
        if cell.tier in {"profile", "calls"}:
            self._profiles.observe(result, cost_s)
        if result.usable and result.total_s is not None:
            cell.totals_s.append(result.total_s)
            cell.failures = 0
            return
        cell.failures += 1
        if cell.failures >= TRIES:
            kinds = ", ".join(f"{count} {kind}" for kind, count in result.errors.items())
            cell.given_up = f"failed {TRIES} times in a row: {result.why or kinds or result.status}"

    # -- warm-ups

    def _allowed(self) -> list[int]:
        return [n for n in self._values if self._max_n is None or n <= self._max_n]

    def _warm_up_cells(self) -> Iterator[tuple[ArmState, int]]:
        for _ in range(self._sweep.warmups):
            for n in self._allowed()[:WARM_UP_VALUES]:
                order = list(self._arms)
                self._random.shuffle(order)
                yield from ((state, n) for state in order)

    def _next_warm_up(self) -> TrialSpec | None:
        while self._warm_ups:
            state, n = self._warm_ups.pop(0)
            expected = max(self._least_s, state.predicted_s(n, "bare", self._predict))
            share = self._budget_s / len(self._arms)
            worth = n == self._allowed()[0] or expected <= WARM_UP_SHARE * share
            if worth and expected <= self._left_s(state):
                return self._spec(state, n, "bare", -1)
        return None

    # -- rounds

    def _next_queued(self) -> TrialSpec | None:
        """The first cell of the round whose turn it is and that still fits."""
        while self._queue:
            at = next(i for i, (state, cell) in enumerate(self._queue) if not self._must_wait(state, cell))
            state, cell = self._queue.pop(at)
            if cell.given_up is None and self._fits(state, cell):
                return self._spec(state, cell.n, cell.tier, cell.tried)
        return None

    def _must_wait(self, state: ArmState, cell: Cell) -> bool:
        """Whether a smaller N of the arm, that was never tried, stands in this round: it is tried first."""
        known = state.known()
        if cell.n in known or (known and cell.n <= max(known)):
            return False
        return any(other.n < cell.n and not other.tried and mate is state for mate, other in self._queue)

    def _new_round(self) -> bool:
        """Queue one round; False where nothing is wanted or fits any more."""
        for state in self._arms:
            self._settle(state)
        queue = [(state, cell) for state in self._arms if not state.done for cell in self._wanted(state)]
        self._random.shuffle(queue)
        self._queue = queue
        return bool(queue)

    def _settle(self, state: ArmState) -> None:
        """Decide whether the arm is done, and whether it needs other values of N."""
        if state.done:
            return
        tried = [state.cell(n, "bare") for n in state.values() if state.cell(n, "bare").tried]
        live = [cell for cell in tried if cell.given_up is None]
        if not tried:
            return
        if not self._more_values(state):
            enough = all(len(cell.totals_s) >= self._sweep.repetitions for cell in live)
            most = all(cell.tried >= self._sweep.max_repetitions for cell in live)
            if not self._untried(state):
                self._profiles.choose(state)
                state.done = not self._profiled(state) and (most or (enough and self._precise(state)))

    def _untried(self, state: ArmState) -> bool:
        """Whether a value of N that still fits was never tried."""
        cells = [cell for cell in state.cells.values() if cell.tier in TIERS]
        return any(not cell.tried and cell.given_up is None and self._fits(state, cell) for cell in cells)

    def _profiled(self, state: ArmState) -> list[Cell]:
        """The cells that are still to be profiled and fit."""
        return [cell for cell in self._profiles.wanted(state) if self._fits(state, cell)]

    def _precise(self, state: ArmState) -> bool:
        points = state.points()
        if len(points) < 2:
            return True  # there is no slope; repetitions will not make one
        width = self._half_width(points)
        return width is not None and width <= self._sweep.precision

    def _more_values(self, state: ArmState) -> bool:
        """Give an arm that cannot afford its larger values of N others in their place; whether it got any."""
        measured = state.measured()
        open_cells = [state.cell(n, "bare") for n in state.values() if n not in measured]
        pending = any(cell.given_up is None and self._fits(state, cell) for cell in open_cells)
        if not measured or pending:
            return False
        wanted = min(VALUES, len(self._allowed()))
        span = min(SPAN, self._allowed()[-1] / self._allowed()[0])
        fresh = [n for n in more_values(measured, wanted, span) if (n, "bare") not in state.cells]
        for n in fresh:
            state.cell(n, "bare")
        return bool(fresh)

    def _wanted(self, state: ArmState) -> list[Cell]:
        """The arm's cells for one round, as far as its share goes."""
        wanted = []
        for n in state.values():
            bare = state.cell(n, "bare")
            if bare.given_up is None and bare.tried < self._sweep.max_repetitions:
                wanted.append(bare)
            timeline = state.cell(n, "timeline")
            if timeline.given_up is None and timeline.tried < TIMELINES and 3 * timeline.tried <= bare.tried and bare.given_up is None:
                wanted.append(timeline)
        left, chosen = self._left_s(state), self._profiled(state)
        for cell in sorted(wanted, key=_urgency):
            cost = self._cost_s(state, cell)
            if cost <= left - self._profiles.reserve_s(state, cell) and self._fits(state, cell):
                left -= cost
                chosen.append(cell)
        return chosen

    # -- the budget

    def _left_s(self, state: ArmState) -> float:
        """What is left of the arm's share: an equal part of what the arms that are done have not used, less what it has spent."""
        active = sum(not other.done for other in self._arms)
        used = sum(other.spent_s for other in self._arms if other.done)
        return min((self._budget_s - used) / max(1, active) - state.spent_s, self._budget_s - self.spent_s)

    def _cost_s(self, state: ArmState, cell: Cell) -> float:
        return max(self._least_s, state.predicted_s(cell.n, cell.tier, self._predict))

    def _fits(self, state: ArmState, cell: Cell) -> bool:
        """Whether a trial of this cell can be run; remembers what was left where it cannot.

        A cell that was never tried leaves room for two bare trials of each smaller N, which say more for less, and a timeline for those of
        its own N.  An N whose own timeline cannot be paid for is not begun: nothing could be said of what it is made of.
        """
        left, cost = self._left_s(state) - self._profiles.reserve_s(state, cell), self._cost_s(state, cell)
        if not cell.tried and cell.tier in TIERS:
            least = min(2, self._sweep.repetitions)
            upto = [n for n in state.values() if n < cell.n + (cell.tier != "bare")]
            smaller = [state.cell(n, "bare") for n in upto if state.cell(n, "bare").given_up is None]
            cost += sum(max(0, least - other.tried) * self._cost_s(state, other) for other in smaller)
            if cell.tier == "bare":
                watched = [state.cell(n, "timeline") for n in state.values() if n <= cell.n]
                cost += sum(self._cost_s(state, other) for other in watched if not other.tried and other.given_up is None)
        if left > 0 and cost <= left and self._cost_s(state, cell) <= self._sweep.trial_timeout_s:
            return True
        if not cell.tried:
            cell.left_at_refusal_s = max(left, cell.left_at_refusal_s or 0.0)
        return False

    def _at_most_s(self, state: ArmState) -> float:
        """What the arm would take if it used all its repetitions."""
        bare = [state.cell(n, "bare") for n in state.values()]
        left = sum(max(0, self._sweep.max_repetitions - cell.tried) * self._cost_s(state, cell) for cell in bare)
        return left + self._profiles.reserve_s(state)

    # -- results

    def _spec(self, state: ArmState, n: int, tier: Tier, repetition: int) -> TrialSpec:
        self._count += 1
        turn = "warm-up" if repetition < 0 else f"r{repetition}"
        name = f"{self._count:04d}-{state.arm.name.replace('/', '-')}-n{n}-{tier}-{turn}"
        seed = zlib.crc32(f"{self._sweep.seed}/{state.arm.name}/{n}/{tier}/{repetition}".encode())
        return TrialSpec(id=name, arm=state.arm, n=n, tier=tier, repetition=repetition, seed=seed)

    def _skipped(self) -> Iterator[Skipped]:
        """What was not run, or given up, and why."""
        for state in self._arms:
            for n in self._values:
                for tier in TIERS:
                    why, cost = self._why_not(state, n, tier)
                    if why:
                        yield Skipped(arm=state.arm.name, n=n, tier=tier, why=f"{state.arm.name} N = {n}: {why}", predicted_s=cost)
            yield from self._profiles.skipped(state)

    def _why_not(self, state: ArmState, n: int, tier: Tier) -> tuple[str | None, float | None]:
        """Why the cell was not run to its end (None: it was), and the prediction that this rests on."""
        if self._max_n is not None and n > self._max_n:
            return f"over live.max_n = {self._max_n}", None
        cell, bare = state.cell(n, tier), state.cell(n, "bare")
        if cell.given_up or cell.tried:
            return cell.given_up, None
        if bare.given_up:
            return bare.given_up, None
        cost, timeout = self._cost_s(state, cell), self._sweep.trial_timeout_s
        left = max(0.0, self._left_s(state) if cell.left_at_refusal_s is None else cell.left_at_refusal_s)
        if cost > timeout:
            return f"predicted {seconds(cost)}, a trial is stopped after {seconds(timeout)}", cost
        rest = "" if cost > left else ", which its smaller values of N need"
        return f"predicted {seconds(cost)}, {seconds(left)} of its share were left{rest}", cost


def _urgency(cell: Cell) -> tuple[float, int]:
    """What comes first where not everything fits: fewest trials, a timeline counting for two bare ones; new values of N by size, others by weight."""
    turn = cell.tried if cell.tier == "bare" else 2 * cell.tried + 0.5
    return turn, -cell.n if cell.tried else cell.n
