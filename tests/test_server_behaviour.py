"""The target's pure behaviour: laws, paths, tables, limits."""

import math
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_parts import scenario

from loopdiag.errors import InputError
from loopdiag.lab.servers.behaviour import THINK, Behaviour, draw, stream
from loopdiag.lab.servers.limits import RateLimit, Slots
from loopdiag.lab.servers.tables import read_columns
from loopdiag.model.scenario import Payload, Service

MS = 1_000_000


def think(service: Service, n: int = 10, seed: int = 1) -> list[int]:
    behaviour = Behaviour(scenario(n=n, seed=seed, service=service))
    return [behaviour.think_ns(i) for i in range(1, n + 1)]


@pytest.mark.parametrize("law", ["normal", "lognormal"])
def test_think_times_follow_their_law(law: str) -> None:
    # mean and deviation of many draws are those that were asked for
    times = [ns / MS for ns in think(Service(law=law, mean_ms=50, sd_ms=10), n=5000)]
    # four standard errors of a fixed sample: a law, not a chance
    assert statistics.fmean(times) == pytest.approx(50, abs=4 * 10 / math.sqrt(5000))
    assert statistics.stdev(times) == pytest.approx(10, rel=0.06)
    assert min(times) > 0
    assert len(set(times)) > 4900


def test_the_normal_law_is_truncated_at_zero() -> None:
    # a deviation as large as the mean gives no negative time, and no heap of zeros
    times = think(Service(law="normal", mean_ms=10, sd_ms=10), n=1000)
    assert min(times) > 0


@pytest.mark.parametrize("service", [Service(mean_ms=7.5), Service(law="normal", mean_ms=7.5), Service(law="lognormal", mean_ms=7.5)])
def test_a_law_without_deviation_is_constant(service: Service) -> None:
    # sd_ms = 0 means the mean, exactly
    assert set(think(service)) == {7_500_000}


@given(law=st.sampled_from(["constant", "normal", "lognormal"]), mean=st.floats(0, 1e6), sd=st.floats(0, 1e6), seed=st.integers(0, 2**40))
def test_no_draw_is_negative(law: str, mean: float, sd: float, seed: int) -> None:
    # every law gives a finite number ≥ 0
    value = draw(law, mean, sd, stream(seed, 1, THINK))  # type: ignore[arg-type] # drawn from the laws
    assert value >= 0
    assert math.isfinite(value)


def test_draws_depend_on_the_seed_and_the_number_alone() -> None:
    # the same seed meets every arm with the same times, whatever N; another seed with others; beyond N the law goes on
    service = Service(law="normal", mean_ms=50, sd_ms=10)
    assert think(service, n=10) == think(service, n=100)[:10]
    assert think(service, seed=1) != think(service, seed=2)
    assert Behaviour(scenario(n=5, service=service)).think_ns(9) == think(service, n=10)[8]


def test_sizes_do_not_move_with_the_think_times() -> None:
    # one law's change leaves the other's draws alone
    payload = Payload(law="normal", mean_bytes=3000, sd_bytes=500)
    first = Behaviour(scenario(payload=payload))
    second = Behaviour(scenario(payload=payload, service=Service(law="lognormal", mean_ms=1, sd_ms=1)))
    sizes = [len(first.body(i).identity) for i in range(1, 11)]
    assert sizes == [len(second.body(i).identity) for i in range(1, 11)]
    assert len(set(sizes)) > 1


def test_a_table_serves_row_by_row(tmp_path: Path) -> None:
    # row i serves request i, and the rows come again
    table = tmp_path / "times.csv"
    table.write_text("name,ms\na,1.5\nb,0\nc,20\n")
    assert think(Service(law="table", table=str(table)), n=4) == [1_500_000, 0, 20_000_000, 1_500_000]


@pytest.mark.parametrize(
    ("template", "path", "number"),
    [
        ("/{i}", b"/7", 7),
        ("/{i}", b"/0", None),
        ("/{i}", b"/-1", None),
        ("/{i}", b"/x", None),
        ("/{i}", b"/7/", None),
        ("/{i}", b"/7?a=b", None),
        ("/{i}", b"", None),
        ("/{i}", b"\xff", None),
        ("/a.b/{i}/c", b"/a.b/12/c", 12),
        ("/a.b/{i}/c", b"/axb/12/c", None),
        ("/get?id={i}&x=1", b"/get?id=3&x=1", 3),
        ("/{i}/{i}", b"/4/4", 4),
        ("/{i}/{i}", b"/4/5", None),
        ("/käse {i}", b"/k%C3%A4se%205", 5),
        ("/same", b"/same", 42),
        ("/same", b"/other", None),
    ],
)
def test_paths_name_their_request(template: str, path: bytes, number: int | None) -> None:
    # the template's {i} is the number; a template without one numbers by arrival; anything else is not the scenario's
    assert Behaviour(scenario(path=template)).number(path, arrived=41) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("", "no column 'ms'; its columns are none"),
        ("a,b\n1,2\n", "no column 'ms'; its columns are a, b"),
        ("ms\n", "no rows"),
        ("ms\n1\nx\n", "line 3: ms is 'x'; a number ≥ 0 would be right"),
        ("ms\n-1\n", "line 2: ms is '-1'"),
        ("ms\nnan\n", "line 2: ms is 'nan'"),
        ("ms\ninf\n", "line 2: ms is 'inf'"),
        ("a,ms\n1\n", "line 2: ms is None"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(tmp_path: Path, text: str | None, message: str) -> None:
    # what, where, and what would be right
    table = tmp_path / "times.csv"
    if text is not None:
        table.write_text(text)
    with pytest.raises(InputError) as caught:
        think(Service(law="table", table=str(table)))
    assert message in str(caught.value)
    assert "target.service.table" in str(caught.value)


def test_all_wrong_cells_are_told_at_once(tmp_path: Path) -> None:
    # five faults are shown, and how many there are beyond
    table = tmp_path / "sizes.csv"
    table.write_text("json_bytes,gzip_bytes\n" + "x,y\n" * 10)
    with pytest.raises(InputError) as caught:
        read_columns(str(table), "here", required="json_bytes", optional="gzip_bytes")
    assert len(caught.value.faults) == 6
    assert caught.value.faults[-1] == "… and 15 more"


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    # bytes that are no UTF-8 make one line and no traceback
    table = tmp_path / "sizes.csv"
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_columns(str(table), "here", required="ms")


def test_a_missing_table_name_is_told() -> None:
    # law = "table" without a table
    with pytest.raises(InputError, match=r"target\.service\.table: missing"):
        think(Service(law="table"))


def test_the_rate_limit_lets_one_second_through_and_then_the_rate() -> None:
    # a full bucket of 10, then one each 100 ms; a reset fills it again
    limit = RateLimit(10)
    assert [limit.admits(0) for _ in range(11)] == [True] * 10 + [False]
    assert not limit.admits(99 * MS)
    assert limit.admits(101 * MS)
    assert not limit.admits(101 * MS)
    limit.reset()
    assert [limit.admits(0) for _ in range(11)].count(True) == 10


@given(st.lists(st.integers(0, 10_000 * MS), min_size=1, max_size=200), st.floats(0.1, 1000))
def test_the_rate_limit_admits_no_more_than_its_rate(arrivals: list[int], rate: float) -> None:
    # over any span from the start: a bucket's worth and the rate times the span
    limit = RateLimit(rate)
    admitted = 0
    for now_ns in sorted(arrivals):
        admitted += limit.admits(now_ns)
        assert admitted <= max(1.0, rate) + rate * now_ns / 1e9 + 1e-6


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_slots_are_kept_and_served_in_order(places: int, steps: list[bool]) -> None:
    # never more in service than places, first come first served, and nobody waits while a place is free
    slots, begun, arrived, inside = Slots(places), [], 0, 0
    for arrive in steps:
        if arrive:
            number, arrived = arrived, arrived + 1
            slots.enter(lambda number=number: begun.append(number))  # type: ignore[misc] # binds the loop's value
        elif len(begun) > inside:
            inside += 1  # so many have left
            slots.leave()
        assert len(begun) - inside == min(places, arrived - inside)
        assert begun == list(range(len(begun)))


def test_ten_thousand_that_leave_at_once_need_no_deep_stack() -> None:
    # a queue that drains inside one call does so in a loop
    slots, done = Slots(1), []

    def begin() -> None:
        done.append(1)
        slots.leave()

    slots.enter(lambda: None)
    for _ in range(10_000):
        slots.enter(begin)
    assert not done
    slots.leave()
    assert len(done) == 10_000
