"""Overhead as a ratio paired by cell: the planted ratio is found, and the interval holds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopdiag.analysis.overhead import paired_ratio
from loopdiag.model.diagnosis import Overhead
from loopdiag.report import content

Samples = dict[tuple[str, int], list[float]]
CELLS = [("aiohttp/asyncio", n) for n in (50, 100, 200, 400, 800)]


def planted(ratio: float, noise: float, repetitions: int, seed: int) -> tuple[Samples, Samples]:
    rng = np.random.default_rng(seed)
    base = {cell: list(cell[1] * 1e-3 * np.exp(noise * rng.standard_normal(repetitions))) for cell in CELLS}
    treated = {cell: list(cell[1] * 1e-3 * ratio * np.exp(noise * rng.standard_normal(repetitions))) for cell in CELLS}
    return base, treated


@pytest.mark.parametrize(("repetitions", "noise"), [(1, 0.02), (2, 0.05), (5, 0.02)])
def test_interval_holds_the_planted_ratio(repetitions: int, noise: float) -> None:
    # Over 400 planted ratios the 95 % interval holds the truth; the limits are the binomial tails at 92 % and 98 %.
    hits = 0
    for seed in range(400):
        ratio, low, high = paired_ratio(*planted(1.03, noise, repetitions, seed))
        assert ratio == pytest.approx(1.03, rel=6 * noise)
        hits += low <= 1.03 <= high
    draws = np.random.default_rng(0)
    assert np.quantile(draws.binomial(400, 0.92, 100_000), 1e-4) <= hits <= np.quantile(draws.binomial(400, 0.98, 100_000), 1 - 1e-4)


def test_cells_on_one_side_are_left_out() -> None:
    # Only cells measured on both sides count, and each once however often it was repeated.
    base = {"x": [1.0, 1.0], "y": [1.0], "only base": [9.0]}
    treated = {"x": [4.0] * 9, "y": [1.0], "only treated": [9.0], "empty": []}
    assert paired_ratio(base, treated)[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("base", "treated"), [({}, {}), ({"x": [1.0]}, {"y": [1.0]}), ({"x": []}, {"x": [1.0]}), ({"x": [0.0]}, {"x": [1.0]})]
)
def test_nothing_paired_gives_nothing(base: dict[str, list[float]], treated: dict[str, list[float]]) -> None:
    # Without a pair of positive measurements there is no ratio.
    assert paired_ratio(base, treated) is None


def test_one_pair_has_no_interval() -> None:
    # One cell measured once on each side has a ratio and no interval.
    assert paired_ratio({"x": [2.0]}, {"x": [3.0]}) == (pytest.approx(1.5), None, None)


def test_ratios_that_differ_between_cells_widen_the_interval() -> None:
    # Exact repetitions do not hide that the overhead depends on the cell.
    base = {n: [1.0, 1.0] for n in range(4)}
    _, low, high = paired_ratio(base, {n: [1.0 + 0.1 * n] * 2 for n in range(4)})
    assert low < 1.05
    assert high > 1.25


def test_equal_samples_have_ratio_one_without_width() -> None:
    # Identical exact measurements give exactly 1.
    base = {n: [1.0, 1.0] for n in range(3)}
    assert paired_ratio(base, base) == pytest.approx((1.0, 1.0, 1.0))


@settings(max_examples=50)
@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_ratio_follows_its_laws(seed: int, factor: float) -> None:
    # Swapping the sides inverts ratio and interval; scaling one side scales them; the order of repetitions does not matter.
    base, treated = planted(1.1, 0.05, 3, seed)
    ratio, low, high = paired_ratio(base, treated)
    assert paired_ratio(treated, base) == pytest.approx((1 / ratio, 1 / high, 1 / low))
    assert paired_ratio(base, {c: [factor * x for x in xs] for c, xs in treated.items()}) == pytest.approx(
        (factor * ratio, factor * low, factor * high)
    )
    assert paired_ratio({c: xs[::-1] for c, xs in base.items()}, treated) == (ratio, low, high)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            Overhead(tier="profile", arm="a", ratio=1.06, low=1.02, high=1.1, wall_ratio=1.08, wall_low=1.05, wall_high=1.11),
            "CPU × 1.06 ±0.04, T × 1.08 ±0.03",
        ),
        (Overhead(tier="profile", arm="a", ratio=1.06, low=1.02, high=1.1), "CPU × 1.06 ±0.04"),
        (Overhead(tier="profile", arm="a", wall_ratio=1.08, why="no CPU"), "T × 1.08 (no CPU)"),
        (Overhead(tier="profile", arm="a", why="not measured"), "– (not measured)"),
    ],
)
def test_the_report_says_what_a_tier_does_to_cpu_and_to_time(row: Overhead, said: str) -> None:
    # each ratio with its interval as far as it was measured, else why not
    assert content.overhead_row(row) == ("profile", "a", said)
