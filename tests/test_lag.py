"""The loop's lag: a trial's account, bounds around the kernel's truth, and what else happened in the process."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_tables import BASE, MS, table, trial

from loopdiag.analysis.lag import BLOCKED_NS, LOOK_NS, SLACK_NS, WAKE_UP_NS, Bounds, lag
from loopdiag.analysis.process import jobs, pauses, process
from loopdiag.analysis.timelines import resolve
from loopdiag.model.timeline import Lag, Pause

END = BASE + 1000 * MS


def account(*rows: dict[str, float], **tables: Any) -> Lag:
    """The account of a trial of a second."""
    found, why = lag({"iterations": table("iterations", rows), **tables}, BASE, END)
    assert found is not None, why
    return found


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_planted_block_is_recovered(loop: str) -> None:
    # 20 ms in every 100 ms, beside ordinary work: its total within 5 %, on rows as either loop writes them
    rows: list[dict[str, float]] = []
    at = 0.0
    for number in range(100):
        poll, run = (0.2, 20.3) if number % 10 == 5 else (8.2, 0.4)
        rows.append({"t0": at, "poll": poll, "run": run, "thread": 1, "events": int(loop == "asyncio")})
        at += poll + run
    found = account(*rows)
    assert found.blocked == 10
    assert found.blocked_ns == pytest.approx(200 * MS, rel=0.05)
    assert found.running_ns == pytest.approx((10 * 20.3 + 90 * 0.4) * MS, rel=0.001)
    assert found.longest_ns == pytest.approx(20.3 * MS, rel=0.001)


def test_the_expected_wait_is_that_of_a_random_arrival() -> None:
    # one run of 400 ms in a second keeps a random arrival 80 ms in the mean: 0.4 of them wait 200 ms
    assert account({"t0": 0, "poll": 100, "run": 400, "thread": 1}).expected_wait_ns == pytest.approx(80 * MS, rel=0.001)


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), min_size=1, max_size=40))
@settings(deadline=None)
def test_the_account_is_cut_to_the_trial(steps: list[tuple[int, int]]) -> None:
    # nothing outside of the trial counts: what runs is never longer than the trial, and is the overlap of every run with it
    at, rows, inside = -200.0, [], 0.0
    for poll, run in steps:
        rows.append({"t0": at, "poll": poll / 10, "run": run / 10, "thread": 1})
        begun, at = at + poll / 10, at + (poll + run) / 10
        inside += max(0.0, min(at, 1000) - max(begun, 0))
    found, _ = lag({"iterations": table("iterations", rows)}, BASE, END)
    if found is not None:
        assert found.running_ns == pytest.approx(inside * MS, abs=300 * len(steps))
        assert found.blocked_ns <= found.running_ns <= END - BASE
        assert (found.longest_ns >= BLOCKED_NS) is (found.blocked > 0)


@pytest.mark.parametrize(
    ("tables", "until", "why"),
    [
        ({}, END, "no such table"),
        ({"iterations": table("iterations", [])}, END, "no iteration"),
        ({"iterations": table("iterations", [{"t0": 1, "run": 1, "thread": 1}, {"t0": 1, "run": 1, "thread": 2}])}, END, "several loops"),
        ({"iterations": table("iterations", [{"t0": 1, "run": 1, "thread": 1}])}, None, "did not end"),
    ],
)
def test_no_account_says_why(tables: dict[str, Any], until: int | None, why: str) -> None:
    # what was not observed is a reason, and never 0
    found, reason = lag(tables, BASE, until)
    assert found is None
    assert why in reason


def test_kernel_wait_is_told_only_where_there_are_kernel_stamps() -> None:
    # the sum over the attempts that have one; None, and not 0, where none has
    rows = [{"t0": 1, "request": k, "rx_kernel": 10, "first_byte": 10 + k} for k in (1, 2)] + [{"t0": 1, "request": 3, "first_byte": 50}]
    loop = {"t0": 0, "poll": 1, "run": 1, "thread": 1}
    assert account(loop, attempts=table("attempts", rows)).kernel_ns == pytest.approx(3 * MS, abs=600)
    assert account(loop, attempts=table("attempts", rows[2:])).kernel_ns is None


# --- bounds ---


@st.composite
def looked_at(draw: st.DrawFn) -> tuple[list[dict[str, float]], list[tuple[int, int]], int | None]:
    """Iterations of a loop that sees what arrives, (arrival, callback) of what it saw, and how long its thread waited for a core; in nanoseconds.

    Something that arrives while the loop runs is found by the next poll, which does not block; while it waits, it wakes it up.
    """
    uv = draw(st.booleans())
    run_queue = draw(st.none() | st.integers(0, 5 * MS))
    at, rows, seen = 0, [], []
    for _ in range(draw(st.integers(1, 12))):
        arrivals = []
        run = draw(st.integers(1, 40)) * MS // 2
        if draw(st.booleans()):  # it waits, for something or for a timer
            wait = draw(st.integers(1, 20)) * MS
            wake_up = draw(st.integers(0, WAKE_UP_NS + (50 * MS if run_queue is None else run_queue)))
            returned = at + wait + wake_up
            arrivals = draw(st.lists(st.integers(at + wait, at + wait + wake_up), max_size=2))
            ready = 0
        else:
            returned = at + (0 if uv else draw(st.integers(1_000, LOOK_NS)))
            # what arrived since the poll before this one looked, if there was one: it takes out what it found, and returns
            last = rows[-1]["returned"] - min(rows[-1]["poll"] * MS, LOOK_NS) if rows else at
            arrivals = draw(st.lists(st.integers(int(last), at), max_size=3))
            ready = 0 if uv else draw(st.integers(0, 3))
        callbacks = [returned + draw(st.integers(0, run - 1000)) for _ in arrivals]  # before the next poll
        seen += list(zip(arrivals, callbacks, strict=True))
        rows.append(
            {
                "t0": at / MS,
                "poll": (returned - at) / MS,
                "run": run / MS,
                "ready": ready,
                "events": len(arrivals),
                "thread": 1,
                "returned": returned,
            }
        )
        at = returned + run
    for row in rows:
        del row["returned"]
    return rows, seen, run_queue


@given(looked_at())
@settings(deadline=None)
def test_the_kernels_truth_lies_between_the_bounds(made: tuple[list[dict[str, float]], list[tuple[int, int]], int | None]) -> None:
    # for everything that a loop finds ready: low <= callback - arrival <= high
    rows, seen, run_queue = made
    bounds = Bounds.of(table("iterations", rows), BASE, run_queue_ns=run_queue)
    assert bounds is not None
    low, high = bounds.at(np.array([callback for _, callback in seen], dtype=np.int64))
    for (arrival, callback), least, most in zip(seen, low.tolist(), high.tolist(), strict=True):
        assert 0 <= least <= callback - arrival
        assert most < 0 or callback - arrival <= most


def test_bounds_stand_beside_the_attempt() -> None:
    # a first byte 3 ms after its poll: at least that; at most since the poll before, 12 ms earlier, where this one did not block
    loop = [{"t0": 0, "poll": 10, "run": 12, "thread": 1}, {"t0": 22, "poll": 0.01, "run": 30, "ready": 2, "events": 1, "thread": 1}]
    rows = [{"t0": 0.1, "request": 1, "first_byte": 25}, {"t0": 0.1, "request": 2, "first_byte": 14}, {"t0": 0.1, "request": 3}]
    line = resolve({"attempts": table("attempts", rows), "iterations": table("iterations", loop)}, trial(run_queue_s=0.001))
    queued, woken, none = line.attempts
    assert (queued.lag_low_ns, queued.lag_high_ns) == (pytest.approx(3 * MS, abs=11_000), pytest.approx(15 * MS + LOOK_NS, abs=1000))
    assert (woken.lag_low_ns, woken.lag_high_ns) == (pytest.approx(4 * MS, abs=1000), pytest.approx(5 * MS + WAKE_UP_NS, abs=1000))
    assert (none.lag_low_ns, none.lag_high_ns) == (None, None)


def test_a_first_poll_bounds_only_from_below() -> None:
    # nothing is known about what was ready before the first poll that was seen; before it, nothing is known at all
    bounds = Bounds.of(table("iterations", [{"t0": 0, "poll": 0.01, "ready": 1, "run": 5, "thread": 1}]), BASE)
    assert bounds is not None
    low, high = bounds.at(np.array([2 * MS, -MS], dtype=np.int64))
    assert low.tolist()[0] == pytest.approx(2 * MS - 10_000, abs=SLACK_NS * 2)
    assert (low.tolist()[1], *high.tolist()) == (np.iinfo(np.int64).min,) * 3


# --- the process ---


def test_pauses_are_those_of_the_trial() -> None:
    # a collection that reaches into the trial counts with the part that does
    rows = [
        {"t0": -5, "length": 2},
        {"t0": -1, "length": 3, "generation": 1},
        {"t0": 50, "length": 0.5, "generation": 2},
        {"t0": 999, "length": 7},
        {"t0": 1001, "length": 1},
    ]
    found = pauses({"pauses": table("pauses", rows)}, BASE, END)
    assert [(p.generation, round(p.start_ns / MS), round(p.length_ns / MS, 1)) for p in found] == [(1, 0, 2.0), (2, 50, 0.5), (0, 999, 1.0)]
    assert pauses({}, BASE, END) == ()
    assert isinstance(found[0], Pause)


def test_calls_in_executors_are_cut_to_the_trial() -> None:
    # a call that waits for a thread when the trial ends has waited until then
    rows = [
        {"t0": -1, "started": 1, "ended": 2},
        {"t0": 1, "threads": 2, "started": 3, "ended": 10},
        {"t0": 5, "threads": 2, "started": 10, "ended": 1010},
        {"t0": 7, "threads": 2},
    ]
    found = jobs({"executor": table("executor", rows)}, BASE, END)
    assert found is not None
    assert [round(at / MS) for at in found.queued_ns] == [1, 5, 7]
    assert [round(at / MS) for at in found.started_ns] == [3, 10, 1000]
    assert [round(at / MS) for at in found.ended_ns] == [10, 1000, 1000]
    assert found.threads == (2, 2, 2)
    assert jobs({}, BASE, END) is None


def test_the_process_is_the_difference_of_its_samples() -> None:
    # first to last sample of the trial, over a wrap; what no sample saw is None; a count that stayed 0 was seen where its pair was
    rows = [
        {"t0": -3, "cpu_ns": 1, "run_queue_ns": 1, "waits": 1, "loop": 1},
        {"t0": 1, "cpu_ns": 1000, "waits": 2**32 - 3, "descriptors": 9, "loop": 1},
        {"t0": 2, "cpu_ns": 5000, "waits": 2, "descriptors": 12, "loop": 1},
        {"t0": 3, "cpu_ns": 9000, "waits": 7, "preemptions": 0, "loop": 1},
        {"t0": 1500, "cpu_ns": 10**9, "loop": 1},
    ]
    found, why = process({"samples": table("samples", rows)}, BASE, END)
    assert found is not None, why
    assert (found.cpu_ns, found.run_queue_ns, found.waits, found.preemptions) == (8000, 0, 10, 0)
    assert (found.descriptors, found.threads) == (12, None)
    bare, _ = process({"samples": table("samples", [{"t0": 1, "threads": 3}, {"t0": 2}])}, BASE, END)
    assert bare is not None
    assert (bare.cpu_ns, bare.waits, bare.threads) == (None, None, 3)


@pytest.mark.parametrize("tables", [dict, lambda: {"samples": table("samples", [{"t0": -1, "cpu_ns": 5}])}])
def test_no_sample_is_a_reason(tables: Callable[[], dict[str, Any]]) -> None:
    # without a sample in the trial there is no account, and the timeline says why
    found, why = process(tables(), BASE, END)
    assert found is None
    assert why
    assert resolve(tables(), trial()).not_observed["process"] == why
