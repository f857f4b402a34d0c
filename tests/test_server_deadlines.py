"""Calls at exact times: none early, all in order, on both kinds of alarm and loop."""

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

import pytest
import uvloop

from loopdiag.lab.servers import deadlines
from loopdiag.lab.servers.deadlines import Deadlines

MS = 1_000_000
LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}


@pytest.fixture(params=["timerfd", "loop"])
def alarm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which alarm; the loop's stands in where the C library has no timerfd."""
    if request.param == "loop":

        def none(*_: object) -> None:
            raise AttributeError("timerfd_create")

        monkeypatch.setattr(deadlines, "TimerFd", none)
    return str(request.param)


@pytest.mark.parametrize("loop", LOOPS)
def test_no_call_is_early_and_all_are_in_order(alarm: str, loop: str) -> None:
    # whatever the order of asking: at its time or later, the earlier due first, those due together as they were asked for
    async def run() -> None:
        made: list[tuple[int, int, int]] = []
        ended = asyncio.Event()
        queue = Deadlines(asyncio.get_running_loop())
        assert type(queue._alarm).__name__ == ("TimerFd" if alarm == "timerfd" else "LoopAlarm")
        start = perf_counter_ns()
        offsets = [7 * MS, 3 * MS, 3 * MS, 9 * MS, -5 * MS, 300_000, 7 * MS, 0]

        def call(number: int, due: int) -> Callable[[], None]:
            def note() -> None:
                made.append((due, number, perf_counter_ns()))
                if len(made) == len(offsets):
                    ended.set()

            return note

        for number, offset in enumerate(offsets):
            queue.at(start + offset, call(number, start + offset))
        await asyncio.wait_for(ended.wait(), 20)
        queue.close()
        assert all(now >= due for due, _, now in made)
        assert [(due, number) for due, number, _ in made] == sorted((start + offset, number) for number, offset in enumerate(offsets))

    LOOPS[loop](run())


def test_a_call_may_ask_for_the_next(alarm: str) -> None:
    # a chain of a hundred calls that are due at once ends
    async def run() -> None:
        queue = Deadlines(asyncio.get_running_loop())
        ended, count = asyncio.Event(), 0

        def again() -> None:
            nonlocal count
            count += 1
            if count == 100:
                ended.set()
            else:
                queue.at(perf_counter_ns(), again)

        queue.at(0, again)
        await asyncio.wait_for(ended.wait(), 20)
        queue.close()

    assert alarm
    uvloop.run(run())


def test_nothing_is_called_after_the_end(alarm: str) -> None:
    # closing forgets what is queued
    async def run() -> None:
        made: list[int] = []
        queue = Deadlines(asyncio.get_running_loop())
        queue.at(perf_counter_ns() + MS, lambda: made.append(1))
        queue.close()
        await asyncio.sleep(0.005)
        assert not made

    assert alarm
    uvloop.run(run())
