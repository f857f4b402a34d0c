"""Columns → timelines: phases without gap or overlap, attempts, set-ups, time that no stamp explains, and what is left out of a large trial."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_tables import BASE, MS, table, trial

from loopdiag.analysis import columns, lives, phases, timelines
from loopdiag.analysis.columns import MISSING, backwards, following
from loopdiag.analysis.idle import Idle
from loopdiag.analysis.invariants import check
from loopdiag.analysis.timelines import resolve
from loopdiag.analysis.witness import agreement
from loopdiag.instruments import schema
from loopdiag.model.events import MAY_FOLLOW, PHASES, legal
from loopdiag.model.timeline import Attempt

WHOLE = {
    "t0": 1, "request": 1, "connection": 1, "status": 200, "created": 0.5, "first_run": 1, "enqueued": 2, "assigned": 5, "resumed": 20,
    "send_start": 21, "send_end": 22, "first_byte": 72, "headers": 73, "last_byte": 80, "body": 82, "decoded": 85, "done": 86,
}  # fmt: skip
LINK = {
    "t0": 5, "request": 1, "requests": 1, "dns_start": 5, "dns_end": 8, "tcp_start": 8, "tcp_end": 10, "tls_start": 10, "tls_end": 19,
    "made": 19.5,
}  # fmt: skip
OTHERS_LINK = {**LINK, "request": 9}
FAILED = schema.FLAGS["error"]

Row = Mapping[str, float]


def lengths(attempt: Attempt) -> dict[str, float]:
    """Phase → milliseconds, to a tenth."""
    spent: dict[str, float] = {}
    for phase in attempt.phases:
        spent[phase.name] = spent.get(phase.name, 0) + (phase.end_ns - phase.start_ns) / MS
    return {name: round(length, 1) for name, length in spent.items()}


def one(row: Row, link: Row | None = None, **tables: Any) -> Attempt:
    """The resolved attempt of one row."""
    if link is not None:
        tables["connections"] = table("connections", [link])
    (attempt,) = resolve({"attempts": table("attempts", [row]), **tables}, trial()).attempts
    return attempt


def upto(stamp: str, **more: float) -> dict[str, float]:
    """A life that was over at 90 ms, with nothing seen after `stamp`."""
    names = list(WHOLE)
    return {name: WHOLE[name] for name in names[: names.index(stamp) + 1]} | {"done": 90} | more


def without(*names: str, **more: float) -> dict[str, float]:
    """A whole life in which some stamps were not observed."""
    return {name: value for name, value in WHOLE.items() if name not in names} | more


def test_a_whole_life_is_charged_to_its_phases() -> None:
    # every stretch between two stamps has its name
    attempt = one(WHOLE, LINK)
    assert lengths(attempt) == {
        "start": 0.5, "prepare": 2, "pool": 3, "dns": 3, "connect": 2, "ssl": 9, "resume": 1, "send": 1, "wait": 50,
        "receive": 8, "handover": 2, "decode": 3, "finish": 1,
    }  # fmt: skip
    assert attempt.status == 200


@pytest.mark.parametrize(
    ("row", "link", "expected"),
    [
        # whether the request is resumed before the set-up that it makes, or after it, is all the same
        ({**WHOLE, "resumed": 5}, {**LINK, "dns_start": 6}, {"prepare": 2.5, "dns": 2, "resume": 1.5}),
        # the pool grants a connection, and the loop wakes its owner later
        ({**WHOLE, "assigned": 5, "resumed": 20}, {**LINK, "t0": 1, "request": 9, "made": 1}, {"resume": 15, "prepare": 2}),
        # where the kernel stamped the first byte, the wait ends there
        ({**WHOLE, "rx_kernel": 60}, LINK, {"wait": 38, "kernel": 12, "receive": 8}),
        # an early answer: in the kernel before the writer was done
        ({**WHOLE, "send_end": 40, "rx_kernel": 30}, LINK, {"send": 19, "kernel": 32}),
        # the kernel's clock may be a little off: never after the first byte
        ({**WHOLE, "rx_kernel": 73}, LINK, {"wait": 50, "receive": 8}),
        # a first byte that was seen before the writer was resumed costs no wait
        ({**WHOLE, "send_end": 75}, LINK, {"send": 51, "receive": 8}),
        # HTTP/2: a stream of the connection is waited for
        ({**WHOLE, "stream": 20.8}, LINK, {"stream": 0.8, "prepare": 1.2}),
        # a sharer waits until the connection that another request opens is made
        ({**WHOLE, "flags": schema.FLAGS["shared_connect"]}, OTHERS_LINK, {"shared": 14.5, "resume": 0.5}),
        ({**WHOLE, "resumed": 6, "stream": 20.8}, OTHERS_LINK, {"shared": 14.5, "stream": 1.3, "prepare": 1.2}),
        # a wait for somebody else's look-up is a look-up, with its flag; a hit takes no time
        ({**WHOLE, "flags": schema.FLAGS["dns_coalesced"]}, LINK, {"dns": 3}),
        ({**WHOLE, "flags": schema.FLAGS["dns_hit"]}, {**LINK, "dns_end": 5, "tcp_start": 5}, {"connect": 5}),
        # an open loop that fell behind
        ({**WHOLE, "due": 0.1}, LINK, {"due": 0.4, "start": 0.5}),
        # set-up that was cut short
        (upto("assigned", flags=FAILED, connection=0), {**LINK, "tls_end": 0, "made": 0}, {"dns": 3, "connect": 2, "ssl": 80}),
        # the same by a task that was resumed before, or that waited for another's
        (upto("assigned", flags=FAILED, resumed=5), {**LINK, "tls_end": 0, "made": 0}, {"dns": 3, "connect": 2, "ssl": 80}),
        (
            upto("assigned", flags=FAILED, resumed=5),
            {**LINK, "tcp_end": 0, "tls_start": 0, "tls_end": 0, "made": 0},
            {"dns": 3, "connect": 82},
        ),
        (
            upto("assigned", flags=FAILED | schema.FLAGS["shared_connect"], resumed=6),
            {**OTHERS_LINK, "tls_end": 0, "made": 0},
            {"pool": 3, "shared": 85},
        ),
        # a body that never came to its end
        (upto("last_byte", flags=FAILED), LINK, {"wait": 50, "receive": 18}),
        (upto("body", flags=FAILED), LINK, {"receive": 8, "handover": 2, "finish": 8}),
    ],
)
def test_every_stamp_begins_its_phase(row: Row, link: Row, expected: dict[str, float]) -> None:
    # the named phases have the stated lengths, whatever else there is; and all of them add up
    link = {name: at for name, at in link.items() if at}
    attempt = one(row, link)
    found = lengths(attempt)
    assert {name: found.get(name) for name in expected} == expected
    assert "dns" in expected or "dns_hit" not in attempt.flags or "dns" not in found
    assert sum(found.values()) == pytest.approx(row["done"] - row.get("due", row["created"]), abs=0.05 * len(found))


@pytest.mark.parametrize(
    ("row", "lost"),
    [
        # a whole life has no gap; nor has one that failed anywhere
        (WHOLE, 0),
        *(
            (upto(stamp, flags=FAILED), 0)
            for stamp in ("created", "first_run", "enqueued", "assigned", "resumed", "send_start", "send_end")
        ),
        (upto("first_byte", flags=FAILED), 0),
        # a request that did not fail was answered, even if no stamp shows when
        (upto("first_run"), 89),
        (upto("send_end"), 68),
        # what happened between two stamps that may not follow each other is not the first one's
        (without("assigned", "resumed"), 19),
        (without("resumed"), 16),
        (without("send_start", "send_end", "first_byte"), 53),
        (without("send_start", "send_end", "first_byte", "last_byte"), 53),
        (without("last_byte"), 10),
        (without("headers"), 0),
        (without("send_end"), 0),
        (without("decoded"), 0),
    ],
)
def test_time_that_stamps_cannot_name_is_unattributed(row: Row, lost: float) -> None:
    # a missing stamp leaves a residual; it never makes another phase longer
    found = lengths(one(row))
    assert found.get("unattributed", 0) == lost


@pytest.mark.parametrize(
    ("link", "lost"),
    [(LINK, 0), ({**LINK, "tcp_start": 0, "tcp_end": 0}, 2), ({**LINK, "tcp_end": 0}, 2), ({"t0": 5, "request": 1, "made": 19.5}, 14.5)],
)
def test_a_set_up_without_its_stamps_is_unattributed(link: Row, lost: float) -> None:
    # a connect that must have been, but is not shown, is no wait for the loop
    found = lengths(one(WHOLE, {name: at for name, at in link.items() if at}))
    assert found.get("unattributed", 0) == lost


def test_a_reused_connection_is_charged_to_nobody_again() -> None:
    # the set-up belongs to the request that began the connection
    later = {k: v + 90 for k, v in WHOLE.items() if k in schema.ATTEMPT_STAMPS}
    second = {**WHOLE, "t0": 90, "request": 2, "flags": schema.FLAGS["reused"], **later}
    tables = {"attempts": table("attempts", [WHOLE, second]), "connections": table("connections", [{**LINK, "requests": 2}])}
    _, attempt = resolve(tables, trial(200)).attempts
    assert not {"dns", "connect", "ssl"} & set(lengths(attempt))
    assert attempt.flags == ("reused",)


def test_a_retry_is_an_attempt_of_its_own() -> None:
    # the first attempt ends where the second begins, so that both add up to the request's time
    first = {name: WHOLE[name] for name in list(WHOLE)[: list(WHOLE).index("send_end") + 1] if name not in {"connection", "status"}}
    second = {**WHOLE, "t0": 40, "flags": 1 << 16, "enqueued": 40, "assigned": 41, "resumed": 41, "send_start": 41, "send_end": 42}
    second = {name: at for name, at in second.items() if name not in {"created", "first_run", "connection"}}
    a, b = resolve({"attempts": table("attempts", [first, second])}, trial()).attempts
    assert (a.number, b.number) == (0, 1)
    assert lengths(a)["wait"] == 18
    assert a.phases[-1].end_ns == b.phases[0].start_ns
    assert sum(lengths(a).values()) + sum(lengths(b).values()) == pytest.approx(85.5, abs=0.3)


def test_a_request_that_nobody_ends_lasts_until_it_was_last_seen() -> None:
    # a program without marks has no `done`; a process that was killed has less
    row = {name: at for name, at in WHOLE.items() if name not in {"created", "done"}}
    attempt = one(row)
    assert attempt.phases[0].start_ns == attempt.stamps["first_run"]
    assert attempt.phases[-1].end_ns == attempt.stamps["decoded"]
    assert lengths(one({"t0": 1, "request": 1, "created": 1, "first_run": 3})) == {"start": 2}


def test_idle_time_in_which_the_loop_should_have_run_it_is_unattributed() -> None:
    # a request that was ready while the loop slept was kept by something that no stamp shows
    row = {**WHOLE, "enqueued": 41, "assigned": 41, "resumed": 41, "send_start": 41, "send_end": 42}
    rows = [{"t0": 0, "poll": 0, "run": 10, "thread": 1}, {"t0": 10, "poll": 30, "run": 1, "thread": 1}]
    attempt = one(row, iterations=table("iterations", rows))
    assert lengths(attempt)["unattributed"] == 30
    assert lengths(attempt)["prepare"] == 10
    # a poll that does not wait is the loop's own work
    rows[1]["ready"] = 3
    assert "unattributed" not in lengths(one(row, iterations=table("iterations", rows)))


def test_the_residual_is_published_over_requests() -> None:
    # median and 95th percentile over requests, their attempts taken together
    rows = [{**WHOLE, "request": number} for number in range(1, 20)] + [{**without("resumed"), "request": 20}]
    line = resolve({"attempts": table("attempts", rows)}, trial())
    assert line.unattributed_share == 0
    assert line.unattributed_p95 == pytest.approx(0.05 * 16 / 85.5, rel=0.01)
    assert resolve({}, trial()).unattributed_p95 is None


def test_warm_up_rows_are_left_out() -> None:
    # rows that were opened before the trial's start are none of its requests
    early = {**WHOLE, "t0": -5, "created": -5}
    assert [a.request for a in resolve({"attempts": table("attempts", [early, WHOLE])}, trial()).attempts] == [1]


def test_stamps_that_run_backwards_are_told() -> None:
    # a broken order is a fault of the timeline, named and counted
    line = resolve({"attempts": table("attempts", [{**WHOLE, "last_byte": 60}])}, trial())
    assert "first_byte after last_byte in 1 attempts" in line.faults


def test_backwards_compares_with_the_latest_before() -> None:
    # a stamp that was not observed does not hide a later one that runs backwards
    found = {"a": np.array([5, 5]), "b": np.array([MISSING, 6]), "c": np.array([4, 7])}
    assert backwards(found, ("a", "b", "c")) == {("b", "c"): 1}


@given(st.lists(st.integers(1, 5), max_size=30))
def test_attempts_find_the_next_one_of_their_request(requests: list[int]) -> None:
    # in the order in which they were opened, each attempt knows its follower and how many went before
    then, before = following(np.array(requests, dtype=np.int64))
    for index, request in enumerate(requests):
        later = [other for other in range(index + 1, len(requests)) if requests[other] == request]
        assert then[index] == (later[0] if later else -1)
        assert before[index] == requests[:index].count(request)


def test_missing_tables_give_an_empty_timeline() -> None:
    # a trial whose columns are gone still resolves, and says what is missing
    line = resolve({}, trial(not_observed={"everything": "killed"}))
    assert line.attempts == ()
    assert (line.iterations, line.lag, line.jobs, line.process) == (None, None, None, None)
    assert line.not_observed["everything"] == "killed"
    assert {"attempts", "iterations", "pauses", "executor", "samples"} <= set(line.not_observed)


def test_what_the_instruments_gave_up_is_not_observed() -> None:
    # a table of a probe that failed on the way is not half believed
    rows = table("iterations", [{"t0": 1, "poll": 5, "run": 5, "thread": 1}])
    line = resolve({"iterations": rows}, trial(not_observed={"iterations": "it failed"}))
    assert line.iterations is None
    assert line.not_observed["iterations"] == "it failed"


def test_a_large_trial_keeps_a_bounded_number_of_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    # evenly chosen requests and the slowest, with all their attempts; the rest is counted, and the totals are those of all
    monkeypatch.setattr(timelines, "MOST", 20)
    monkeypatch.setattr(timelines, "SLOWEST", 2)
    monkeypatch.setattr(lives, "CHUNK", 7)
    rows = []
    for number in range(1, 101):
        slow = 10 if number in {33, 77} else 0
        rows.append({**WHOLE, "request": number, "connection": number, "done": 86 + slow})
        if number == 33:
            rows.append({"t0": 97, "request": 33, "flags": 1 << 16, "enqueued": 97, "done": 98})
    links = [{**LINK, "request": number} for number in range(1, 101)]
    loop = [{"t0": k, "poll": 0.5, "run": 0.5, "ready": k, "thread": 1} for k in range(100)]
    tables = {"attempts": table("attempts", rows), "connections": table("connections", links), "iterations": table("iterations", loop)}
    line = resolve(tables, trial())
    kept = {attempt.request for attempt in line.attempts}
    assert {1, 33, 77, 100} <= kept
    assert 18 <= len(kept) <= 20
    assert [attempt.number for attempt in line.attempts if attempt.request == 33] == [0, 1]
    assert line.left_out == {"attempts": 101 - len(line.attempts), "connections": 100 - len(kept)}
    assert {link.request for link in line.connections} == kept
    assert line.iterations is not None
    assert len(line.iterations.start_ns) == 20
    assert line.iterations.ready[0] == 4
    assert sum(line.iterations.run_ns) == pytest.approx(50 * MS, rel=0.001)
    assert line.faults == ()


def test_iterations_are_cut_to_the_trial() -> None:
    # the iteration in which the trial began, and the one in which it ended, count as far as they reach into it
    rows = [
        {"t0": -30, "poll": 10, "run": 5, "thread": 2},
        {"t0": -15, "poll": 5, "run": 20, "thread": 2},
        {"t0": 10, "poll": 60, "run": 50, "thread": 2},
        {"t0": 120, "poll": 0, "run": 0, "thread": 2},
    ]
    line = resolve({"iterations": table("iterations", rows)}, trial(100))
    assert line.iterations is not None
    assert [round(at / MS) for at in line.iterations.start_ns] == [0, 10]
    assert [round(at / MS) for at in line.iterations.poll_ns] == [0, 60]
    assert [round(at / MS) for at in line.iterations.run_ns] == [10, 30]


# --- laws ---


@st.composite
def walks(draw: st.DrawFn) -> list[str]:
    """A walk through the transition table from a start on, without going round."""
    state, order = "", []
    while following := sorted(MAY_FOLLOW[state] - set(order)):
        state = draw(st.sampled_from(following))
        order.append(state)
        if draw(st.integers(0, 19)) == 0:
            break
    return order


@st.composite
def recordings(draw: st.DrawFn) -> dict[str, Any]:
    """A few requests of some attempts each, every life one that the transition table has; connections of every kind; a loop."""
    rows: list[dict[str, float]] = []
    for request in range(1, draw(st.integers(1, 3)) + 1):
        at = draw(st.integers(0, 20)) / 10
        for number in range(draw(st.integers(1, 3))):
            row: dict[str, float] = {"t0": at + 0.001, "request": request, "flags": number << 16 | draw(st.integers(0, (1 << 12) - 1))}
            row["connection"] = draw(st.integers(0, 4))
            for name in draw(walks()):
                at += draw(st.integers(0, 30)) / 10
                row[name] = at + 0.001
            rows.append(row)
    links = [
        {"t0": k + 0.001, "request": draw(st.integers(1, 3)), **{name: draw(st.integers(1, 300)) / 10 for name in draw(st.sets(st.sampled_from(columns.LINK_STAMPS)))}}
        for k in range(3)
    ]  # fmt: skip
    begun, loop = 0.0, []
    for poll, run in draw(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20)):
        loop.append({"t0": begun, "poll": poll / 10, "run": run / 10, "thread": 1, "ready": poll % 2})
        begun += (poll + run) / 10
    return {"attempts": table("attempts", rows), "connections": table("connections", links), "iterations": table("iterations", loop)}


@given(recordings())
@settings(deadline=None)
def test_phases_of_any_life_partition_it(tables: dict[str, Any]) -> None:
    # whatever was observed: known names, in order, no gap, no overlap, and Σ phases = end - start to the nanosecond
    attempts = resolve(tables, trial(1000)).attempts
    for index, attempt in enumerate(attempts):
        own = attempt.stamps
        then = next((a.stamps.get("enqueued") for a in attempts[index + 1 :] if a.request == attempt.request), None)
        end = then if then is not None else own.get("done", max(own.values(), default=0))
        assert all(phase.name in PHASES and phase.end_ns > phase.start_ns for phase in attempt.phases)
        assert all(a.end_ns == b.start_ns and a.name != b.name for a, b in pairwise(attempt.phases))
        assert not attempt.phases or attempt.phases[-1].end_ns == end
        first = next((own[name] for name in ("due", "created", "first_run", "enqueued") if name in own), None)
        if first is not None:
            assert sum(phase.end_ns - phase.start_ns for phase in attempt.phases) == max(0, end - first)


@given(recordings())
@settings(deadline=None)
def test_idle_time_moves_from_phases_of_the_loop_to_the_residual(tables: dict[str, Any]) -> None:
    # what the loop's own record adds to `unattributed` is the idle time in phases in which only the loop keeps a request waiting
    idle = Idle.of(tables["iterations"], BASE)
    with_loop = resolve(tables, trial(1000)).attempts
    without_loop = resolve({name: rows for name, rows in tables.items() if name != "iterations"}, trial(1000)).attempts
    for seen, blind in zip(with_loop, without_loop, strict=True):
        bound = [phase for phase in blind.phases if phase.name in phases.LOOP_BOUND]
        asleep = 0 if idle is None else sum(idle.between(phase.start_ns, phase.end_ns) for phase in bound)
        residual = [sum(p.end_ns - p.start_ns for p in attempt.phases if p.name == "unattributed") for attempt in (seen, blind)]
        assert residual[0] - residual[1] == asleep


ORDER = ["created", "first_run", "enqueued", "assigned", "resumed", "send_start", "send_end", "first_byte", "headers", "last_byte", "body", "decoded", "done"]  # fmt: skip


@given(st.lists(st.integers(0, 50), min_size=len(ORDER), max_size=len(ORDER)), st.sets(st.sampled_from(ORDER[1:-1])), st.booleans())
@settings(deadline=None)
def test_phases_add_up_to_the_request(gaps: list[int], unseen: set[str], linked: bool) -> None:
    # whatever was not observed: Σ phases = done - created, and the invariants find nothing wrong with that
    times = dict(zip(ORDER, (np.cumsum(gaps) + 0.001).tolist(), strict=True))
    row = {"t0": 0.001, "request": 1, "connection": int(linked), **{name: at for name, at in times.items() if name not in unseen}}
    tables = {"attempts": table("attempts", [row])} | ({"connections": table("connections", [LINK])} if linked else {})
    (attempt,) = resolve(tables, trial(1000)).attempts
    assert sum(p.end_ns - p.start_ns for p in attempt.phases) == attempt.stamps["done"] - attempt.stamps["created"]
    assert not [fault for fault in check(tables, BASE) if "Σ" in fault]


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1000)), min_size=1, max_size=30), st.integers(0, 40_000), st.integers(0, 40_000)
)
def test_idle_time_is_additive_and_bounded(steps: list[tuple[int, int]], a: int, b: int) -> None:
    # idle(a, c) = idle(a, b) + idle(b, c), never more than the stretch itself
    made = table("iterations", [{"thread": 1}] * len(steps))
    at = 0
    for row, (run, poll) in zip(made[1:], steps, strict=True):
        row["t0"], row["poll"], row["run"] = BASE + (at << 7), poll, run
        at += run + poll
    idle = Idle.of(made, BASE)
    assert idle is not None
    low, high = sorted((a << 7, b << 7))
    middle = (low + high) // 2
    assert idle.between(low, high) == idle.between(low, middle) + idle.between(middle, high)
    assert 0 <= idle.between(low, high) <= high - low


def test_the_witness_agrees_only_where_every_order_holds() -> None:
    # send <= received <= answered <= first byte, on one clock; requests with several attempts are not compared
    attempts = table("attempts", [{**WHOLE, "request": 1}, {**WHOLE, "request": 2}, {**WHOLE, "request": 3}, {**WHOLE, "request": 3}])
    served = np.zeros(4, dtype=[("received_ns", "<u8"), ("begun_ns", "<u8"), ("request", "<u4")])
    for index, (request, received, begun) in enumerate([(1, 30, 60), (2, 10, 60), (3, 30, 60), (9, 30, 60)]):
        served[index] = (BASE + received * MS, BASE + begun * MS, request)
    assert agreement(attempts, served, BASE) == (2, 1)


@given(walks())
def test_generated_lives_are_legal(order: list[str]) -> None:
    # every walk through the transition table is a legal life, and a step that the table does not have is told
    assert legal(order) is None
    assert legal([*order, "due"]) is not None


def test_names_agree_with_the_schema() -> None:
    # stamps and flags are spelled once in the instruments and once in the analysis, and must be the same
    assert columns.STAMPS == schema.ATTEMPT_STAMPS
    assert columns.LINK_STAMPS == schema.CONNECTION_STAMPS
    assert list(lives.FLAGS) == list(schema.FLAGS)
    assert [schema.FLAGS[name] for name in lives.FLAGS] == [1 << bit for bit in range(len(lives.FLAGS))]
    assert set(MAY_FOLLOW) - {""} == set(schema.ATTEMPT_STAMPS)
    assert {name for _, name in phases.SLOTS} <= set(PHASES)
