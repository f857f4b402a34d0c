"""Which trials of a plan are profiled: how many, at which N, and what they may cost.

They are never fitted, so they may not eat what the fit needs: a profiled arm keeps back a part of its share, which timelines and
repetitions leave alone and its profiles do not exceed.  When every N of the arm that fits was tried, the arm gets profiles at several N up to
the largest one that this part pays for, and a second one of the larger, which say most.  One more trial at a small N counts calls.
"""

from loopdiag.lab.cells import TRIES, ArmState, Cell, Predict, seconds
from loopdiag.model.recording import Skipped, Tier, TrialResult
from loopdiag.model.scenario import Scenario

SHARE = 0.2  # of an arm's share of the budget
VALUES = 3  # of N, at least, where the part pays for them: what a slope needs; that the largest N is among them comes first
MOST = 5
CALLS_N = 100  # the largest N at which calls are counted
FEWEST_VALUES = 2  # below them there is no slope


class Profiles:
    """The profiled cells of all arms.

    Args:
        scenario: arms, sweep and what is asked of profiles.
        predict: as the plan's.
        share_s: an arm's share of the budget.
    """

    def __init__(self, scenario: Scenario, predict: Predict, share_s: float) -> None:
        self._predict, self._share_s = predict, share_s
        self._calls = scenario.profile.calls and scenario.program is None  # nobody counts the calls of a program of the user's own
        # a live target is asked for no more than the law needs, and the fake client runs no code that anybody else's does
        self._arms = (
            set() if scenario.target.live or not scenario.profile.enabled else {a.name for a in scenario.arms if a.client != "fake"}
        )
        self._chosen: dict[str, list[Cell]] = {}
        self._spent_s: dict[str, float] = {}
        self._failures: dict[Tier, int] = {}
        self._given_up: dict[Tier, str] = {}

    def reserve_s(self, state: ArmState, cell: Cell | None = None) -> float:
        """What of the arm's share a trial of this cell has to leave alone; the first bare trial of an N leaves nothing: the law comes first."""
        name = state.arm.name
        if cell is not None and (cell.tier in {"profile", "calls"} or (cell.tier == "bare" and not cell.tried)):
            return 0.0
        if name not in self._arms or "profile" in state.refused or (name in self._chosen and not self.wanted(state)):
            return 0.0
        return max(0.0, SHARE * self._share_s - self._spent_s.get(name, 0.0))

    def choose(self, state: ArmState) -> None:
        """Choose the arm's cells, once: all its values of N that fit were tried."""
        name = state.arm.name
        if name in self._arms and name not in self._chosen:
            chosen = [self._cell(state, n, "profile") for n in self._values(state)]
            small = [n for n in state.measured() if n <= CALLS_N]
            if self._calls and small and self._cost_s(state, state.cell(small[0], "calls")) <= SHARE * self._share_s:
                chosen.append(self._cell(state, small[0], "calls"))
            self._chosen[name] = chosen

    def wanted(self, state: ArmState) -> list[Cell]:
        """The arm's cells that are still to be run and paid for; once, the largest N that was measured, so that nothing there is told by a smaller one."""
        chosen = self._chosen.get(state.arm.name, [])
        left = SHARE * self._share_s - self._spent_s.get(state.arm.name, 0.0)
        top = max(state.measured(), default=0)
        if chosen and all(cell.n < top for cell in chosen if cell.tier == "profile"):
            chosen.append(self._cell(state, top, "profile"))
        values = [cell.n for cell in chosen if cell.tier == "profile"]
        all_once = all(cell.tried or cell.given_up for cell in chosen)
        wanted = []
        for cell in chosen:
            times = 2 if all_once and cell.tier == "profile" and cell.n in values[len(values) // 2 :] else 1
            paid = cell.tier == "calls" or self._cost_s(state, cell) <= (left if cell.n < top or cell.tried else SHARE * self._share_s)
            if cell.tried < times and cell.given_up is None and paid:
                wanted.append(cell)
        return wanted

    def observe(self, result: TrialResult, cost_s: float) -> None:
        """Take in how a profiled trial ended; a profiler that fails again and again is not asked again."""
        tier, name = result.spec.tier, result.spec.arm.name
        if tier == "profile":
            self._spent_s[name] = self._spent_s.get(name, 0.0) + cost_s
        why = result.not_observed.get(tier)
        self._failures[tier] = self._failures.get(tier, 0) + 1 if why else 0
        if why and self._failures[tier] >= TRIES:
            self._given_up[tier] = f"{TRIES} times in a row: {why}"
            for cell in [cell for cells in self._chosen.values() for cell in cells if cell.tier == tier]:
                cell.given_up = self._given_up[tier]

    def skipped(self, state: ArmState) -> list[Skipped]:
        """What the arm's profiles lack, and why; an arm of which nothing was measured says so itself."""
        measured, name = state.measured(), state.arm.name
        if name not in self._arms or not measured:
            return []
        found = [cell for cell in state.cells.values() if cell.tier == "profile" and cell.costs_s]
        if len(found) >= min(FEWEST_VALUES, len(measured)) and "profile" not in self._given_up:
            return []
        n = next((n for n in measured if not state.cell(n, "profile").totals_s), measured[0])
        cost = self._cost_s(state, state.cell(n, "profile"))
        why = (
            self._given_up.get("profile")
            or state.refused.get("profile")
            or f"predicted {seconds(cost)} each; profiles have {SHARE:.0%} of its share, {seconds(SHARE * self._share_s)}"
        )
        return [Skipped(arm=name, n=n, tier="profile", why=f"{name} N = {n}: {why}", predicted_s=cost)]

    def _cell(self, state: ArmState, n: int, tier: Tier) -> Cell:
        """A cell that is chosen: given up at once where its profiler was, or where the arm cannot run in that tier."""
        cell = state.cell(n, tier)
        cell.given_up = self._given_up.get(tier) or state.refused.get(tier)
        return cell

    def _values(self, state: ArmState) -> list[int]:
        """The values of N to profile: spread up to the largest with which all are paid for once."""
        measured, part = state.measured(), SHARE * self._share_s

        def cost(values: list[int]) -> float:
            return sum(self._cost_s(state, state.cell(n, "profile")) for n in values)

        for fewest in range(VALUES, FEWEST_VALUES - 1, -1):
            for top in range(len(measured), 0, -1):
                for count in range(min(MOST, top), min(fewest, len(measured)) - 1, -1):
                    if cost(values := spread(measured[:top], count)) <= part:
                        return values
        return []

    def _cost_s(self, state: ArmState, cell: Cell) -> float:
        return state.predicted_s(cell.n, cell.tier, self._predict)


def spread(values: list[int], count: int) -> list[int]:
    """`count` of the ascending values, the first and the last among them, at even steps of their order."""
    if count >= len(values):
        return list(values)
    if count == 1:
        return [values[-1]]
    return [values[round(k * (len(values) - 1) / (count - 1))] for k in range(count)]
