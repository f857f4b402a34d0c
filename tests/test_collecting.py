"""What collections take of a request: what was observed comes out again, at every N."""

from collections.abc import Callable, Mapping

import pytest

from loopdiag.analysis.collecting import MOST, per_request
from loopdiag.model.timeline import Pause, Timeline

NS = (10, 20, 40, 80, 160)
MS = 1_000_000
#: N → seconds of bare trials, as long as the timelines below
TOTALS = {n: 0.01 * n for n in NS}


def trials(each_ms: Callable[[int], float]) -> list[Timeline]:
    """One timeline of each N, whose collections take so long a request."""
    return [
        Timeline(
            trial=f"t{n}",
            arm="aiohttp/asyncio",
            n=n,
            repetition=0,
            t0_ns=0,
            total_ns=n * 10 * MS,
            pauses=tuple(Pause(start_ns=i * 10 * MS, length_ns=round(each_ms(n) * MS), generation=2) for i in range(n)),
        )
        for n in NS
    ]


@pytest.mark.parametrize(
    ("each_ms", "steady", "growing"),
    [
        (lambda _: 0.0, 0.0, 0.0),
        (lambda _: 2.0, 2e-3, 0.0),
        (lambda n: 0.02 * n, 0.0, 2e-5),
        (lambda n: 1.0 + 0.02 * n, 1e-3, 2e-5),
    ],
)
def test_collections_are_taken_as_they_were_observed(each_ms: Callable[[int], float], steady: float, growing: float) -> None:
    # a steady part and one that grows with N are both found again
    assert per_request(trials(each_ms), TOTALS, TOTALS) == (pytest.approx(steady, abs=1e-9), pytest.approx(growing, abs=1e-9))


def test_a_trial_that_was_disturbed_tells_a_share() -> None:
    # bare trials that take half as long have half of each collection
    steady, growing = per_request(trials(lambda _: 2.0), {n: 0.005 * n for n in NS}, TOTALS)
    assert (steady, growing) == (pytest.approx(1e-3), pytest.approx(0.0, abs=1e-9))


@pytest.mark.parametrize(("each_ms", "at"), [(lambda n: 4.0 - 0.01 * n, 4.0), (lambda n: 0.1 * n - 0.8, 15.0)])
def test_no_part_is_negative(each_ms: Callable[[int], float], at: float) -> None:
    # what falls with N is told as steady, what begins late as growing; about the same is taken at the largest N
    steady, growing = per_request(trials(each_ms), TOTALS, {n: 0.02 * n for n in NS})
    assert min(steady, growing) == 0.0
    assert 1e3 * (steady + 160 * growing) == pytest.approx(at, rel=0.35)


def test_no_timeline_no_collections() -> None:
    # without one, none were seen
    assert per_request([], {10: 0.1}, {10: 0.1}) == (0.0, 0.0)


@pytest.mark.parametrize("cpu_s", [{160: 0.16}, {10: 0.01, 160: 1.6}])
def test_collections_are_never_all_of_the_cpu(cpu_s: Mapping[int, float]) -> None:
    # where a disturbed timeline says more than a bare trial computes, something is left that makes the garbage
    steady, growing = per_request(trials(lambda _: 2.0), TOTALS, cpu_s)
    assert max((steady + growing * n) * n / each for n, each in cpu_s.items()) == pytest.approx(MOST)
