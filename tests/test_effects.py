"""Base against treated: the change, its interval and the verdict, on pairs whose truth is known."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from loopdiag.analysis.effects import Effect, effect, rounds_needed, total_effect
from loopdiag.model.law import Estimate

NS = (50, 100, 200, 400)
Points = Mapping[int, Sequence[float]]


def drawn(random: np.random.Generator, per_request_s: float, *, rounds: int, noise: float, drift: Sequence[float] = ()) -> Points:
    """Totals of a line with an offset of 50 ms, each with relative noise; `drift` multiplies all totals of a round."""
    factors = drift or [1.0] * rounds
    return {n: [(0.05 + per_request_s * n) * factor * (1 + noise * random.standard_normal()) for factor in factors] for n in NS}


def compared(base: Points, treated: Points, predicted: float | None = None) -> Effect:
    """The effect, which is there."""
    found = effect(base, treated, None if predicted is None else Estimate(value=predicted))
    assert found is not None
    return found


def test_a_known_change_is_found_with_its_sign() -> None:
    # without noise the slopes, and the change, are exact
    random = np.random.default_rng(1)
    found = compared(drawn(random, 2e-3, rounds=2, noise=0.0), drawn(random, 0.5e-3, rounds=2, noise=0.0), 0.5)
    assert found.base.value == pytest.approx(2)
    assert found.treated.value == pytest.approx(0.5)
    assert found.change.value == pytest.approx(-1.5)
    assert (found.verdict, found.why) == ("CONFIRMED", "")


#: base and treated slope in ms, prediction for the treated one, relative noise → verdict, and what its reason says
CASES = [
    (2.0, 0.5, 0.5, 0.02, "CONFIRMED", ""),
    (2.0, 0.5, 1.2, 0.02, "CONFIRMED", "missed by"),
    (2.0, 2.0, 0.5, 0.02, "REFUTED", "was predicted"),
    (2.0, 1.9, 0.5, 0.005, "REFUTED", "only"),
    (2.0, 3.0, 0.5, 0.02, "REFUTED", "grew by"),
    (2.0, 1.8, 1.8, 0.4, "INCONCLUSIVE", "too wide"),
    (2.0, 2.0, None, 0.002, "REFUTED", "changed by"),
    (2.0, 0.5, None, 0.02, "CONFIRMED", ""),
]


@pytest.mark.parametrize(("base", "treated", "predicted", "noise", "verdict", "said"), CASES)
def test_verdicts_follow_the_interval(
    base: float, *, treated: float, predicted: float | None, noise: float, verdict: str, said: str
) -> None:
    # a change is confirmed where its interval lies below zero, refuted where it is narrow about zero, far too small, or the other way; else it is open
    random = np.random.default_rng(7)
    found = compared(drawn(random, base * 1e-3, rounds=4, noise=noise), drawn(random, treated * 1e-3, rounds=4, noise=noise), predicted)
    assert found.verdict == verdict
    assert said in found.why
    assert found.why or not said


def test_what_drifts_between_rounds_is_no_part_of_the_interval() -> None:
    # a machine that gets 60 % slower over the rounds hits both sides alike: pairs know, unpaired intervals would not
    random, drift = np.random.default_rng(3), (1.0, 1.2, 1.4, 1.6)
    found = compared(drawn(random, 2e-3, rounds=4, noise=0.005, drift=drift), drawn(random, 1.9e-3, rounds=4, noise=0.005, drift=drift))
    assert found.base.low is not None
    assert found.base.high is not None
    assert found.change.low is not None
    assert found.change.high is not None
    assert (found.change.high - found.change.low) < (found.base.high - found.base.low) / 2
    assert found.verdict == "CONFIRMED"


def test_rounds_without_a_partner_are_left_out() -> None:
    # where one side lacks a round, or an N, the other's is not used; one N is no slope
    base = {10: [1.0, 1.1], 20: [2.0, 2.1], 40: [4.0]}
    found = compared(base, {10: [0.5], 20: [1.0, 1.1], 80: [9.0]})
    assert found.change.value == pytest.approx(-50)
    assert effect(base, {10: [0.5]}) is None
    assert effect({}, {}) is None


@pytest.mark.parametrize("rounds", [2, 4])
def test_pairs_of_the_same_are_hardly_ever_confirmed(rounds: int) -> None:
    # two sides that are the same, half the slope claimed: 2.5 % are CONFIRMED at most and 5 % of the intervals miss zero, to within what so many draws scatter
    random, draws, confirmed, missed = np.random.default_rng(11), 500, 0, 0
    for _ in range(draws):
        found = compared(*(drawn(random, 2e-3, rounds=rounds, noise=0.05) for _ in range(2)), 1.0)
        assert found.change.low is not None
        assert found.change.high is not None
        confirmed += found.verdict == "CONFIRMED"
        missed += not found.change.low <= 0 <= found.change.high
    assert confirmed / draws <= 0.025 + 3 * 0.007
    assert missed / draws <= 0.05 + 3 * 0.0098


@pytest.mark.parametrize(
    ("noise", "claimed", "rounds"), [(0.001, -1.0, (2, 2)), (0.05, -1.0, (3, 6)), (0.05, -0.1, (8, 8)), (0.1, None, (8, 8))]
)
def test_rounds_follow_from_the_scatter_and_the_claim(noise: float, claimed: float | None, rounds: tuple[int, int]) -> None:
    # the noisier the machine and the smaller the claim, the more rounds; where nothing was repeated, a number that is neither
    points = drawn(np.random.default_rng(5), 2e-3, rounds=5, noise=noise)
    assert rounds[0] <= rounds_needed(points, NS, claimed) <= rounds[1]
    assert rounds_needed({n: [1.0] for n in NS}, NS, claimed) == 4


def test_a_planned_number_of_rounds_is_enough() -> None:
    # with as many rounds as were planned, a claim that is wrong is refuted and one that is right is confirmed, nearly always
    random, told = np.random.default_rng(2), []
    for _ in range(60):
        rounds = rounds_needed(drawn(random, 2e-3, rounds=3, noise=0.03), NS, -1.0)
        base, same, faster = (drawn(random, slope, rounds=rounds, noise=0.03) for slope in (2e-3, 2e-3, 1e-3))
        told.append((compared(base, same, 1.0).verdict, compared(base, faster, 1.0).verdict))
    assert sum(one == "REFUTED" for one, _ in told) >= 50
    assert sum(two == "CONFIRMED" for _, two in told) >= 57


#: ms that the treated totals are shorter by, at every N; ms that were claimed → verdict
STEPS = [(100.0, 90.0, "CONFIRMED"), (0.0, 90.0, "REFUTED"), (10.0, 90.0, "REFUTED"), (-50.0, 90.0, "REFUTED"), (0.0, 1.0, "INCONCLUSIVE")]


@pytest.mark.parametrize(("shorter", "claimed", "verdict"), STEPS)
def test_a_step_is_judged_by_the_total(shorter: float, claimed: float, verdict: str) -> None:
    # a cause of an offset leaves the slope as it is: what decides is the total at the largest N, and its figures are told
    random = np.random.default_rng(9)
    base = drawn(random, 2e-3, rounds=4, noise=0.004)
    treated = {n: [total - shorter / 1e3 for total in totals] for n, totals in drawn(random, 2e-3, rounds=4, noise=0.004).items()}
    found = total_effect(base, treated, Estimate(value=claimed))
    assert found is not None
    assert found.verdict == verdict
    assert "N = 400" in found.why
    assert total_effect({}, {}, Estimate(value=1.0)) is None
    alone = total_effect({8: [1.0]}, {8: [0.5]}, Estimate(value=1.0))
    assert alone is not None
    assert alone.verdict == "INCONCLUSIVE"
