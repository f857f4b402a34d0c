"""Laws, slope and exponent of T(N): planted truths are found, intervals hold them, and too little evidence gives no answer."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopdiag.analysis import fitting, scaling
from loopdiag.analysis.distributions import f_tail, student_quantile
from loopdiag.analysis.laws import FORMS
from loopdiag.analysis.nonneg import fit_nonneg
from loopdiag.analysis.scaling import exponent, fit_law, predict_total, repeatability, slope, slope_weights
from loopdiag.model.law import Estimate

SWEEP = (50, 75, 100, 200, 300, 400, 800)
KNEE = "a + b*min(N,k) + c*max(0,N-k)"
NORMAL = "c0 + c1*N^(i/j)*log2(N)^k"
USL = "USL: a*(1 + s*(N-1) + k*N*(N-1))"


def noisy(
    law: Callable[[int], float], ns: Sequence[int] = SWEEP, repetitions: int = 3, noise: float = 0.01, seed: int = 0
) -> dict[int, list[float]]:
    rng = np.random.default_rng(seed)
    return {n: list(law(n) * (1 + noise * rng.standard_normal(repetitions))) for n in ns}


def linear(n: int) -> float:
    return 0.05 + 0.001 * n


def flat(_: int) -> float:
    return 0.2


def holds(estimate: Estimate | None, truth: float) -> bool:
    return estimate is not None and estimate.low is not None and estimate.high is not None and estimate.low <= truth <= estimate.high


def binomial_low(runs: int, share: float, chance: float = 1e-4) -> int:
    """The fewest hits of `runs` that happen with probability above `chance`, where each hits with probability `share`."""
    hits = np.random.default_rng(0).binomial(runs, share, 200_000)
    return int(np.quantile(hits, chance))


PLANTED = {
    "constant": (flat, SWEEP, {"a": 0.2}),
    "a + b*N": (linear, SWEEP, {"a": 0.05, "b": 0.001}),
    "a + b*N*log2(N)": (lambda n: 0.02 + 3e-4 * n * np.log2(n), SWEEP, {"a": 0.02, "b": 3e-4}),
    "a + b*N^2": (lambda n: 0.05 + 4e-5 * n * n, SWEEP, {"a": 0.05, "b": 4e-5}),
    "a + b*N + c*N^2": (lambda n: 0.02 + 1e-3 * n + 1e-5 * n * n, SWEEP, {"a": 0.02, "b": 1e-3, "c": 1e-5}),
    "a + b*ceil(N/c)": (
        lambda n: 0.01 + 0.05 * np.ceil(n / 100),
        (50, 100, 150, 200, 250, 350, 500, 700, 1000),
        {"a": 0.01, "b": 0.05, "c": 100},
    ),
    USL: (lambda n: 0.05 * (1 + 0.001 * (n - 1) + 0.03 * n * (n - 1)), (1, 2, 3, 4, 6, 8, 16, 32), {"a": 0.05, "s": 0.001, "k": 0.03}),
    NORMAL: (lambda n: 0.02 + 2e-4 * n**1.5, SWEEP, {"c0": 0.02, "c1": 2e-4, "i/j": 1.5, "k": 0}),
    KNEE: (
        lambda n: 0.05 + 3e-4 * min(n, 200) + 4e-3 * max(0, n - 200),
        (25, 50, 100, 150, 200, 300, 400, 800),
        {"a": 0.05, "b": 3e-4, "c": 4e-3, "k": 200},
    ),
}


def test_every_candidate_has_a_planted_law() -> None:
    # The table below covers the whole list of candidates.
    assert set(PLANTED) == {form.name for form in FORMS}


@pytest.mark.parametrize("form", PLANTED)
def test_planted_form_and_coefficients_are_recovered(form: str) -> None:
    # In most of ten sweeps the planted form is chosen, and then nearly all of its coefficients lie within their intervals.
    law, ns, truths = PLANTED[form]
    found = [fit_law(noisy(law, ns, repetitions=4, noise=0.005, seed=seed)) for seed in range(10)]
    right = [law for law in found if law.form == form]
    assert len(right) >= 7
    hits = []
    for law in right:
        assert [c.name for c in law.coefficients] == list(truths)
        hits += [c.low - 1e-3 * abs(c.value) <= truths[c.name] <= c.high + 1e-3 * abs(c.value) for c in law.coefficients]
    assert sum(hits) >= 0.8 * len(hits)


def test_coverage_of_slope_and_exponent() -> None:
    # Over synthetic linear sweeps the 95 % intervals hold the truth about 95 % of the time (limits: 93 % and 97 % less the binomial tail).
    runs = 300
    for repetitions, noise in ((2, 0.10), (3, 0.03), (5, 0.01)):
        sweeps = [noisy(linear, repetitions=repetitions, noise=noise, seed=seed) for seed in range(runs)]
        for hits in (sum(holds(slope(p), 1.0) for p in sweeps), sum(holds(exponent(p), 1.0) for p in sweeps)):
            assert binomial_low(runs, 0.93) <= hits <= runs - binomial_low(runs, 0.03)


def test_units_and_curve() -> None:
    # Coefficients name their units, and the curve is a band of about 60 points over the sweep that holds the law.
    law = fit_law(noisy(linear))
    assert [(c.name, c.unit) for c in law.coefficients] == [("a", "s"), ("b", "s/request")]
    assert len(law.curve) == 60
    assert law.curve[0][0] == pytest.approx(50)
    assert law.curve[-1][0] == pytest.approx(800)
    assert all(low <= seconds <= high for _, seconds, low, high in law.curve)


def test_same_seed_same_law() -> None:
    # A law is determined by its points and the seed; another seed moves only intervals.
    points = noisy(linear)
    assert fit_law(points, seed=3) == fit_law(points, seed=3)
    first, second = fit_law(points, seed=3), fit_law(points, seed=4)
    assert first.coefficients != second.coefficients
    assert [c.value for c in first.coefficients] == [c.value for c in second.coefficients]


def test_search_is_not_redone_in_every_replicate(monkeypatch: pytest.MonkeyPatch) -> None:
    # All replicates are fitted at once: their number does not change how often the solver runs.
    calls: list[int] = []

    def counted(*arguments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls.append(1)
        return fit_nonneg(*arguments)

    monkeypatch.setattr(fitting, "fit_nonneg", counted)
    points, used = noisy(linear, repetitions=5), []
    for replicates in (10, 1000):
        monkeypatch.setattr(scaling, "REPLICATES", replicates)
        calls.clear()
        fit_law(points)
        used.append(len(calls))
    assert used[0] == used[1] < 100


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        ((), ("5 values of N (have 0)",)),
        ((50,), ("5 values of N (have 1)", "8 times")),
        ((50, 400), ("5 values of N (have 2)",)),
        ((50, 100, 200, 400), ("5 values of N (have 4)",)),
        ((50, 60, 70, 80, 90), ("8 times the smallest (have 1.8 times)",)),
    ],
)
def test_too_few_values_give_no_law(ns: tuple[int, ...], said: tuple[str, ...]) -> None:
    # Below 5 values of N or a span of 8× there is no law, and the note says what is missing.
    law = fit_law(noisy(linear, ns))
    assert law.form == "not enough"
    assert not law.coefficients
    assert not law.curve
    assert law.note is not None
    assert all(part in law.note for part in said)


def test_split_near_ties_are_undecided() -> None:
    # Where lines and curves predict equally well and the exponent does not tell, no form is named, and both kinds are listed.
    found = [fit_law(noisy(linear, (50, 100, 150, 250, 400), noise=0.15, seed=seed)) for seed in range(20)]
    split = [law for law in found if law.form == "undecided"]
    assert len(split) >= 8
    curves = {"a + b*N*log2(N)", "a + b*N^2", "a + b*N + c*N^2", USL, NORMAL}
    for law in split:
        assert not law.coefficients
        assert law.curve
        assert "linear or super-linear" in law.note
        assert len(law.alternatives) >= 2
        assert curves & {a.form for a in law.alternatives}
        assert law.exponent.high is None or law.exponent.high > 1.1


def test_clear_data_is_never_undecided() -> None:
    # With 1 % noise a line and a square are told apart every time, and never as each other.
    for seed in range(10):
        assert fit_law(noisy(linear, seed=seed)).exponent.high < 1.2
        assert "N^2" not in fit_law(noisy(linear, seed=seed)).form
        assert "N^2" in fit_law(noisy(lambda n: 0.0003 * n + 0.000041 * n * n, seed=seed)).form


def test_misfit_is_said_and_widens() -> None:
    # Totals that no candidate fits within their scatter say so.
    law = fit_law({n: [linear(n) * w * x for x in (0.9999, 1.0001)] for n, w in zip(SWEEP, (1, 1.2, 0.8, 1.2, 0.8, 1.2, 1), strict=True)})
    assert law.note is not None
    assert "misses the totals" in law.note


@pytest.mark.parametrize("wild", [50, 200, 800])
def test_one_wild_trial_leaves_the_law_alone(wild: int) -> None:
    # One total 20 times too long in a cell of four neither moves the law nor blows up its intervals; the least-squares slope owns up to it.
    points = noisy(linear, repetitions=4)
    outlier = {**points, wild: [*points[wild][:3], 20 * linear(wild)]}
    law, calm = fit_law(outlier), fit_law(points)
    assert law.form == calm.form == "a + b*N"
    for got, kept in zip(law.coefficients, calm.coefficients, strict=True):
        assert got.value == pytest.approx(kept.value, rel=0.05)
        assert got.high - got.low < 3 * (kept.high - kept.low)
    hurt, fine = slope(outlier), slope(points)
    assert hurt.high - hurt.low > 3 * (fine.high - fine.low)


def test_zero_variance() -> None:
    # Equal repetitions on an exact line give the exact law with an interval of no width.
    law = fit_law({n: [linear(n)] * 3 for n in SWEEP})
    assert law.form == "a + b*N"
    for found, truth in zip(law.coefficients, (0.05, 0.001), strict=True):
        assert (found.value, found.low, found.high) == pytest.approx((truth, truth, truth), rel=1e-6)
    assert slope({n: [linear(n)] * 3 for n in SWEEP}).value == pytest.approx(1.0)
    assert not law.alternatives


def test_totals_of_zero() -> None:
    # An account that takes no time is a constant of 0 and has slope 0.
    points = {n: [0.0, 0.0] for n in SWEEP}
    assert fit_law(points).form == "constant"
    assert (slope(points).value, slope(points).low, slope(points).high) == (0.0, 0.0, 0.0)
    assert exponent(points).value == 0.0


def test_one_repetition_each() -> None:
    # Without repetitions the residuals stand in for the scatter: most lines are found, and the slope's interval holds.
    sweeps = [noisy(linear, repetitions=1, noise=0.02, seed=seed) for seed in range(20)]
    assert sum(fit_law(points).form == "a + b*N" for points in sweeps) >= 12
    assert sum(holds(slope(points), 1.0) for points in sweeps) >= binomial_low(20, 0.95)
    assert all(repeatability(points) is None for points in sweeps)


@pytest.mark.parametrize(
    ("points", "interval"),
    [({50: [0.1, 0.11], 400: [0.5, 0.52]}, True), ({50: [0.1], 400: [0.5]}, False), ({50: [0.1], 100: [0.21], 200: [0.4]}, True)],
)
def test_slope_of_two_values(points: dict[int, list[float]], interval: bool) -> None:
    # Two values of N have a slope; an interval only where something shows the scatter, else a reason.
    found = slope(points)
    assert (found.low is not None) is interval
    assert (found.why is None) is interval
    assert found.unit == "ms/request"


@pytest.mark.parametrize("points", [{}, {50: [0.1, 0.2]}, {50: [0.1], 100: []}])
def test_no_slope_of_one_value(points: dict[int, list[float]]) -> None:
    # One value of N has no slope and no exponent.
    assert slope(points) is None
    assert exponent(points) is None
    assert repeatability(points) is None


def test_the_slope_is_that_over_the_measured_values_of_n() -> None:
    # The interval of a slope is that of its repetitions, also where the law bends: the bend stands in the law and the exponent.
    for law in (linear, lambda n: 0.0003 * n + 0.000041 * n * n):
        points = noisy(law)
        found = slope(points)
        assert found.half_width == pytest.approx(repeatability(points))
        n = np.array(sorted(points), dtype=float)
        truth = 1e3 * np.polyfit(n, [law(m) for m in n], 1)[0]
        assert found.low < truth < found.high


totals = st.lists(st.floats(0.01, 10.0), min_size=2, max_size=4)
sweeps = st.dictionaries(st.integers(1, 2000), totals, min_size=5, max_size=8)


@given(sweeps, st.integers(0, 2**32 - 1))
def test_slope_is_linear_in_totals(points: dict[int, list[float]], seed: int) -> None:
    # slope(T1 + T2) = slope(T1) + slope(T2) to rounding, and slope = Σ w_i T_i with the exposed weights.
    rng = np.random.default_rng(seed)
    first = {n: [t * share for t, share in zip(ts, rng.random(len(ts)), strict=True)] for n, ts in points.items()}
    second = {n: [t - f for t, f in zip(ts, first[n], strict=True)] for n, ts in points.items()}
    size = 1e3 * max(t for ts in points.values() for t in ts)
    assert slope(first).value + slope(second).value == pytest.approx(slope(points).value, abs=1e-9 * size, rel=1e-9)
    ns = [n for n, ts in points.items() for _ in ts]
    assert 1e3 * slope_weights(ns) @ np.array([t for ts in points.values() for t in ts]) == pytest.approx(
        slope(points).value, abs=1e-9 * size, rel=1e-9
    )


@given(sweeps)
def test_slope_weights_are_those_of_least_squares(points: dict[int, list[float]]) -> None:
    # The weights give the least-squares line of numpy.
    ns = np.array([n for n, ts in points.items() for _ in ts], dtype=float)
    ts = np.array([t for ts in points.values() for t in ts])
    columns = np.stack([np.ones_like(ns), ns / 1000], axis=1)
    assert slope_weights(ns) @ ts == pytest.approx(np.linalg.lstsq(columns, ts, rcond=None)[0][1] / 1000, rel=1e-6, abs=1e-9)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([k for k in PLANTED if k != USL]), st.sampled_from([0.25, 4.0, 1024.0]))
def test_scale_of_time_and_order_of_repetitions_do_not_matter(seed: int, form: str, factor: float) -> None:
    # Permuting repetitions changes nothing; scaling all totals scales the coefficients in seconds and leaves form and exponent.
    law, ns, _ = PLANTED[form]
    points = noisy(law, ns, repetitions=3, noise=0.02, seed=seed)
    found = fit_law(points)
    assert fit_law({n: ts[::-1] for n, ts in reversed(points.items())}) == found
    scaled = fit_law({n: [factor * t for t in ts] for n, ts in points.items()})
    assert scaled.form == found.form
    for got, kept in zip(scaled.coefficients, found.coefficients, strict=True):
        assert got.value == pytest.approx(kept.value * (factor if kept.unit.startswith("s") else 1), rel=1e-6, abs=1e-12)
    assert scaled.exponent.value == pytest.approx(found.exponent.value, abs=1e-6)


def test_exponent_of_an_offset_line_is_one() -> None:
    # A fixed offset does not make a line sub-linear.
    found = exponent(noisy(linear, (25, 50, 100, 200, 400), noise=0.01))
    assert holds(found, 1.0)
    assert found.high - found.low < 0.3


@pytest.mark.parametrize("ns", [(50, 100, 200, 400), (50, 75, 100, 150, 200, 300, 400)])
@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_exponent_of_the_pool_scan_is_above_1_2(ns: tuple[int, ...], noise: float) -> None:
    # 0.0003 N + 0.000041 N² over N = 50 … 400 is super-linear beyond doubt.
    for seed in range(20):
        assert exponent(noisy(lambda n: 0.0003 * n + 0.000041 * n * n, ns, noise=noise, seed=seed)).low > 1.2


def test_no_growth_has_exponent_zero() -> None:
    # Totals that do not grow beyond their scatter have exponent 0 and say so.
    found = [exponent(noisy(flat, noise=0.03, seed=seed)) for seed in range(40)]
    silent = [e for e in found if e.low is None]
    assert len(silent) >= 30
    assert all(e.value == 0 and e.why for e in silent)


def test_outlier_in_top_cell_leaves_the_exponent() -> None:
    # One wild trial at the largest N does not make a line super-linear.
    points = noisy(linear, repetitions=4)
    wild, calm = exponent({**points, 800: [*points[800][:3], 20.0]}), exponent(points)
    assert wild.value == pytest.approx(calm.value, abs=0.03)
    assert wild.low < 1.05


@pytest.mark.parametrize(
    ("points", "n", "least", "most"),
    [
        ({}, 100, None, None),
        ({50: [0.1]}, 100, 0.2, 0.2),
        ({400: [4.0]}, 100, 1.0, 1.0),
        ({50: [0.5, 0.5], 100: [0.5, 0.5]}, 200, 1.0, 1.0),  # never flatter than linear
        ({50: [0.1], 100: [0.4], 200: [1.6]}, 400, 6.4, 6.4),
        ({50: [0.1], 100: [0.2], 200: [0.8]}, 400, 3.2, 3.2),  # the steeper of the last two steps
        ({50: [0.1, 0.1, 9.0], 100: [0.2]}, 200, 0.4, 0.4),  # a wild trial is no median
        ({50: [0.1], 100: [0.2], 200: [50.0]}, 200, 0.4, 0.4),  # its own totals are not looked at
        ({50: [0.0], 100: [0.2]}, 200, 0.4, 0.4),
        ({50: []}, 100, None, None),
    ],
)
def test_prediction(points: dict[int, list[float]], n: int, least: float | None, most: float | None) -> None:
    # The prediction extends the last medians' power law, at least linear; proportional from one; nothing from nothing.
    found = predict_total(points, n)
    if least is None:
        assert found is None
    else:
        assert least * (1 - 1e-9) <= found <= most * (1 + 1e-9)


@given(st.floats(0.01, 5), st.floats(1.0, 2.5), st.integers(1, 50))
def test_prediction_of_a_power_law_is_exact(scale: float, power: float, start: int) -> None:
    # A power law of at least linear growth is extended without error.
    law = {n: [scale * n**power] for n in (start, 2 * start, 4 * start)}
    assert predict_total(law, 8 * start) == pytest.approx(scale * (8 * start) ** power, rel=1e-6)


@pytest.mark.parametrize(("dof", "value"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_student_quantiles(dof: float, value: float) -> None:
    # The two-sided 95 % quantiles are those of the printed tables.
    assert student_quantile(dof) == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize(
    ("above", "below", "value", "tail"), [(5, 10, 3.326, 0.05), (5, 10, 5.636, 0.01), (1, 4, 21.198, 0.01), (3, 28, 4.568, 0.01)]
)
def test_f_tails(above: float, below: float, value: float, tail: float) -> None:
    # Critical values of the F tables have their tails.
    assert f_tail(value, above, below) == pytest.approx(tail, rel=2e-3)


def test_a_line_that_is_good_enough_is_kept() -> None:
    # totals that bend by a few per cent at a limit are told as a line, with the better law and both misses in the note
    bent = {50: 0.128, 100: 0.178, 200: 0.238, 300: 0.318, 400: 0.375, 600: 0.485, 800: 0.6}
    law = fit_law({n: [total * factor for factor in (0.995, 1.0, 1.005)] for n, total in bent.items()})
    assert law.form == "a + b*N"
    assert law.note is not None
    assert "T bends a little" in law.note
    assert law.alternatives[0].error < 1


def test_a_law_that_misses_what_others_meet_is_not_shown() -> None:
    # a pool that scans, seen to N = 400 with few repetitions: several laws predict left-out totals alike, and the simplest runs at half of the last one
    points = {
        10: [0.06, 0.07],
        20: [0.08, 0.09],
        30: [0.1, 0.11],
        50: [0.15, 0.17],
        80: [0.25, 0.28],
        200: [0.8, 1.1, 1.2],
        400: [3.7, 4.0, 4.5],
    }
    law = fit_law(points)
    n, seconds, *_ = law.curve[-1]
    assert n == 400
    assert seconds == pytest.approx(4.0, rel=0.25)


def test_a_line_that_hides_super_linear_growth_is_given_up() -> None:
    # however little a quadratic bends, where the exponent's interval excludes the line, the line is not kept
    law = fit_law({n: [(0.05 + 1e-3 * n + 4e-7 * n * n) * f for f in (0.999, 1.0, 1.001)] for n in (50, 100, 200, 300, 400, 600, 800)})
    assert law.form != "a + b*N"
