"""The slope flame graph recovers what was planted, adds up to the CPU slope that the bare trials measured, and abstains where samples are few."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_profiles import NS, Law, linear, profile, sampled

from loopdiag.analysis.cpu_growth import Growth, events, measure
from loopdiag.analysis.slope import slope, slope_weights
from loopdiag.analysis.slope_flame import FALLS, slope_flame, top_rows
from loopdiag.analysis.steepness import steep_powers
from loopdiag.model.flame import Flame, TopRow
from loopdiag.model.law import NotEnough
from loopdiag.model.profile import Frame, Profile

PLANTED: dict[tuple[str, ...], Law] = {
    ("run", "quadratic"): lambda n: 1e-6 * n * n,
    ("run", "burn"): linear(600),
    ("run", "library", "parse"): linear(250),
    ("run", "library", "write"): linear(150),
    ("run", "constant"): lambda _n: 0.03,
    ("run", "late"): lambda n: 200e-6 * max(0, n - 100),  # as what happens to requests that queue for a pool of 100
}


def growth_of(profiles: list[Profile], bare: dict[int, list[float]]) -> Growth:
    """The growth, where there is enough for it."""
    growth = measure(profiles, bare)
    assert not isinstance(growth, NotEnough)
    return growth


def rows_of(growth: Growth) -> dict[str, TopRow]:
    return {row.function: row for row in top_rows(growth)}


def path(flame: Flame, *names: str) -> int:
    """The node with this path below the root."""
    node = 0
    for name in names:
        node = next(i for i, up in enumerate(flame.parent) if up == node and flame.frames[flame.frame[i]].function == name)
    return node


@pytest.mark.parametrize("seed", range(8))
def test_planted_laws_are_recovered(seed: int) -> None:
    # a quadratic function gets exponent 2 ± 0.2, a linear burner its microseconds within 10 %, and nothing else is called super-linear
    profiles, bare = sampled(PLANTED, seed=seed)
    growth = growth_of(profiles, bare)
    rows, flame = rows_of(growth), slope_flame(growth, profiles)
    assert rows["quadratic"].exponent == pytest.approx(2, abs=0.2)
    assert rows["burn"].self_us == pytest.approx(600, rel=0.1)
    assert {name for name, row in rows.items() if row.exponent is not None} == {"quadratic"}
    assert flame.exponent[path(flame, "run", "quadratic")] == rows["quadratic"].exponent
    assert flame.value[path(flame, "run", "burn")] == pytest.approx(rows["burn"].self_us)


def test_a_dose_moves_its_frame_by_that_much() -> None:
    # five doses of a burner, recovered: dose against frame has slope 1.00 ± 0.05
    doses = [100, 200, 400, 800, 1600]
    found = []
    for seed, dose in enumerate(doses):
        profiles, bare = sampled({**PLANTED, ("run", "burn"): linear(dose)}, seed=seed, rate_hz=1000)
        found.append(rows_of(growth_of(profiles, bare))["burn"].self_us)
    assert np.polyfit(doses, found, 1)[0] == pytest.approx(1, abs=0.05)


def test_intervals_cover_the_truth() -> None:
    # 95 % intervals hold the true slope in about 95 % of runs, for functions of every size
    inside = total = 0
    for seed in range(60):
        profiles, bare = sampled(PLANTED, seed=seed, rate_hz=200)
        growth = growth_of(profiles, bare)
        rows = rows_of(growth)
        for stack, law in PLANTED.items():
            row, truth = rows[stack[-1]], float(growth.weight @ [law(int(n)) for n in growth.n]) * 1e6
            assert row.self_low is not None
            assert row.self_high is not None
            inside, total = inside + (row.self_low <= truth <= row.self_high), total + 1
    assert 0.9 <= inside / total <= 0.99


def test_few_samples_tell_no_exponent() -> None:
    # with some 20 samples of it the quadratic function is not called so, with 50 it may be, and nothing else is
    for seed in range(20):
        few, some = (rows_of(growth_of(*sampled(PLANTED, seed=seed, rate_hz=rate))) for rate in (4, 10))
        assert all(row.exponent is None for row in few.values())
        assert all(row.exponent is None for name, row in some.items() if name != "quadratic")


@pytest.mark.parametrize("ns", [(50, 100, 200), (100, 300, 800), (50, 100, 200, 400)])
def test_linear_functions_are_not_called_super_linear(ns: tuple[int, ...]) -> None:
    # with few values of N and one trial of each, none of the functions that grow with N, N log N or less gets an exponent
    plain: dict[tuple[str, ...], Law] = {("run", str(us)): linear(us) for us in (100, 400, 1600)}
    others: dict[tuple[str, ...], Law] = {("run", "log"): lambda n: 60e-6 * n * np.log2(n), ("run", "fixed"): lambda n: 0.05 + 3e-4 * n}
    for seed in range(25):
        rows = rows_of(growth_of(*sampled(plain | others, seed=seed, ns=ns, trials=1)))
        assert all(row.exponent is None for row in rows.values())


def test_three_values_of_n_are_enough_for_a_steep_function() -> None:
    # where they span a factor of 8, three values tell a quadratic function from linear ones
    row = rows_of(growth_of(*sampled(PLANTED, ns=(100, 300, 800))))["quadratic"]
    assert row.exponent == pytest.approx(2, abs=0.3)


def test_two_values_of_n_tell_no_power() -> None:
    # any power fits two points
    assert np.isnan(steep_powers(np.array([100.0, 800.0]), np.array([[0.01, 0.64]]), np.array([[1e-9, 1e-9]]))).all()


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Profile], dict[int, list[float]]]:
    """Any few profiles at three to five N, and bare CPU of one or more trials."""
    frames = tuple(Frame(function=name, file="app.py") for name in "abcd")
    stacks = ((), (0,), (0, 1), (0, 1, 2), (3,), (3, 0), (0, 3))
    profiles, bare = [], {}
    for n in draw(st.lists(st.integers(1, 900), min_size=3, max_size=5, unique=True)):
        bare[n] = draw(st.lists(st.floats(1e-3, 10), min_size=1, max_size=4))
        for repetition in range(draw(st.integers(1, 3))):
            order = draw(st.lists(st.integers(0, len(stacks) - 1), min_size=1, max_size=15))
            profiles.append(profile(n, repetition, order, frames, stacks))
    return profiles, bare


@given(run=runs())
@settings(max_examples=60)
def test_widths_add_up_to_the_bare_slope(run: tuple[list[Profile], dict[int, list[float]]]) -> None:
    # every node is its own slope and its children's; the root is the least-squares slope of the bare trials' median CPU; nothing is left
    profiles, bare = run
    growth = growth_of(profiles, bare)
    flame = slope_flame(growth, profiles)
    sums = list(flame.self_value)
    for node in range(len(sums) - 1, 0, -1):
        sums[flame.parent[node]] += sums[node]
    largest = max(1e6 * max(map(max, bare.values())), 1.0)
    assert sums == pytest.approx(flame.value, abs=1e-9 * largest)
    assert flame.value[0] == pytest.approx(growth.slope_us, abs=1e-9 * largest)
    assert flame.residual == pytest.approx(0, abs=1e-9 * largest)
    medians = {n: float(np.median(cpu_s)) for n, cpu_s in bare.items()}
    repeated = [(n, medians[n]) for n, cpu_s in bare.items() for _ in cpu_s]
    assert growth.slope_us == pytest.approx(slope_weights([n for n, _ in repeated]) @ [t for _, t in repeated] * 1e6, rel=1e-6, abs=1e-3)


@given(run=runs())
@settings(max_examples=60)
def test_all_widths_but_those_that_fall_can_be_drawn(run: tuple[list[Profile], dict[int, list[float]]]) -> None:
    # beside "falls with N" no node is negative, and below it none is positive; no child there is wider than its parent; intervals hold the value
    profiles, bare = run
    flame = slope_flame(growth_of(profiles, bare), profiles)
    falls = [False] * len(flame.parent)
    for node in range(1, len(falls)):
        falls[node] = falls[flame.parent[node]] or flame.frames[flame.frame[node]] == FALLS
        sign = -1 if falls[node] else 1
        assert sign * flame.value[node] >= 0
        if flame.parent[node] and falls[flame.parent[node]] == falls[node]:
            assert sign * flame.value[node] <= sign * flame.value[flame.parent[node]] + 1e-6
    assert all(low <= value <= high for low, value, high in zip(flame.low, flame.value, flame.high, strict=True))


def test_one_bare_trial_gives_the_slope_of_the_report() -> None:
    # where mean and median are one, the root is the slope that analysis/slope.py gives of the same CPU
    profiles, bare = sampled(PLANTED)
    once = {n: cpu_s[:1] for n, cpu_s in bare.items()}
    flame, law = slope_flame(growth_of(profiles, once), profiles), slope(once)
    assert law is not None
    assert flame.value[0] == pytest.approx(law.value * 1e3)
    assert any("no bare trial was repeated" in note for note in flame.notes)


def test_the_profilers_slowness_does_not_matter() -> None:
    # each trial's samples are rescaled: a profiler that slows the client more at one N than at another moves no frame
    profiles, bare = sampled(PLANTED)
    slowed = [msgspec.structs.replace(each, weight_ns=tuple(w * each.n // 50 for w in each.weight_ns)) for each in profiles]
    a, b = slope_flame(growth_of(profiles, bare), profiles), slope_flame(growth_of(slowed, bare), slowed)
    assert a.value == pytest.approx(b.value)
    assert a.low == pytest.approx(b.low)
    assert "(0.04 to 0." in b.notes[0]


def test_what_other_threads_spent_is_left_over() -> None:
    # a trial knows the CPU of all threads: where the profiled one spent 80 %, the frames hold 80 %, and the residual the rest
    profiles, bare = sampled(PLANTED)
    shared = [msgspec.structs.replace(each, cpu_ns=each.total_ns * 5 // 4) for each in profiles]
    growth = growth_of(shared, bare)
    flame = slope_flame(growth, shared)
    assert flame.value[0] == pytest.approx(0.8 * growth.slope_us, rel=1e-6)
    assert flame.residual == pytest.approx(0.2 * growth.slope_us, rel=1e-6)


def test_what_happens_once_is_one_event() -> None:
    # twenty samples in a row in one function, in each large trial (a garbage collection), are few observations and no power of N
    profiles, bare = sampled({("run", "steady"): linear(300), ("run", "other"): linear(300), ("run", "allocates"): linear(1)})
    collected = []
    for each in profiles:
        where = next(i for i, stack in enumerate(each.stacks) if each.frames[stack[-1]].function == "allocates")
        pause = 20 if each.n >= 400 else 0
        order = [*each.stack[: len(each.stack) // 2], *[where] * pause, *each.stack[len(each.stack) // 2 :]]
        collected.append(profile(each.n, each.repetition, order, each.frames, each.stacks))
    row = rows_of(growth_of(collected, bare))["allocates"]
    assert row.exponent is None
    assert row.self_low is not None
    assert row.self_low < row.self_us / 4


def test_events_are_runs_that_chance_does_not_make() -> None:
    # a long run of a rare stack is one event; runs of a common one, and short ones, are samples of different calls
    rare = np.array([0, 1] * 20 + [2] * 8 + [0, 1] * 20)
    event, stack = events(rare, np.ones(rare.size))
    assert stack.tolist() == [0, 1] * 20 + [2] + [0, 1] * 20
    assert np.bincount(event)[40] == 8
    common = np.array([0, 0, 0, 0, 1] * 20)
    assert events(common, np.ones(common.size))[1].size == common.size


def test_what_shrinks_stands_apart() -> None:
    # a function whose CPU falls with N has a negative slope, below a frame that says so, and counts in the root
    profiles, bare = sampled({("run", "grows"): linear(500), ("run", "shrinks"): lambda n: 0.2 - 150e-6 * n}, rate_hz=1000)
    growth = growth_of(profiles, bare)
    flame = slope_flame(growth, profiles)
    assert flame.value[path(flame, FALLS.function, "run", "shrinks")] == pytest.approx(-150, rel=0.25)
    assert flame.value[path(flame, "run", "grows")] == pytest.approx(500, rel=0.1)
    assert flame.value[0] == pytest.approx(growth.slope_us)
    assert rows_of(growth)["shrinks"].self_us < 0


def test_rows_count_each_stack_once() -> None:
    # a function's whole slope is that of all stacks that it stands in, recursion counted once; its own one that of stacks which end in it
    profiles, bare = sampled({("run", "f", "g", "f"): linear(300), ("run", "f"): linear(200), ("run", "h"): linear(100)}, rate_hz=1000)
    rows = rows_of(growth_of(profiles, bare))
    assert list(rows) == ["f", "h", "run", "g"] or list(rows) == ["f", "h"]
    assert rows["f"].total_us == pytest.approx(rows["f"].self_us)
    assert rows["f"].self_us == pytest.approx(500, rel=0.1)


@pytest.mark.parametrize(
    ("ns", "bare", "why"),
    [
        ((), {}, "have none"),
        ((100, 200), {100: [1.0], 200: [2.0]}, "have 100, 200"),
        ((100, 200, 400), {100: [1.0], 200: [2.0]}, "have 100, 200"),
        ((100, 200, 400), {100: [1.0], 200: [2.0], 400: []}, "have 100, 200"),
    ],
)
def test_too_few_values_of_n_are_not_enough(ns: tuple[int, ...], bare: dict[int, list[float]], why: str) -> None:
    # fewer than three N with both profile and bare CPU carry no slope, and the answer says what is there
    profiles = [profile(n, 0, [0], (Frame(function="f"),), ((0,),)) for n in ns]
    answer = measure(profiles, bare)
    assert isinstance(answer, NotEnough)
    assert why in answer.why


@pytest.mark.parametrize(
    ("law", "power"),
    [
        (lambda n: n / 800, None),
        (lambda n: n * np.log2(n) / 8000, None),
        (lambda n: np.maximum(0, n - 100) / 700, None),  # N / (N - c) is 1.14
        (lambda n: np.full_like(n, 0.5), None),
        (lambda n: np.sqrt(n / 800), None),
        (lambda n: (n / 800) ** 2, 2.0),
        (lambda n: 0.1 + (n / 800) ** 2, 2.0),
        (lambda n: (n / 800) ** 1.5, 1.5),
        (lambda n: (n / 800) ** 3, 3.0),
        (lambda n: np.maximum(0, n - 400) / 400, 2.0),  # N / (N - c)
    ],
)
def test_powers_of_exact_laws(law: Law, power: float | None) -> None:
    # with hardly any noise, each law gets its local power, and what is not super-linear gets none
    n = np.array([50, 100, 200, 300, 400, 600, 800.0])
    y = np.asarray(law(n), dtype=float)[None, :]  # type: ignore[arg-type] # laws of arrays here
    found = steep_powers(n, y, np.full_like(y, 1e-5))
    assert (None if np.isnan(found[0]) else found[0]) == (power if power is None else pytest.approx(power, abs=0.05))


def test_no_part_has_no_power() -> None:
    # nothing in, nothing out
    assert steep_powers(np.array(NS, dtype=float), np.zeros((0, 5)), np.zeros((0, 5))).size == 0
