"""Sleeps that wait for a condition, told from sleeps that pace: by the block around them, else by what is begun between them."""

import pytest
from msgspec.structs import replace
from program_parts import Program, paced
from program_truths import polled

from loopdiag.analysis.program_polls import polls
from loopdiag.model.program import Place
from loopdiag.model.timeline import Timeline


def blocked_by(line: Timeline, number: int, block: int, text: str) -> Timeline:
    """The timeline with the block around one line of the program."""
    assert line.activity is not None
    places = list(line.activity.places)
    places[number] = replace(places[number], block=block, block_text=text)
    return replace(line, activity=replace(line.activity, places=tuple(places)))


def single(n: int) -> Timeline:
    """N requests of 6 ms that are begun in line 18, each waited for by one sleep of 50 ms in line 20."""
    program = Program(total=50.0 * n)
    main = program.task(0, 50 * n)
    for k in range(n):
        program.fetch(program.task(50.0 * k, 50.0 * k + 6, main, at=18), (50.0 * k, 50.0 * k + 6), at=12)
        program.wait(main, "sleep", (50.0 * k, 50.0 * k + 50), value=50_000, at=20)
    program.asleep = [(50.0 * k, 50.0 * k + 49.9) for k in range(n)]
    return program.timeline()


@pytest.mark.parametrize(
    ("block", "text", "found"),
    [
        (19, "while not task.done():", True),
        (17, "while numbers:", False),  # the requests are begun inside of it
        (19, "while True:", False),  # a condition that never ends says nothing, and no sleep follows another
        (17, "for i in range(n):", False),
        (0, "", False),
    ],
)
def test_a_sleep_whose_loop_has_a_condition_polls(block: int, text: str, found: bool) -> None:
    # the loop around the sleep has a condition, and begins nothing itself
    assert bool(polls(blocked_by(single(6), 20, block, text))) == found


def test_sleeps_in_a_row_poll() -> None:
    # where the code is not to be had, sleeps that follow one another with nothing begun between are looks
    (poll,) = polls(polled(5))
    assert poll.place == Place(file="/home/me/client.py", line=20)
    assert poll.interval_ns == 50_000_000
    assert poll.sleeps == 10
    assert poll.late_ns == 5 * 44_000_000


def test_sleeps_between_requests_pace() -> None:
    # something is begun between any two of them
    assert polls(paced(6).timeline()) == ()


def test_no_activity_no_polls() -> None:
    # of a scenario nothing is told
    assert polls(replace(polled(2), activity=None)) == ()
