"""The plan: budget, shares, interleaving, determinism, and what it says about what it did not run; against a simulated machine."""

from collections.abc import Callable, Mapping
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_parts import scenario as any_scenario

from loopdiag.lab.cells import ArmState, exponent_between, extrapolate, more_values
from loopdiag.lab.plan import TIMELINES, Plan
from loopdiag.lab.plan_profiles import SHARE, Profiles
from loopdiag.lab.preparing import refused
from loopdiag.model.recording import Skipped, TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Profiling, Scenario, Sweep, Target

Cost = Callable[[str, int], float]  # arm, N → T in seconds
ARMS = (Arm(client="httpx"), Arm(client="aiohttp"), Arm(client="httpx", loop="uvloop"), Arm(client="aiohttp", loop="uvloop"))
OVERHEAD_S = 0.4


def scenario(*arms: Arm, **parts: Any) -> Scenario:
    """A scenario without profiles, unless they are asked for."""
    return any_scenario(*arms, **({"profile": Profiling(enabled=False)} | parts))


def guess(_points: Mapping[int, list[float]], _n: int) -> float | None:
    """An analyst who cannot tell: the plan's own extrapolation is used."""
    return None


class Simulation:
    """A plan run to its end on a machine where every cell takes what `cost` says."""

    def __init__(
        self,
        made: Scenario,
        cost: Cost,
        *,
        width: float | None = 1.0,
        status: Callable[[TrialSpec], str] = lambda _: "ok",
        lacks: Callable[[TrialSpec], dict[str, str]] = lambda _: {},
        **options: Any,
    ) -> None:
        self.ran: list[TrialSpec] = []
        self.costs: list[float] = []
        self.skipped: list[Skipped] = []
        plan = Plan(made, predict=guess, half_width=lambda _: width, **options)
        while (item := plan.next_trial()) is not None:
            assert len(self.ran) < 5000
            if isinstance(item, Skipped):
                self.skipped.append(item)
                continue
            total = cost(item.arm.name, item.n) * (8 if item.tier == "calls" else 1)
            fate = status(item)
            result = TrialResult(
                spec=item,
                status=fate,
                total_s=total if fate == "ok" else None,
                why=None if fate == "ok" else "it broke",
                not_observed=lacks(item),
            )  # type: ignore[arg-type] # a Status
            plan.observe(result, total + OVERHEAD_S)
            self.ran.append(item)
            self.costs.append(total + OVERHEAD_S)
            assert plan.remaining_s() <= max(0.0, made.sweep.budget_s - self.spent_s) + 1e-6
        assert plan.next_trial() is None
        assert plan.remaining_s() == 0

    @property
    def spent_s(self) -> float:
        """What all trials took."""
        return sum(self.costs)

    def spent_by(self, arm: str) -> float:
        """What one arm took."""
        return sum(cost for item, cost in zip(self.ran, self.costs, strict=True) if item.arm.name == arm)

    def values(self, arm: str) -> list[int]:
        """The values of N that an arm measured."""
        return sorted({item.n for item in self.ran if item.arm.name == arm and item.repetition >= 0 and item.tier == "bare"})

    def repetitions(self, arm: str, n: int, tier: str = "bare") -> int:
        """How often a cell ran."""
        return sum(item.arm.name == arm and item.n == n and item.tier == tier and item.repetition >= 0 for item in self.ran)


def sweep(**parts: Any) -> Scenario:
    """The four arms of the blog, with a sweep."""
    return scenario(*ARMS, sweep=Sweep(**parts))


def blog(arm: str, n: int) -> float:
    """Today's stack: httpx is quadratic, aiohttp is not."""
    return 0.06 + (0.0003 * n + 4.1e-5 * n * n if arm.startswith("httpx") else 0.00093 * n)


def test_what_does_not_fit_is_found_out_and_said() -> None:
    # httpx at N = 800 takes 26 s of a share of 30 s: it is not run, both tiers are told as skipped with the figures; the others are measured.
    ran = Simulation(sweep(), blog, width=0.04)
    assert ran.spent_s <= 120
    assert {item.arm for item in ran.skipped} == {"httpx/asyncio", "httpx/uvloop"}
    assert {(item.n, item.tier) for item in ran.skipped} == {(800, "bare"), (800, "timeline")}
    for item in ran.skipped:
        assert item.why.startswith(f"{item.arm} N = 800: predicted 2")
        assert "of its share were left" in item.why
        assert item.predicted_s == pytest.approx(26.9, rel=0.3)
    for arm in ARMS:
        values = ran.values(arm.name)
        assert len(values) >= 5
        assert values[-1] / values[0] >= 8
        assert all(ran.repetitions(arm.name, n) >= 2 for n in values)
        assert all(1 <= ran.repetitions(arm.name, n, "timeline") <= TIMELINES for n in values)


def test_an_arm_is_done_when_it_is_precise() -> None:
    # Under the asked half-width, each cell runs its repetitions and no more, and most trials are bare.
    ran = Simulation(sweep(n=(10, 20, 40, 80, 160), repetitions=4, budget_s=600), lambda _arm, n: n / 1000, width=0.01)
    assert not ran.skipped
    for arm in ARMS:
        assert [ran.repetitions(arm.name, n) for n in (10, 20, 40, 80, 160)] == [4] * 5
        assert [ran.repetitions(arm.name, n, "timeline") for n in (10, 20, 40, 80, 160)] == [2] * 5


def test_an_arm_that_is_not_precise_uses_its_share_or_all_its_repetitions() -> None:
    # Without precision, repetitions go on until the budget ends or max_repetitions are done.
    made = sweep(n=(10, 20, 40, 80, 160), budget_s=600, max_repetitions=7)
    ran = Simulation(made, lambda _arm, n: n / 1000, width=None)
    assert all(ran.repetitions(arm.name, n) == 7 for arm in ARMS for n in (10, 160))
    short = Simulation(sweep(n=(10, 20, 40, 80, 160), budget_s=60), lambda _arm, n: n / 1000, width=None)
    assert 55 <= short.spent_s <= 60


def test_an_arm_that_is_done_leaves_its_time_to_the_others() -> None:
    # A cheap arm uses little of its half; the dear one gets more than a half, and a value of N that its half could not pay.
    made = scenario(Arm(client="httpx"), Arm(client="aiohttp"), sweep=Sweep(n=(10, 20, 40, 80, 160), repetitions=2, budget_s=100))

    def cost(arm: str, n: int) -> float:
        return n * (0.12 if arm.startswith("httpx") else 0.001)

    ran = Simulation(made, cost, width=0.01)
    assert ran.spent_by("aiohttp/asyncio") < 15
    assert ran.spent_by("httpx/asyncio") > 60
    assert 80 in ran.values("httpx/asyncio")


def test_the_same_seed_gives_the_same_plan() -> None:
    # The order is the seed's, and so are the trials' own seeds.
    first, second, other = (Simulation(sweep(seed=seed), blog).ran for seed in (1, 1, 2))
    assert first == second
    assert [item.id for item in first] != [item.id for item in other]
    assert len({item.id for item in first}) == len(first)
    assert len({item.seed for item in first}) > len(first) * 0.95


def test_arms_tiers_and_values_are_interleaved() -> None:
    # Each arm's first and last trial lie near the run's ends, its larger values of N are not all run last, nor are its timelines.
    ran = Simulation(sweep(n=(10, 20, 40, 80, 160), repetitions=6, budget_s=600), lambda _arm, n: n / 1000, width=0.01).ran
    measured = [item for item in ran if item.repetition >= 0]
    for arm in ARMS:
        places = [i / len(measured) for i, item in enumerate(measured) if item.arm == arm]
        assert places[0] < 0.1
        assert places[-1] > 0.85
    for chosen in ([item.n >= 80 for item in measured], [item.tier == "timeline" for item in measured]):
        places = [i / len(measured) for i, yes in enumerate(chosen) if yes]
        assert 0.2 < median(places) < 0.7
    assert [item.n for item in measured[-20:]] != sorted(item.n for item in measured[-20:])


def test_warm_ups_come_first_ascending_and_are_marked() -> None:
    # Warm-ups are the smallest values of N, ascending over all arms, with repetition -1; no bare trial of a pass comes before them.
    ran = Simulation(sweep(warmups=1, repetitions=1, n=(10, 20, 40, 80, 160), budget_s=600), lambda _arm, n: n / 1000, width=0.01).ran
    warm = [item for item in ran if item.repetition < 0]
    assert ran[: len(warm)] == warm
    assert [item.n for item in warm] == [10] * 4 + [20] * 4 + [40] * 4
    assert all(item.tier == "bare" and "warm-up" in item.id for item in warm)


def test_a_larger_value_is_first_tried_after_the_next_smaller_one() -> None:
    # Nothing is predicted over more than one step of the ladder, with warm-ups or without.
    for warmups in (0, 1):
        ran = Simulation(sweep(warmups=warmups, n=(10, 20, 40, 80, 160, 320)), lambda _arm, n: n / 1000, width=0.01).ran
        for arm in ARMS:
            known = 0 if warmups == 0 else 40
            for item in (item for item in ran if item.arm == arm):
                assert item.n <= max(10, 2 * known)
                known = max(known, item.n)


def test_a_cell_that_fails_three_times_in_a_row_is_given_up() -> None:
    # A cell that always fails is tried three times, told with its reason, and the arm gets smaller values of N in its place.
    made = sweep(n=(25, 50, 100, 200, 400), budget_s=400)
    ran = Simulation(made, lambda _arm, n: n / 1000, width=0.01, status=lambda item: "crashed" if item.n >= 100 else "ok")
    gone = [item for item in ran.skipped if item.arm == "httpx/asyncio" and item.tier == "bare"]
    assert [item.n for item in gone] == [100, 200, 400]
    assert gone[0].why == "httpx/asyncio N = 100: failed 3 times in a row: it broke"
    assert ran.repetitions("httpx/asyncio", 100) == 3
    good = [n for n in ran.values("httpx/asyncio") if n < 100]
    assert len(good) >= 5
    assert good[-1] / good[0] >= 8


def test_a_failure_now_and_then_is_made_up_for() -> None:
    # A trial that fails once is repeated: the cell still gets its repetitions.
    made = sweep(n=(10, 20, 40, 80, 160), repetitions=3, budget_s=600)
    ran = Simulation(made, lambda _arm, n: n / 1000, width=0.01, status=lambda item: "timeout" if item.repetition == 1 else "ok")
    assert not ran.skipped
    assert all(ran.repetitions(arm.name, n) == 4 for arm in ARMS for n in (10, 160))


def test_a_trial_that_would_be_stopped_is_not_begun() -> None:
    # A cell that is predicted to take longer than the time-out is skipped, and says so.
    made = sweep(n=(10, 20, 40, 80, 160), trial_timeout_s=5, budget_s=2000)
    ran = Simulation(made, lambda _arm, n: n / 10, width=0.01)
    assert {item.n for item in ran.skipped} == {80, 160}
    assert all("a trial is stopped after 5.0 s" in item.why for item in ran.skipped)
    assert len(ran.values("httpx/asyncio")) == 5


def test_a_budget_for_nothing_says_so_for_every_cell() -> None:
    # A budget smaller than one process runs nothing and names every cell.
    ran = Simulation(sweep(budget_s=0.1), blog)
    assert not ran.ran
    assert len(ran.skipped) == 4 * 5 * 2


def test_live_targets_are_asked_for_no_more_than_allowed() -> None:
    # Over max_n nothing is run, and the time between two runs counts as cost.
    ran = Simulation(sweep(n=(10, 50, 100, 200)), lambda _arm, _n: 0.1, max_n=100, least_s=30.0)
    assert {item.n for item in ran.ran} <= {10, 50, 100}
    assert len(ran.ran) <= 4  # each is told to have taken half a second, but is planned at 30 s
    assert {item.why for item in ran.skipped if item.n == 200 and item.arm == "httpx/asyncio"} == {
        "httpx/asyncio N = 200: over live.max_n = 100"
    }


def test_one_value_of_n_is_repeated_and_no_more() -> None:
    # Without a slope there is no precision to reach: the repetitions are done, and the plan ends.
    ran = Simulation(sweep(n=(40,), repetitions=3), lambda _arm, _n: 0.1, width=None)
    assert ran.values("httpx/asyncio") == [40]
    assert ran.repetitions("httpx/asyncio", 40) == 3


@settings(max_examples=60, deadline=None)
@given(
    base=st.floats(0, 0.3),
    slopes=st.tuples(*[st.floats(1e-5, 0.3)] * 4),
    exponents=st.tuples(*[st.floats(0.0, 2.2)] * 4),
    budget_s=st.floats(1, 200),
    seed=st.integers(0, 99),
    width=st.sampled_from([None, 0.01]),
    profiled=st.booleans(),
)
def test_the_budget_holds_for_any_cost(
    *, base: float, slopes: tuple[float, ...], exponents: tuple[float, ...], budget_s: float, seed: int, width: float | None, profiled: bool
) -> None:
    # Whatever the arms cost: total ≤ budget · 1.1 and one trial, and no arm that wanted more got far less than its share.
    noise = Random(seed)
    laws = {arm.name: (slope, exponent) for arm, slope, exponent in zip(ARMS, slopes, exponents, strict=True)}

    def cost(arm: str, n: int) -> float:
        slope, exponent = laws[arm]
        return (base + slope * n**exponent) * noise.uniform(0.8, 1.25)

    made = scenario(*ARMS, sweep=Sweep(budget_s=budget_s, seed=seed, max_repetitions=8), profile=Profiling(enabled=profiled))
    ran = Simulation(made, cost, width=width)
    assert ran.spent_s <= budget_s * 1.1 + max(ran.costs, default=0)
    told = {(item.arm, item.n, item.tier) for item in ran.skipped}
    for arm in ARMS:
        for n in (50, 100, 200, 400, 800):
            assert ((arm.name, n, "bare") in told) is (ran.repetitions(arm.name, n) == 0)
    if max(ran.costs, default=0) <= budget_s / 16:  # where no single trial is a good part of a share
        for arm in ARMS:
            all_run = all(ran.repetitions(arm.name, n) >= 3 for n in ran.values(arm.name))
            assert all_run or ran.spent_by(arm.name) >= budget_s / 4 * 0.6


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=7, unique=True), st.integers(1, 5), st.floats(1, 8))
def test_more_values_fill_the_ladder(values: list[int], wanted: int, span: float) -> None:
    # The values that are added are new, positive, no larger than what was afforded, and enough where whole numbers allow.
    have = sorted(values)
    fresh = more_values(have, wanted, span)
    assert not set(fresh) & set(have)
    assert all(1 <= n < have[-1] for n in fresh)
    together = sorted({*have, *fresh})
    assert len(together) >= wanted or together[-1] - together[0] + 1 == len(together)
    assert together[-1] / together[0] >= min(span, have[-1]) * 0.9


def test_more_values_are_ones_that_a_person_would_choose() -> None:
    # Between two values of N stands a round one.
    assert more_values([50, 100, 200, 400], 5, 8) == [70]
    assert more_values([80], 5, 8) == [10, 17, 30, 50]


@pytest.mark.parametrize(
    ("known", "n", "total"),
    [({}, 5, 0.0), ({10: [1.0]}, 20, 2.0), ({10: [1.0], 20: [4.0]}, 40, 16.0), ({10: [1.0], 20: [99.0]}, 40, 792.0), ({10: [1.0]}, 5, 1.0)],
)
def test_extrapolation_is_a_power_law_between_linear_and_cubic(known: dict[int, list[float]], n: int, total: float) -> None:
    # The last two points give the exponent, which stays between 1 and 3; below what is known, the smallest is taken.
    assert extrapolate(known, n) == pytest.approx(total)


def test_an_exponent_needs_positive_totals() -> None:
    # Totals of zero have no logarithm: linear is assumed.
    assert exponent_between((10, 0.0), (20, 1.0)) == 1.0


# profiles


def profiled(*arms: Arm, n: tuple[int, ...] = (10, 20, 40, 80, 160, 320, 640), budget_s: float = 160, **parts: Any) -> Scenario:
    """A scenario with profiles."""
    return any_scenario(*(arms or ARMS), sweep=Sweep(n=n, budget_s=budget_s, repetitions=3, max_repetitions=5), **parts)


def spent_on(ran: Simulation, arm: str, tier: str) -> float:
    """What the trials of one arm and tier took."""
    return sum(cost for item, cost in zip(ran.ran, ran.costs, strict=True) if item.arm.name == arm and item.tier == tier)


def test_an_arm_is_profiled_at_several_n_and_the_larger_ones_twice() -> None:
    # At least four values from the smallest to the largest, two repetitions of the upper half, one trial that counts calls at a small N.
    ran = Simulation(profiled(), lambda _arm, n: n / 1000)
    assert not ran.skipped
    for arm in ARMS:
        times = {n: ran.repetitions(arm.name, n, "profile") for n in ran.values(arm.name)}
        values = [n for n, count in times.items() if count]
        assert len(values) >= 4
        assert (values[0], values[-1]) == (10, 640)
        assert [times[n] for n in values[len(values) // 2 :]] == [2] * (len(values) - len(values) // 2)
        assert [item.n for item in ran.ran if item.arm == arm and item.tier == "calls"] == [10]


def test_profiles_cost_no_more_than_their_part() -> None:
    # A fifth of an arm's share pays for its profiles, and once more for one at the largest N where that came later; still they have three values.
    made = profiled(n=(50, 100, 200, 300, 400, 600, 800), budget_s=180)
    ran = Simulation(made, blog, width=None)
    assert ran.spent_s <= 180
    for arm in ARMS:
        assert spent_on(ran, arm.name, "profile") <= 2 * 0.2 * 45
        assert len({item.n for item in ran.ran if item.arm == arm and item.tier == "profile"}) >= 3
        assert max(item.n for item in ran.ran if item.arm == arm and item.tier == "profile") > max(ran.values(arm.name)) / 2


def test_profiles_come_after_the_first_bare_trials_of_every_n() -> None:
    # The law comes first: no profile before each value of N that fits was tried.
    ran = Simulation(profiled(), lambda _arm, n: n / 1000).ran
    for arm in ARMS:
        mine = [item for item in ran if item.arm == arm and item.repetition >= 0]
        first = next(k for k, item in enumerate(mine) if item.tier in {"profile", "calls"})
        assert {item.n for item in mine[:first] if item.tier == "bare"} == {10, 20, 40, 80, 160, 320, 640}


@pytest.mark.parametrize(
    "made",
    [
        profiled(profile=Profiling(enabled=False)),
        profiled(Arm(client="fake", loop="virtual")),
        profiled(target=Target(url="http://127.0.0.1:9")),
    ],
    ids=["switched off", "fake", "live"],
)
def test_what_is_not_profiled(made: Scenario) -> None:
    # Nothing where it is switched off, of the fake client, or against somebody's live server; and nothing is told as left out.
    ran = Simulation(made, lambda _arm, n: n / 1000)
    assert {item.tier for item in ran.ran} == {"bare", "timeline"}
    assert not ran.skipped


@pytest.mark.parametrize("budget_s", range(20, 120, 10))
def test_an_arm_that_cannot_be_profiled_never_is(budget_s: float) -> None:
    # A client in another language is not run in the profilers' tiers, however the budget turns out, and the reason is told.
    ran = Simulation(
        profiled(Arm(client="go", loop="own"), Arm(client="httpx"), budget_s=budget_s), lambda _arm, n: n * n / 100_000, width=None
    )
    assert {item.tier for item in ran.ran if item.arm.client == "go"} == {"bare", "timeline"}
    assert any(item.arm == "go/own" and item.tier == "profile" and "Python only" in item.why for item in ran.skipped)


def test_calls_can_be_left_out_and_are_counted_at_a_small_n_only() -> None:
    # `calls = false`, or no N of at most 100: no such trial.
    for made in (profiled(profile=Profiling(calls=False)), profiled(n=(200, 400, 800))):
        assert not [item for item in Simulation(made, lambda _arm, n: n / 1000).ran if item.tier == "calls"]


def test_a_profiler_that_fails_again_and_again_is_not_asked_again() -> None:
    # Three trials in a row without a profile: no more of them, and every arm says why.
    ran = Simulation(
        profiled(), lambda _arm, n: n / 1000, lacks=lambda item: {"profile": "no permission"} if item.tier == "profile" else {}
    )
    assert sum(item.tier == "profile" for item in ran.ran) <= 3 + len(ARMS)
    told = {item.arm: item.why for item in ran.skipped if item.tier == "profile"}
    assert told
    assert all(why.endswith("3 times in a row: no permission") for why in told.values())
    assert {item.tier for item in ran.skipped} == {"profile"}


def test_a_part_that_pays_for_no_profile_is_told() -> None:
    # Where two values of N cost more than the part, the arm is not profiled, and says so with the figures.
    ran = Simulation(profiled(Arm(client="httpx"), n=(10, 20), budget_s=30), lambda _arm, _n: 3.0, width=None)
    assert not [item for item in ran.ran if item.tier == "profile"]
    (told,) = [item for item in ran.skipped if item.tier == "profile"]
    assert told.why == "httpx/asyncio N = 10: predicted 3.4 s each; profiles have 20% of its share, 6.0 s"
    assert told.predicted_s == pytest.approx(3.4)


@pytest.mark.parametrize(("arm", "kept"), [(Arm(client="httpx"), SHARE), (Arm(client="go", loop="own"), 0)], ids=["httpx", "go"])
def test_nothing_is_kept_back_for_profiles_that_cannot_be(arm: Arm, kept: float) -> None:
    # An arm that no profiler watches has its whole share for what is fitted.
    profiles = Profiles(scenario(arm, profile=Profiling()), guess, 100.0)
    assert profiles.reserve_s(ArmState(arm=arm, index=0, refused=refused(arm))) == pytest.approx(kept * 100)
