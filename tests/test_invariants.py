"""What must hold of every recording: whole lives pass, and each planted fault is named with its count."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_tables import BASE, table

from loopdiag.analysis import lives
from loopdiag.analysis.columns import STAMPS
from loopdiag.analysis.invariants import check, legal_pairs
from loopdiag.instruments import schema
from loopdiag.model.events import MAY_FOLLOW, legal

LIFE = {
    "t0": 1, "request": 1, "connection": 1, "status": 200, "due": 0.5, "created": 0.5, "first_run": 1, "enqueued": 2, "assigned": 5, "resumed": 20,
    "send_start": 21, "send_end": 22, "rx_kernel": 70, "first_byte": 72, "headers": 73, "rx_last": 75, "last_byte": 80, "released": 81, "body": 82,
    "decoded": 85, "done": 86,
}  # fmt: skip
LINK = {"t0": 5, "request": 1, "dns_start": 5, "dns_end": 8, "tcp_start": 8, "tcp_end": 10, "tls_start": 10, "tls_end": 19, "made": 19.5}
LOOP = {"t0": 1, "poll": 3, "run": 2, "thread": 1}


def faults(*attempts: Mapping[str, float], links: Any = (LINK,), loop: Any = (LOOP,)) -> tuple[str, ...]:
    """What `check` says about these rows."""
    return check(
        {"attempts": table("attempts", attempts), "connections": table("connections", links), "iterations": table("iterations", loop)}, BASE
    )


def test_a_sound_recording_has_no_fault() -> None:
    # whole lives, retries in turn, an unfinished last iteration, a connection from before the trial, an early answer
    retry = {"t0": 90, "request": 1, "flags": 1 << 16, "enqueued": 90, "done": 91}
    early = {**LIFE, "request": 2, "send_end": 72.5, "rx_kernel": 30, "rx_last": 71, "connection": 2}
    old = {"t0": -10, "made": -9}
    loop = (LOOP, {**LOOP, "t0": 6.1, "poll": 0, "run": 0}, {**LOOP, "t0": 2, "thread": 2}, {"t0": 7})
    assert faults({k: v for k, v in LIFE.items() if k != "done"}, early, retry, links=(LINK, old), loop=loop) == ()
    assert check({}, BASE) == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"last_byte": 71}, "first_byte after last_byte in 2 attempts"),
        ({"resumed": 4}, "assigned after resumed in 2 attempts"),
        ({"rx_kernel": 72.5}, "rx_kernel after first_byte in 2 attempts"),
        ({"rx_last": 81}, "rx_last after last_byte in 2 attempts"),
        ({"send_end": 83}, "send_end may not follow body, but does in 2 attempts"),
        ({"headers": 21.5}, "send_end may not follow headers, but does in 2 attempts"),
        ({"released": 3}, "assigned may not follow released, but does in 2 attempts"),
        ({"connection": 7}, "a connection that is not there in 2 attempts"),
        ({"flags": 2 << 16}, "numbered out of turn: 2 attempts"),
        ({"done": 0.1}, "Σ phases is not done - created in 2 requests"),
    ],
)
def test_a_broken_attempt_is_told(change: dict[str, float], rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # one line a rule, counted over all rows, in whatever pieces they are worked on
    monkeypatch.setattr(lives, "CHUNK", 2)
    sound = [{**LIFE, "request": number} for number in (1, 2, 3)]
    assert rule in faults(*sound, {**LIFE, **change, "request": 4}, {**LIFE, **change, "request": 5})


def test_two_rows_of_one_number_are_told() -> None:
    # a request that is seen twice as a first attempt is not one of two attempts
    assert "numbered out of turn: 1 attempts" in faults(LIFE, LIFE)


@pytest.mark.parametrize(
    ("links", "rule"),
    [
        (({**LINK, "tcp_end": 7.5},), "tcp_start after tcp_end in 1 connections"),
        (({**LINK, "made": 10},), "tls_end after made in 1 connections"),
        (({**LINK, "made": 21.5},), "sent before the connection was made in 1 attempts"),
        ((), "a connection that is not there in 1 attempts"),
    ],
)
def test_a_broken_connection_is_told(links: Any, rule: str) -> None:
    # a set-up goes in its order, and nothing is sent before it is over
    assert rule in faults(LIFE, links=links)


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        (({**LOOP, "t0": 50}, {**LOOP, "t0": 40}), "iterations out of order: 1"),
        (({**LOOP, "run": 20}, {**LOOP, "t0": 12}), "iterations that overlap the next: 1"),
    ],
)
def test_a_broken_loop_is_told(rows: Any, rule: str) -> None:
    # iterations of a loop follow each other; those of another loop do not matter
    assert faults(loop=rows) == (rule,)
    assert faults(loop=[{**row, "thread": number} for number, row in enumerate(rows, start=1)]) == ()


@given(st.lists(st.integers(0, 99), min_size=1, max_size=12), st.booleans())
@settings(deadline=None)
def test_legality_is_the_transition_tables(choices: list[int], strays: bool) -> None:
    # for stamps at different times, the check over columns says what `legal` says
    state, order = "", []
    for choice in choices:
        options = sorted(set(MAY_FOLLOW) - {""} - set(order) if strays else MAY_FOLLOW[state] - set(order))
        if not options:
            break
        state = options[choice % len(options)]
        order.append(state)
    life = {"t0": 1, "request": 1, **{name: 1 + at for at, name in enumerate(order)}}
    lines = [line for line in faults(life) if "may not follow" in line]
    read = {"rx_kernel": "first_byte", "rx_last": "last_byte"}
    if not any(late in life and own in life and life[late] > life[own] for late, own in read.items()):
        assert bool(lines) is (legal(order) is not None)


def test_the_names_are_the_schemas() -> None:
    # a rule about a stamp that is not recorded could not fail
    from loopdiag.analysis import invariants

    assert set(invariants.MONOTONE) <= set(schema.ATTEMPT_STAMPS)
    assert set(invariants.LINK_MONOTONE) <= set(schema.CONNECTION_STAMPS)


@pytest.mark.parametrize(
    ("before", "after", "unseen", "legal"),
    [
        ("resumed", "first_byte", (), False),
        ("resumed", "first_byte", ("send_start",), True),
        ("resumed", "headers", ("send_start", "first_byte"), True),
        ("enqueued", "first_byte", ("send_start",), False),
        ("enqueued", "first_byte", ("send_start", "resumed", "assigned"), True),
    ],
)
def test_what_is_not_observed_may_lie_between(before: str, after: str, unseen: tuple[str, ...], legal: bool) -> None:
    # an order is legal where stamps that could not be observed can stand between the two
    assert bool(legal_pairs(frozenset(unseen))[STAMPS.index(before), STAMPS.index(after)]) is legal
