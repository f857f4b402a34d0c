"""What-if: shares and predictions of machines whose slopes are known in closed form."""

from dataclasses import replace

import pytest

from loopdiag.analysis import what_if
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.slope import slope
from loopdiag.model.law import Estimate

NS = (50, 100, 200, 400)
POINTS = {n: [0.0] * 3 for n in NS}
#: ten at a time, 100 ms each: 10 ms a request
LIMITED = Machine(limit=10, think=(0.1,))


def measured(value: float, half: float = 0.1) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, unit="ms/request")


def test_the_slope_is_the_least_squares_line_through_the_replays() -> None:
    # the same weights as the measured slope's, repetitions included
    points = {50: [0.0] * 5, 100: [0.0], 400: [0.0] * 2}
    replayed = {n: [seconds] * len(points[n]) for n, seconds in what_if.totals(LIMITED, points).items()}
    expected = slope(replayed)
    assert expected is not None
    assert what_if.slope_ms(LIMITED, points) == pytest.approx(expected.value)
    assert what_if.slope_ms(LIMITED, POINTS) == pytest.approx(10.0)


def test_the_factor_scales() -> None:
    # what the machine misses by one factor, its slope and totals are corrected by
    twice = replace(LIMITED, factor=2.0)
    assert what_if.slope_ms(twice, POINTS) == pytest.approx(20.0)
    assert what_if.totals(twice, [50, 100]) == pytest.approx({50: 1.0, 100: 2.0})


def test_a_limit_that_binds_has_the_share_of_its_waves() -> None:
    # five times the limit: a fifth of the slope, and four fifths are the limit's
    predicted, share = what_if.without(LIMITED, replace(LIMITED, limit=50), POINTS, measured(12.0, 1.2))
    assert predicted.value == pytest.approx(2.4)
    assert share.value == pytest.approx(0.8)
    assert predicted.low is not None
    assert predicted.high is not None
    assert predicted.low < predicted.value < predicted.high
    assert predicted.unit == "ms/request"


def test_what_does_not_bind_has_no_share() -> None:
    # a limit that is never reached, and CPU that runs while all wait for a slow server
    _, limit = what_if.without(LIMITED, replace(LIMITED, server_limit=10), POINTS, measured(10.0))
    hidden = Machine(limit=10, think=(0.1,), start=0.0001, finish=0.0001)
    _, cpu = what_if.without(hidden, replace(hidden, start=0.0, finish=0.0), POINTS, measured(10.0))
    assert limit.value == 0.0
    assert cpu.value < 0.03


def test_overlapping_causes_share_what_they_share() -> None:
    # where the loop is busy all the time, the limit has nothing; without the CPU it has all
    busy = Machine(limit=100, think=(0.05,), start=0.001, finish=0.001)
    _, limit = what_if.without(busy, replace(busy, limit=None), POINTS, measured(2.0))
    _, cpu = what_if.without(busy, replace(busy, start=0.0, finish=0.0), POINTS, measured(2.0))
    assert abs(limit.value) < 0.1
    assert cpu.value > 0.7


def test_a_change_that_makes_it_worse_has_a_share_below_zero() -> None:
    # half the limit, twice the slope
    _, share = what_if.without(LIMITED, replace(LIMITED, limit=5), POINTS, measured(10.0))
    assert share.value == pytest.approx(-1.0, rel=0.02)


def test_the_interval_grows_with_what_the_model_missed() -> None:
    # a model that reproduces its run by 30 % predicts less sharply than one that does by 1 %
    widths = []
    for miss in (0.01, 0.3):
        machine = replace(LIMITED, miss=miss)
        _, share = what_if.without(machine, replace(machine, limit=20), POINTS, measured(10.0))
        assert share.low is not None
        assert share.high is not None
        widths.append(share.high - share.low)
    assert widths[0] < widths[1] / 3


def test_nothing_changed_is_told_exactly() -> None:
    # a change that changes nothing has no share, whatever the model missed
    machine = replace(LIMITED, miss=0.3)
    predicted, share = what_if.without(machine, replace(machine, keepalive=100), POINTS, measured(10.0))
    assert (share.value, share.low, share.high) == (0.0, 0.0, 0.0)
    assert (predicted.low, predicted.high) == pytest.approx((9.9, 10.1))


def test_a_flat_machine_has_no_shares() -> None:
    # where nothing grows, nothing can be shared out
    flat = Machine(think=(0.1,))
    predicted, share = what_if.without(flat, replace(flat, think=(0.01,)), POINTS, measured(0.01))
    assert (predicted.value, predicted.low, share.value, share.low) == (0.01, None, 0.0, None)
    assert share.why == "the replayed total does not grow with N"


def test_think_times_that_are_drawn_are_averaged() -> None:
    # the order of the draws is the seeds'; their mean is taken, and their scatter widens the interval
    drawn = replace(LIMITED, think=(0.05, 0.08, 0.1, 0.12, 0.15))
    few = {20: [0.0], 30: [0.0], 40: [0.0]}
    _, share = what_if.without(drawn, replace(drawn, limit=20), few, measured(10.0))
    _, sure = what_if.without(LIMITED, replace(LIMITED, limit=20), few, measured(10.0))
    assert None not in {share.low, share.high, sure.low, sure.high}
    assert what_if.slope_ms(drawn, POINTS) == pytest.approx(10.0, rel=0.15)
