"""Which requests are made when, on virtual time and with clients that do as they are told."""

import asyncio
import gc
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopdiag.lab.clients import Answer
from loopdiag.lab.loops.virtual import VirtualTimeLoop
from loopdiag.lab.workload import Outcome, Work, decode_all
from loopdiag.model.scenario import Workload


class Scripted:
    """A client that does what `play` says and notes when each request began and how many were in flight."""

    kinds: dict[str, str] = {}

    def __init__(self, play: Callable[[int], Any]) -> None:
        self._play = play
        self.begun_ns: list[int] = []
        self.in_flight = self.at_most = 0

    async def fetch(self, url: str) -> Answer:
        """Do as the script says."""
        self.begun_ns.append(asyncio.get_running_loop().now_ns())  # type: ignore[attr-defined] # the virtual loop's
        self.in_flight += 1
        self.at_most = max(self.at_most, self.in_flight)
        try:
            answer = self._play(int(url))
            if isinstance(answer, float):
                await asyncio.sleep(answer)
                return Answer(200, b"{}")
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[no-any-return] # an Answer, as the table says
        finally:
            self.in_flight -= 1


def run(workload: Workload, n: int, play: Callable[[int], Any], *, seed: int = 1) -> tuple[Outcome, Scripted]:
    """Run a workload; the client, the outcome."""
    client = Scripted(play)

    async def main() -> Outcome:
        clock = asyncio.get_running_loop().now_ns  # type: ignore[attr-defined] # the virtual loop's
        urls = [str(i) for i in range(1, n + 1)]
        return await Work(client, urls, workload, clock=clock, arrivals=Random(seed), marks=None).run()  # type: ignore[arg-type] # a client as far as it goes

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main()), client


def test_all_at_once_begins_all_before_any_ends() -> None:
    # A closed workload without a concurrency has all N in flight, and lasts as long as the slowest.
    outcome, client = run(Workload(), 50, lambda i: i / 10)
    assert client.at_most == 50
    assert outcome.t1_ns - outcome.t0_ns == 5 * 10**9
    assert outcome.errors == {}


@given(n=st.integers(1, 40), workers=st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_c_workers_keep_c_in_flight(n: int, workers: int) -> None:
    # c workers make every request once, have never more than c in flight, and need ⌈N/c⌉ times as long.
    outcome, client = run(Workload(concurrency=workers), n, lambda _: 1.0)
    assert client.at_most == min(n, workers)
    assert outcome.bodies == [b"{}"] * n
    assert outcome.t1_ns - outcome.t0_ns == -(-n // workers) * 10**9


def test_constant_arrivals_do_not_wait_for_completions() -> None:
    # An open workload begins each request when it is due, however long the ones before it take.
    outcome, client = run(Workload(kind="open", rate_per_s=4), 9, lambda _: 100.0)
    assert [at - outcome.t0_ns for at in client.begun_ns] == [k * 250_000_000 for k in range(9)]
    assert client.at_most == 9


def test_poisson_arrivals_are_the_seeds() -> None:
    # Poisson gaps repeat with their seed, differ with another, and have the stated rate.
    work = Workload(kind="open", rate_per_s=100, arrivals="poisson")
    first, second, other = (run(work, 4000, lambda _: 0.001, seed=seed)[1].begun_ns for seed in (1, 1, 2))
    assert first == second != other
    gaps = [b - a for a, b in pairwise(first)]
    assert sum(gaps) / len(gaps) == pytest.approx(10e6, rel=0.05)
    assert min(gaps) < 1e6
    assert max(gaps) > 3e7


def test_no_request_begins_before_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    # A loop that counts whole milliseconds and rounds them, as uvloop does, wakes early; nothing is begun then.
    call_later = VirtualTimeLoop.call_later

    def rounding(self: VirtualTimeLoop, delay: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        return call_later(self, round(delay * 1e3) / 1e3, *args, **kwargs)

    monkeypatch.setattr(VirtualTimeLoop, "call_later", rounding)
    outcome, client = run(Workload(kind="open", rate_per_s=700), 50, lambda _: 1.0)
    late = [at - outcome.t0_ns - round(k / 700 * 1e9) for k, at in enumerate(client.begun_ns)]
    assert min(late) >= 0
    assert max(late) <= 10**6


@pytest.mark.parametrize("workload", [Workload(), Workload(concurrency=2), Workload(kind="open", rate_per_s=10)])
def test_failures_are_counted_and_never_end_the_trial(workload: Workload) -> None:
    # Each failure is one of a kind; the others keep their bodies.
    script = {
        1: TimeoutError(),
        2: ConnectionResetError(),
        3: Answer(404, b""),
        4: Answer(503, b""),
        5: KeyError("odd"),
        6: Answer(204, b""),
    }
    outcome, _ = run(workload, 6, script.__getitem__)
    assert outcome.errors == {"timeout": 1, "reset": 1, "status-4xx": 1, "status-5xx": 1, "KeyError": 1}
    assert outcome.bodies == [None] * 5 + [b""]


def test_decoding_inside_counts_what_is_no_json() -> None:
    # Decoding inside a request makes a bad body that request's failure; decoding afterwards counts it too.
    work = Workload(decode="json", decode_when="inside")
    script = {1: Answer(200, b"{"), 2: Answer(200, b"\xff\xff"), 3: Answer(200, b"[1]")}
    outcome, _ = run(work, 3, script.__getitem__)
    assert outcome.errors == {"decode": 2}
    assert outcome.bodies == [None, None, b"[1]"]
    assert decode_all([b"{", b"\xff\xff", None, b"[1]"]) == {"decode": 2}


def test_the_garbage_collector_is_left_as_it_was() -> None:
    # A workload neither switches the collector nor freezes anything: what it costs is part of the total.
    before = (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count())
    run(Workload(), 100, lambda _: 0.1)
    assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == before
