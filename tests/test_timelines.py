"""Columns → timelines: phases without gap or overlap, attempts, set-ups, idle time that no stamp explains."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopdiag.analysis import timelines
from loopdiag.analysis.columns import backwards
from loopdiag.analysis.idle import Idle
from loopdiag.analysis.timelines import resolve
from loopdiag.analysis.witness import agreement
from loopdiag.instruments import schema
from loopdiag.model.events import MAY_FOLLOW, PHASES, legal
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm
from loopdiag.model.timeline import Attempt

BASE = 77_000_000_000_000
MS = 1_000_000


def tick(ns: int) -> int:
    """A stamp as the instruments write it."""
    return (ns >> 7) & 0xFFFFFFFF


def table(name: str, rows: Sequence[dict[str, float]]) -> np.ndarray:
    """A raw table with the sink in front; stamps given in ms since BASE."""
    fields = schema.TABLES[name]
    stamps = {*schema.ATTEMPT_STAMPS, *schema.CONNECTION_STAMPS} & set(fields)
    made = np.zeros(len(rows) + 1, dtype=list(fields.items()))
    for index, row in enumerate(rows, start=1):
        for field, value in row.items():
            if field == "t0":
                made[index]["t0"] = BASE + round(value * MS)
            elif field in stamps:
                made[index][field] = tick(BASE + round(value * MS))
            else:
                made[index][field] = value
    return made


def trial(total_ms: float = 100, **more: object) -> TrialResult:
    """A finished timeline trial that began at BASE."""
    spec = TrialSpec(id="t", arm=Arm(client="aiohttp"), n=1, tier="timeline", repetition=0, seed=1)
    return TrialResult(spec=spec, status="ok", total_s=total_ms / 1e3, t0_ns=BASE, t1_ns=BASE + round(total_ms * MS), **more)  # type: ignore[arg-type]


def phases(attempt: Attempt) -> dict[str, float]:
    """Phase → milliseconds, to a tenth."""
    spent: dict[str, float] = {}
    for phase in attempt.phases:
        spent[phase.name] = spent.get(phase.name, 0) + (phase.end_ns - phase.start_ns) / MS
    return {name: round(length, 1) for name, length in spent.items()}


WHOLE = {
    "t0": 1, "request": 1, "connection": 1, "status": 200, "created": 0.5, "first_run": 1, "enqueued": 2, "assigned": 5, "resumed": 20,
    "send_start": 21, "send_end": 22, "first_byte": 72, "headers": 73, "last_byte": 80, "body": 82, "decoded": 85, "done": 86,
}  # fmt: skip
LINK = {
    "t0": 5,
    "request": 1,
    "requests": 1,
    "dns_start": 5,
    "dns_end": 8,
    "tcp_start": 8,
    "tcp_end": 10,
    "tls_start": 10,
    "tls_end": 19,
    "made": 20,
}


def test_a_whole_life_is_charged_to_its_phases() -> None:
    # every stretch between two stamps has its name
    (attempt,) = resolve({"attempts": table("attempts", [WHOLE]), "connections": table("connections", [LINK])}, trial()).attempts
    assert phases(attempt) == {
        "start": 0.5, "prepare": 1, "pool": 3, "dns": 3, "connect": 2, "ssl": 9, "resume": 2, "send": 1, "wait": 50,
        "receive": 8, "handover": 2, "decode": 3, "finish": 1,
    }  # fmt: skip
    assert attempt.status == 200


def test_a_reused_connection_is_charged_to_nobody_again() -> None:
    # the set-up belongs to the request that began the connection
    second = {
        **WHOLE,
        "t0": 90,
        "request": 2,
        "flags": schema.FLAGS["reused"],
        **{k: v + 90 for k, v in WHOLE.items() if k in schema.ATTEMPT_STAMPS},
    }
    tables = {"attempts": table("attempts", [WHOLE, second]), "connections": table("connections", [{**LINK, "requests": 2}])}
    _, attempt = resolve(tables, trial(200)).attempts
    assert not {"dns", "connect", "ssl"} & set(phases(attempt))
    assert attempt.flags == ("reused",)


def test_waiting_on_a_connection_that_another_opens_is_shared() -> None:
    # a sharer waits until the connection is made
    sharer = {**WHOLE, "request": 2, "flags": schema.FLAGS["shared_connect"]}
    _, attempt = resolve({"attempts": table("attempts", [WHOLE, sharer]), "connections": table("connections", [LINK])}, trial()).attempts
    assert phases(attempt)["shared"] == 15


def test_a_retry_is_an_attempt_of_its_own() -> None:
    # the first attempt ends where the second begins, so that both add up to the request's time
    first = {k: WHOLE[k] for k in ("t0", "request", "created", "first_run", "enqueued", "assigned", "resumed", "send_start", "send_end")}
    second = {
        "t0": 40,
        "request": 1,
        "flags": 1 << 16,
        "enqueued": 40,
        "assigned": 41,
        "send_start": 41,
        "send_end": 42,
        "first_byte": 60,
        "last_byte": 60,
        "done": 61,
    }
    one, two = resolve({"attempts": table("attempts", [first, second])}, trial()).attempts
    assert (one.number, two.number) == (0, 1)
    assert sum(phases(one).values()) + sum(phases(two).values()) == pytest.approx(60.5, abs=0.3)


def test_idle_time_in_which_the_loop_should_have_run_it_is_unattributed() -> None:
    # a request that was ready while the loop slept was kept by something that no stamp shows
    row = {
        "t0": 0.5,
        "request": 1,
        "created": 0.5,
        "first_run": 1,
        "enqueued": 41,
        "assigned": 41,
        "send_start": 41,
        "send_end": 42,
        "first_byte": 50,
        "last_byte": 50,
        "done": 50,
    }
    iterations = table("iterations", [{"t0": 0, "poll": 0, "thread": 1}, {"t0": 10, "poll": 30 * MS >> 7, "thread": 1}])
    (attempt,) = resolve({"attempts": table("attempts", [row]), "iterations": iterations}, trial()).attempts
    assert phases(attempt)["unattributed"] == 30
    assert phases(attempt)["prepare"] == 10


def test_warm_up_rows_are_left_out() -> None:
    # rows that were opened before the trial's start are none of its requests
    early = {**WHOLE, "t0": -5, "created": -5}
    assert [a.request for a in resolve({"attempts": table("attempts", [early, WHOLE])}, trial()).attempts] == [1]


def test_an_answer_that_overtakes_the_writer_costs_no_wait() -> None:
    # the first byte may be seen before the task that wrote is resumed
    row = {**WHOLE, "send_end": 75}
    (attempt,) = resolve({"attempts": table("attempts", [row])}, trial()).attempts
    assert "wait" not in phases(attempt)
    assert phases(attempt)["send"] == 51


def test_stamps_that_run_backwards_are_told() -> None:
    # a broken order is a fault of the timeline, named and counted
    line = resolve({"attempts": table("attempts", [{**WHOLE, "last_byte": 60}])}, trial())
    assert line.faults == ("first_byte after last_byte in 1 attempts",)


def test_backwards_compares_with_the_latest_before() -> None:
    # a stamp that was not observed does not hide a later one that runs backwards
    missing = timelines.MISSING
    columns = {"a": np.array([5, 5]), "b": np.array([missing, 6]), "c": np.array([4, 7])}
    assert backwards(columns, ("a", "b", "c")) == {("b", "c"): 1}


def test_missing_tables_give_an_empty_timeline() -> None:
    # a trial whose columns are gone still resolves
    line = resolve({}, trial(not_observed={"everything": "killed"}))
    assert line.attempts == ()
    assert line.iterations is None
    assert line.not_observed == {"everything": "killed"}


ORDER = [
    "created",
    "first_run",
    "enqueued",
    "assigned",
    "resumed",
    "send_start",
    "send_end",
    "first_byte",
    "headers",
    "last_byte",
    "body",
    "decoded",
    "done",
]


@given(st.lists(st.integers(0, 50 * MS), min_size=len(ORDER), max_size=len(ORDER)), st.sets(st.sampled_from(ORDER[1:-1])), st.booleans())
def test_phases_add_up_to_the_request(gaps: list[int], unseen: set[str], linked: bool) -> None:
    # whatever was observed: phases are in order, leave no gap, and Σ phases = done - created
    times = dict(zip(ORDER, (np.cumsum(gaps) / MS).tolist(), strict=True))
    row = {"t0": 0.001, "request": 1, "connection": 1, **{name: at for name, at in times.items() if name not in unseen}}
    tables = {"attempts": table("attempts", [row])}
    if linked:
        tables["connections"] = table("connections", [LINK])
    (attempt,) = resolve(tables, trial(1000)).attempts
    assert all(phase.name in PHASES for phase in attempt.phases)
    assert all(a.end_ns == b.start_ns for a, b in zip(attempt.phases, attempt.phases[1:], strict=False))
    assert sum(p.end_ns - p.start_ns for p in attempt.phases) == attempt.stamps["done"] - attempt.stamps["created"]


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1000)), min_size=1, max_size=30), st.integers(0, 40_000), st.integers(0, 40_000)
)
def test_idle_time_is_additive_and_bounded(steps: list[tuple[int, int]], a: int, b: int) -> None:
    # idle(a, c) = idle(a, b) + idle(b, c), never more than the stretch itself
    at, rows = 0, []
    for run, poll in steps:
        rows.append((BASE + (at << 7), poll, 1))
        at += run + poll
    made = np.array(rows, dtype=[("t0", "<u8"), ("poll", "<u4"), ("thread", "<u4")])
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


lives = st.lists(st.integers(0, 99), min_size=1, max_size=20)


@given(lives)
def test_generated_lives_are_legal(choices: list[int]) -> None:
    # every walk through the transition table is a legal life, and a step that the table does not have is told
    state, order = "", []
    for choice in choices:
        following = sorted(MAY_FOLLOW[state])
        state = following[choice % len(following)]
        order.append(state)
        if state == "done":
            break
    assert legal(order) is None
    assert legal([*order, "due"]) is not None


def test_names_agree_with_the_schema() -> None:
    # stamps and flags are spelled once in the instruments and once in the analysis, and must be the same
    assert timelines.STAMPS == schema.ATTEMPT_STAMPS
    assert timelines.LINK_STAMPS == schema.CONNECTION_STAMPS
    assert list(timelines.FLAGS) == list(schema.FLAGS)
    assert [schema.FLAGS[name] for name in timelines.FLAGS] == [1 << bit for bit in range(len(timelines.FLAGS))]
    assert set(MAY_FOLLOW) - {""} == set(schema.ATTEMPT_STAMPS)
