"""Charges add up to the trial and slopes to the arm's slope; the loop's time is split by what is known of it, and by nothing else."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from path_parts import MS, life, line, ns, sleeping
from planted_profiles import linear, sampled

from loopdiag.analysis import class_shares as classes
from loopdiag.analysis.critical_path import path
from loopdiag.analysis.ledger import arm_ledger, class_shares, entries, trial_ledger, unexplained_share
from loopdiag.analysis.loop_split import NO_PROFILE, rounded
from loopdiag.analysis.slope import slope
from loopdiag.model.ledger import ACCOUNTS, ArmLedger, TrialLedger
from loopdiag.model.timeline import Attempt, Connection, Iterations, Lag, Pause, Process, Timeline

NS = (10, 20, 40, 80)


def served(n: int, *, wait_ms: float = 1.0, run_ms: float = 0.5, repetition: int = 0) -> Timeline:
    """One worker's `n` requests: each waits for the server while the loop sleeps, and then the loop runs for it."""
    each = wait_ms + run_ms
    rows: list[Attempt] = []
    for i in range(n):
        begin = i * each
        rows.append(life(i + 1, begin, [("wait", begin + wait_ms), ("finish", begin + each)]))
    loop = sleeping(n * each, *((i * each, i * each + wait_ms) for i in range(n)))
    return line(n * each, rows, loop, trial=f"n{n}r{repetition}", repetition=repetition)


def charged(timeline: Timeline, shares: Mapping[str, float] | None = None) -> TrialLedger:
    """The ledger of a trial, along its own path."""
    return trial_ledger(timeline, path(timeline), shares)


def slopes(ledger: ArmLedger) -> dict[str, float]:
    """Account → ms per request."""
    return {account.account: account.slope_ms.value for account in ledger.accounts}


def test_a_loops_time_goes_to_classes_by_their_shares() -> None:
    # 10 ms of waiting and 5 ms of the loop, of which profiles say whose they are
    ledger = charged(served(10), {"pool": 0.6, "user": 0.4})
    assert ledger.charges == {"server": 10 * MS, "loop/pool": 3 * MS, "loop/user": 2 * MS}
    assert not ledger.notes


def test_collections_are_charged_exactly() -> None:
    # a collection counts as far as it lies in the loop's time on the path, and no class of code gets that time a second time
    pauses = (Pause(start_ns=ns(1.1), length_ns=ns(0.2), generation=2), Pause(start_ns=ns(2.4), length_ns=ns(0.3), generation=0))
    timeline = served(2)
    with_pauses = line(3, timeline.attempts, timeline.iterations, pauses=pauses)
    assert charged(with_pauses, {"user": 0.9, "gc": 0.1}).charges == {
        "server": 2 * MS, "loop/gc": ns(0.4), "loop/user": ns(0.6),
    }  # fmt: skip
    assert charged(timeline, {"user": 0.9, "gc": 0.1}).charges["loop/gc"] == ns(0.1)  # no pauses were seen: the profile's word


@pytest.mark.parametrize(
    ("cpu", "queued", "expected"),
    [
        (50, 0, {"loop/user": 50}),
        (48, 0, {"loop/user": 50}),  # the clocks' noise
        (10, 0, {"loop/user": 10, "loop/off-cpu": 40}),
        (20, 30, {"loop/user": 20, "loop/run-queue": 30}),
        (20, 90, {"loop/user": 20, "loop/run-queue": 30}),  # the rest was waited for in the poll
        (10, 15, {"loop/user": 10, "loop/run-queue": 15, "loop/off-cpu": 25}),
    ],
)
def test_time_off_the_cpu_is_told_apart(cpu: float, queued: float, expected: dict[str, float]) -> None:
    # the loop ran for 50 ms in all, and its thread's clock says how much of it was computing
    timeline = served(100)
    process = Process(cpu_ns=ns(cpu), run_queue_ns=ns(queued), first_ns=0, last_ns=timeline.total_ns)
    sampled_line = line(150, timeline.attempts, timeline.iterations, process=process)
    found = {account: charge / MS for account, charge in charged(sampled_line, {"user": 1.0}).charges.items() if account != "server"}
    assert found == pytest.approx(expected, abs=0.01)


def test_few_samples_give_way_to_the_processes_own_account() -> None:
    # a short trial has hardly two samples of its thread's clocks; what the process spent over all of it tells
    timeline = served(100)
    few = Process(cpu_ns=ns(1), run_queue_ns=0, first_ns=0, last_ns=ns(20))
    counted = line(150, timeline.attempts, timeline.iterations, process=few, cpu_ns=ns(20), run_queue_ns=ns(10))
    found = charged(counted, {"user": 1.0}).charges
    assert found == {"server": ns(100), "loop/user": ns(20), "loop/run-queue": ns(10), "loop/off-cpu": ns(20)}
    unknown = line(150, timeline.attempts, timeline.iterations, process=few)
    assert charged(unknown, {"user": 1.0}).charges == {"server": ns(100), "loop/user": ns(50)}


def test_without_a_profile_tls_is_told_apart() -> None:
    # what the instruments counted of TLS, and the rest has no name; the ledger says so
    timeline = served(100)
    links = tuple(Connection(number=i, request=i, tls_cpu_ns=ns(1), record_cpu_ns=ns(0.5)) for i in range(10))
    lag = Lag(running_ns=ns(50), blocked_ns=0, blocked=0, longest_ns=0, expected_wait_ns=0)
    ledger = charged(line(150, timeline.attempts, timeline.iterations, connections=links, lag=lag))
    assert ledger.charges == {
        "server": ns(100), "loop/tls-handshake": ns(10), "loop/tls-record": ns(5), "loop/other": ns(35),
    }  # fmt: skip
    assert ledger.notes == (NO_PROFILE,)


def test_without_a_loop_the_rest_of_the_cpu_is_other() -> None:
    # a client without an event loop: what its process computed beside handshakes is other, and nothing is told where that is not known
    links = tuple(Connection(number=i, request=i, tls_cpu_ns=ns(1)) for i in range(10))
    assert classes.counted(line(100, [], connections=links, cpu_ns=ns(40))) == {"tls-handshake": 0.25, "other": 0.75}
    assert classes.counted(line(100, [], connections=links)) == {"other": 1.0}


def test_an_unseen_loop_is_noted() -> None:
    # its share is a guess then
    timeline = served(3)
    assert any("not observed" in note for note in charged(line(4.5, timeline.attempts), {"user": 1.0}).notes)


def test_bounds_are_shared_out_as_the_charge_is() -> None:
    # an answer that nobody witnessed, read late: server and loop carry what each may be charged at least and at most
    row = life(1, 0, [("send", 0.2), ("wait", 60)])
    loop = Iterations(start_ns=(0, ns(10), ns(50)), poll_ns=(ns(1), ns(30), 0), run_ns=(ns(9), ns(10), ns(10)), ready=(0, 0, 1))
    ledger = charged(line(60, [row], loop), {"user": 0.75, "pool": 0.25})
    assert set(ledger.least) == {"server", "loop/user", "loop/pool"}
    for account in ledger.least:
        assert ledger.least[account] <= ledger.charges[account] <= ledger.most[account]
    assert ledger.most["loop/user"] - ledger.least["loop/user"] == pytest.approx(
        3 * (ledger.most["loop/pool"] - ledger.least["loop/pool"]), abs=3
    )


@given(st.integers(0, 10**12), st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
def test_rounding_keeps_the_sum(whole: int, weights: list[float]) -> None:
    # largest remainders: integers that add up, each within one of its share
    shares = {str(i): weight / sum(weights) for i, weight in enumerate(weights)}
    found = rounded(whole, shares)
    assert sum(found.values()) == whole
    assert all(abs(found[name] - whole * share) <= 1 + 1e-12 * whole for name, share in shares.items())


def test_slopes_of_a_known_law() -> None:
    # 1 ms of server and 0.5 ms of loop a request, on totals that are a tenth shorter without instruments
    ledger = arm_ledger("a", [served(n) for n in NS], {n: [n * 1.35e-3] for n in NS}, {10: {"user": 1.0}})
    assert slopes(ledger) == pytest.approx({"server": 0.9, "loop/user": 0.45, "unexplained": 0})
    assert dict(ledger.accounts[0].points) == pytest.approx({n: 0.9 * n for n in NS})
    assert ledger.residual == 0
    assert ledger.hops == {"worker": tuple((n, n - 1) for n in NS)}
    assert unexplained_share(ledger) == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.lists(st.sampled_from(NS), min_size=1, max_size=6), st.lists(st.integers(1, 300), min_size=2, max_size=8))
def test_slopes_add_up_to_the_arms_slope(seed: int, traced: list[int], ns_of_bare: list[int]) -> None:
    # whatever the proportions and totals, with any N traced and any other measured
    rng = np.random.default_rng(seed)
    lines = [served(n, wait_ms=float(rng.uniform(0, 3)), run_ms=float(rng.uniform(0.1, 3)), repetition=i) for i, n in enumerate(traced)]
    points: dict[int, list[float]] = {n: list(rng.uniform(0.1, 5, rng.integers(1, 4))) for n in ns_of_bare}
    ledger, whole = arm_ledger("a", lines, points, {10: {"user": 0.5, "pool": 0.5}, 80: {"user": 1.0}}), slope(points)
    if whole is None:
        assert ledger.why
        assert not ledger.accounts
        return
    scale = sum(abs(value) for value in slopes(ledger).values())
    assert sum(slopes(ledger).values()) == pytest.approx(whole.value, abs=1e-9 * max(scale, abs(whole.value)))
    told = entries(ledger)
    assert sum(entry.slope_ms for entry in told) == pytest.approx(whole.value, abs=1e-9 * max(scale, abs(whole.value)))
    assert told[-1].account == "unexplained"
    assert {entry.account for entry in told} <= set(ACCOUNTS)
    for n, totals in points.items():
        assert sum(dict(account.points)[n] for account in ledger.accounts) == pytest.approx(1e3 * float(np.mean(totals)))


def test_an_n_without_a_timeline_takes_its_neighbours_proportions() -> None:
    # half of the total at 10 and a quarter at 30: three eighths at 20, and the note says that this was done
    lines = [served(10, wait_ms=1, run_ms=1), served(30, wait_ms=1, run_ms=3)]
    ledger = arm_ledger("a", lines, {10: [1.0], 20: [1.0], 30: [1.0], 60: [1.0]}, {10: {"user": 1.0}})
    points = dict(next(account for account in ledger.accounts if account.account == "server").points)
    assert points == pytest.approx({10: 500, 20: 375, 30: 250, 60: 250})
    assert any("N = 20, 60" in note for note in ledger.notes)


def test_intervals_hold_what_differs_between_trials() -> None:
    # proportions that differ from trial to trial give wide intervals, equal ones none; the truth lies within
    points = {n: [n * 1.5e-3, n * 1.5e-3] for n in NS}
    even = arm_ledger("a", [served(n, repetition=k) for n in NS for k in (0, 1)], points, {10: {"user": 1.0}})
    wild = arm_ledger(
        "a",
        [served(n, wait_ms=1 + d, run_ms=0.5 - d, repetition=k) for n in NS for k, d in enumerate((0.2, -0.2))],
        points,
        {10: {"user": 1.0}},
    )
    narrow, wide = (next(each.slope_ms for each in ledger.accounts if each.account == "server") for ledger in (even, wild))
    assert narrow.half_width is not None
    assert wide.half_width is not None
    assert narrow.half_width < 1e-9
    assert wide.half_width > 0.05
    assert wide.low is not None
    assert wide.high is not None
    assert wide.low < 1.0 < wide.high


def test_intervals_cover() -> None:
    # trials whose proportions scatter by a known law: 95 % intervals hold the truth in 90 to 100 % of 150 synthetic runs
    rng, held = np.random.default_rng(1), 0
    for _ in range(150):
        lines = [
            served(n, wait_ms=1 + d, run_ms=1 - d, repetition=k) for n in NS for k, d in enumerate(rng.normal(0, 0.1, 2).clip(-0.9, 0.9))
        ]
        points = {n: [float(n * 2e-3 * (1 + rng.normal(0, 0.03))) for _ in range(3)] for n in NS}
        server = next(each.slope_ms for each in arm_ledger("a", lines, points, {10: {"user": 1.0}}).accounts if each.account == "server")
        assert server.low is not None
        assert server.high is not None
        held += server.low <= 1.0 <= server.high
    assert held >= 135


@pytest.mark.parametrize(
    ("lines", "points", "why"),
    [
        ([], {10: [1.0], 20: [2.0]}, "no timeline trial"),
        ([served(10)], {10: [1.0]}, "two values of N"),
        ([line(0, [])], {10: [1.0], 20: [2.0]}, "no timeline trial"),
    ],
)
def test_an_arm_without_accounts_says_why(lines: list[Timeline], points: dict[int, list[float]], why: str) -> None:
    # never an empty answer without a reason
    ledger = arm_ledger("a", lines, points)
    assert ledger.accounts == ()
    assert ledger.why is not None
    assert why in ledger.why
    assert entries(ledger) == ()
    assert unexplained_share(ledger) is None


def test_two_timelines_have_no_interval() -> None:
    # nothing shows how far the proportions scatter, and the estimate says so
    ledger = arm_ledger("a", [served(10), served(80)], {10: [0.1], 80: [0.8]}, {10: {"user": 1.0}})
    assert all(account.slope_ms.low is None and account.slope_ms.why for account in ledger.accounts)


def test_class_shares_follow_the_profiles() -> None:
    # the program's own code, at 3 parts to 1 of the library's pool; the instruments' own code is nobody's
    pool = ("run", "AsyncConnectionPool._assign_requests_to_connections")
    profiles, _ = sampled({("run", "burn"): linear(3000), pool: linear(1000)}, ns=(200,), trials=2)
    found = class_shares(profiles)
    assert set(found) == {200}
    assert sum(found[200].values()) == pytest.approx(1)
    assert "instruments" not in found[200]


@pytest.mark.parametrize(("n", "expected"), [(5, 1.0), (10, 1.0), (15, 0.75), (20, 0.5), (99, 0.5)])
def test_shares_between_profiled_n_are_linear(n: int, expected: float) -> None:
    # and beyond them the nearest ones' stand in
    assert classes.at({10: {"user": 1.0}, 20: {"user": 0.5, "pool": 0.5}}, n)["user"] == pytest.approx(expected)
    assert classes.at({}, n) == {}


@pytest.mark.parametrize(("cpu_s", "pool", "other"), [(0.4, 0.25, 0.0), (0.8, 0.125, 0.5), (1.6, 0.0625, 0.75)])
def test_cpu_that_no_profile_saw_is_not_told_as_what_profiles_saw(cpu_s: float, pool: float, other: float) -> None:
    # beyond the largest profiled N a class keeps its CPU a request, and what grew since then is "other"
    shares = {100: {"pool": 0.25, "user": 0.75}}
    made = classes.extended(shares, {100: 0.2, 200: cpu_s}, [50, 200])
    assert made[100] == shares[100]
    found = classes.at(made, 200)
    assert found["pool"] == pytest.approx(pool)
    assert found.get("other", 0.0) == pytest.approx(other)
    assert sum(found.values()) == pytest.approx(1)
