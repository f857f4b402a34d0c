"""The critical path covers the trial exactly, finds who waited for whom, and charges what binds: hand-made cases with known answers, and laws."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from path_parts import MS, hops, life, line, ns, sleeping, spent
from raw_tables import BASE, table, trial

from loopdiag.analysis.critical_path import path
from loopdiag.analysis.ledger import trial_ledger
from loopdiag.analysis.timelines import resolve
from loopdiag.model.events import PHASES
from loopdiag.model.ledger import Step
from loopdiag.model.scenario import Workload
from loopdiag.model.timeline import Attempt, Connection, Iterations, Jobs, Pause, Phase, Timeline


def fetched(request: int, times: tuple[float, float, float, float], connection: int) -> Attempt:
    """A request that is made, gets a connection and is sent, has its first byte, and is done at these times."""
    begin, sent, answered, done = times
    phases = [("pool", sent), ("send", sent + 0.1), ("wait", answered), ("receive", answered), ("finish", done)]
    marks = {"assigned": sent, "send_start": sent, "first_byte": answered, "last_byte": answered, "released": answered}
    return life(request, begin, phases, marks, connection=connection)


def test_a_limit_shows_as_waves_of_the_server() -> None:
    # four requests of 100 ms and two connections: the total is two waves of waiting for the server, and the path goes through the pool once
    first = [fetched(i, (0, 0.5, 100, 100.5), i) for i in (1, 2)]
    second = [fetched(i + 2, (0, 100.2, 200, 200.5), i) for i in (1, 2)]
    steps = path(line(200.6, [*first, *second], sleeping(200.6, (0.6, 100), (100.5, 200))))
    assert hops(steps) == ["pool"]
    assert spent(steps)["server"] == pytest.approx(199, abs=0.5)
    assert spent(steps)["loop"] == pytest.approx(1.6, abs=0.5)


def test_a_saturated_loop_is_charged_and_the_server_is_not() -> None:
    # the loop never sleeps: that answers took 50 ms of the outside too did not cost anything, even where that was most of a wait
    rows = [fetched(i, (0, i, 60 + i, 61 + i), i) for i in range(1, 11)]
    rows = [replaced(row, server_received_ns=ns(i + 1), server_answered_ns=ns(i + 55)) for i, row in enumerate(rows, 1)]
    assert spent(path(line(71, rows, sleeping(71)))) == {"loop": 71}


def test_cpu_that_overlaps_with_waiting_is_not_charged() -> None:
    # other requests keep the loop busy for 600 ms, and the critical one waits for the server for 1000
    slow = fetched(1, (0, 0.1, 1000, 1000.1), 1)
    rows = [slow, *(fetched(i, (0, i, 500 + i, 501 + i), i) for i in range(2, 100))]
    found = spent(path(line(1000.1, rows, sleeping(1000.1, (600, 1000)))))
    assert found["server"] == pytest.approx(999.5, abs=0.6)


def test_a_blocked_loop_is_charged_from_when_the_answer_was_ready() -> None:
    # the answer came after 50 ms, and was read after 250, because a callback held the loop
    row = replaced(fetched(1, (0, 0.1, 250, 250.1), 1), server_received_ns=ns(0.3), server_answered_ns=ns(50))
    found = spent(path(line(250.1, [row], sleeping(250.1, (0.3, 50)))))
    assert found == {"server": pytest.approx(49.9, abs=0.3), "loop": pytest.approx(200.2, abs=0.3)}


def test_between_overlap_and_saturation_the_greater_gain_gets_more() -> None:
    # the more the loop slept in a wait, the more of it is the server's; the more late it read the answer, the less
    def server(slept: float, answered: float) -> float:
        row = replaced(fetched(1, (0, 0.1, 100, 100.1), 1), server_received_ns=ns(0.2), server_answered_ns=ns(answered))
        return spent(path(line(100.1, [row], sleeping(100.1, (40, 40 + slept))))).get("server", 0)

    assert server(1, 90) < server(10, 90) < server(30, 90)
    assert server(10, 70) < server(10, 90) < server(10, 99)


@pytest.mark.parametrize("late", [0.1, 5, 20])
def test_without_a_witness_the_loop_bounds_when_an_answer_was_ready(late: float) -> None:
    # iterations alone: the poll before the last one did not report the answer, so it came later; both steps carry the bounds
    loop = Iterations(start_ns=(0, ns(10), ns(50)), poll_ns=(ns(1), ns(30), 0), run_ns=(ns(9), ns(10), ns(late + 1)), ready=(0, 0, 1))
    row = fetched(1, (0, 0.1, 50 + late, 50 + late), 1)
    steps = path(line(50 + late, [row], loop))
    server = next(step for step in steps if step.account == "server")
    assert server.least_ns is not None
    assert server.most_ns is not None
    assert server.least_ns <= server.end_ns - server.start_ns <= server.most_ns
    assert server.most_ns <= ns(50)
    assert server.least_ns >= ns(30)  # it slept so long


def test_without_iterations_waiting_is_the_outsides() -> None:
    # nothing tells whether the loop was late
    row = fetched(1, (0, 1, 100, 101), 1)
    assert spent(path(line(101, [row]))) == {"loop": 2.1, "server": 98.9}


def test_workers_are_hops() -> None:
    # two workers with three requests each: each was created when the one before it ended
    rows = [fetched(2 * k + i, (100 * k, 100 * k + 0.1, 100 * k + 99.9, 100 * (k + 1)), i) for k in range(3) for i in (1, 2)]
    sleeps = [(100 * k + 0.3, 100 * k + 99.8) for k in range(3)]
    steps = path(line(300, rows, sleeping(300, *sleeps)), Workload(concurrency=2))
    assert hops(steps) == ["worker", "worker"]
    assert spent(steps)["server"] == pytest.approx(299, abs=1)


def test_who_waits_for_a_thread_goes_through_whoever_had_it() -> None:
    # two threads, four requests that were all created at once, and no loop: the path goes on with the one that ended so that the next could begin
    rows = [life(n, 0, [("start", 10 * (n // 2)), ("send", 10 * (n // 2) + 1), ("wait", 10 * (n // 2) + 10)]) for n in range(4)]
    steps = path(line(20, rows))
    assert hops(steps) == ["worker"]
    assert spent(steps)["server"] == pytest.approx(18, abs=0.1)


def test_a_schedule_is_pacing() -> None:
    # an open workload: what comes before a request is due is nobody's wait
    rows = [life(i, 100.0 * i, [("start", 100 * i + 0.2), ("send", 100 * i + 0.3), ("wait", 100 * i + 20)]) for i in range(4)]
    steps = path(line(320, rows, sleeping(320, *((100 * i + 0.5, 100 * i + 19.9) for i in range(4)))), Workload(kind="open", rate_per_s=10))
    assert spent(steps)["pacing"] == 300
    assert hops(steps) == ["schedule"]


def test_who_waits_on_a_connection_goes_through_its_opener() -> None:
    # HTTP/2: the second request waits until the first one has set the connection up
    link = Connection(number=1, request=1, requests=2, stamps={"tls_start": ns(1), "tls_end": ns(30), "made": ns(30)}, tls_cpu_ns=ns(2))
    opener = life(1, 0, [("start", 1), ("ssl", 30), ("resume", 30.1), ("send", 30.2), ("wait", 40)], connection=1)
    other = life(2, 0, [("start", 1), ("shared", 30), ("resume", 30.2), ("send", 30.3), ("wait", 90)], connection=1)
    steps = path(line(90, [opener, other], sleeping(90, (2, 29), (30.5, 90)), connections=(link,)))
    assert hops(steps) == ["connection"]
    assert spent(steps)["ssl"] == pytest.approx(27, abs=0.1)  # without 2 ms of this side's own CPU, half of it at each end


def test_who_waits_for_a_stream_goes_through_its_holder() -> None:
    # one connection, one stream at a time
    holder = life(1, 0, [("send", 0.2), ("wait", 50)], {"released": 50}, connection=1)
    waiter = life(2, 0, [("stream", 50.1), ("send", 50.2), ("wait", 100)], {"released": 100}, connection=1)
    steps = path(line(100, [holder, waiter], sleeping(100, (0.3, 50), (50.3, 100))))
    assert hops(steps) == ["stream"]
    assert spent(steps)["server"] == pytest.approx(99.5, abs=0.3)


def test_a_stream_is_free_before_its_holder_says_so() -> None:
    # the waiter goes on once the answer was read; that the stream is released is said after that
    holder = life(1, 0, [("send", 0.2), ("wait", 49), ("handover", 50.6)], {"first_byte": 49, "released": 50.5}, connection=1)
    waiter = life(2, 0, [("stream", 50.1), ("send", 50.2), ("wait", 100)], {"released": 100}, connection=1)
    steps = path(line(100, [holder, waiter], sleeping(100, (0.3, 48.9), (50.3, 100))))
    assert hops(steps) == ["stream"]
    assert spent(steps).get("unexplained", 0) == 0


def test_a_pool_that_only_took_its_time_is_the_loops() -> None:
    # nobody released anything before: no limit bound, the pool was slow
    row = life(1, 0, [("pool", 30), ("send", 30.1), ("wait", 80)], {"assigned": 30}, connection=1)
    steps = path(line(80, [row], sleeping(80, (30.2, 80))))
    assert hops(steps) == []
    assert spent(steps)["loop"] == pytest.approx(30.1, abs=0.2)


def test_an_idle_wait_in_the_pool_is_unexplained() -> None:
    # a slot was free, the loop slept, and yet the request was not given it: nothing shows why
    first = fetched(1, (0, 0.1, 20, 20.1), 1)
    second = life(2, 0, [("pool", 50), ("send", 50.1), ("wait", 80)], {"assigned": 50}, connection=1)
    steps = path(line(80, [first, second], sleeping(80, (0.2, 20), (20.5, 49.5), (50.2, 80))))
    assert spent(steps)["unexplained"] == 29


def test_executors_and_look_ups_tell_waiting_from_working() -> None:
    # a look-up waited 20 ms for a thread and took 10; another call kept the request for 40 after its answer
    row = life(1, 0, [("prepare", 1), ("dns", 31.2), ("connect", 32), ("send", 32.1), ("wait", 60), ("finish", 70), ("unattributed", 101)])
    jobs = Jobs(queued_ns=(ns(1), ns(60.5)), started_ns=(ns(21), ns(70)), ended_ns=(ns(31), ns(100.5)), threads=(1, 1))
    loop = sleeping(101, (1.2, 31), (32.2, 59.9), (60.6, 100.6))
    found = spent(path(line(101, [row], loop, jobs=jobs)))
    assert found["dns"] == pytest.approx(10, abs=0.3)
    assert found["executor"] == pytest.approx(20 + 40, abs=0.3)
    assert "unexplained" not in found


def test_a_pause_before_another_attempt_is_a_sleep() -> None:
    # a refused request waits for its Retry-After, and is made again
    refused = life(1, 0, [("send", 0.1), ("wait", 10), ("finish", 10.5), ("unattributed", 110)], status=429)
    again = life(1, 110, [("send", 110.1), ("wait", 120)], number=1, status=200)
    found = spent(path(line(120, [refused, again], sleeping(120, (0.2, 9.9), (10.5, 110), (110.2, 119.9)))))
    assert found["sleep"] == 99.5


def test_a_trial_without_attempts_is_unexplained() -> None:
    # there is nothing to walk through
    assert spent(path(line(10, []))) == {"unexplained": 10}


def test_a_circle_ends() -> None:
    # two requests that each claim to have been released by the other: what cannot be is not explained, and the walk ends
    rows = [
        life(1, 0, [("pool", 50), ("wait", 60)], {"released": 40, "done": 60}, connection=1),
        life(2, 0, [("pool", 40), ("wait", 45)], {"released": 50, "done": 45}, connection=1),
    ]
    steps = path(line(60, rows, sleeping(60)))
    assert steps[0].start_ns == 0
    assert sum(step.end_ns - step.start_ns for step in steps) == ns(60)


def test_the_servers_stamps_come_to_their_attempts() -> None:
    # one answer to each attempt that was sent, on the same clock; a row that contradicts the client's stamps is not used, nor one of the warm-up
    rows = [
        {"t0": 1, "request": 1, "created": 1, "send_start": 2, "first_byte": 30, "done": 31},
        {"t0": 1, "request": 2, "created": 1, "send_start": 2, "first_byte": 30, "done": 31},
        {"t0": 1, "request": 3, "created": 1, "send_start": 2, "first_byte": 30, "done": 31},
    ]
    names = ("request", "received_ns", "begun_ns", "ended_ns")
    served = np.array(
        [
            (1, BASE - 50 * MS, BASE - 40 * MS, BASE - 39 * MS),
            (1, BASE + 3 * MS, BASE + 29 * MS, BASE + 29 * MS + 5),
            (2, BASE + 3 * MS, 0, 0),
            (3, BASE + 1 * MS, BASE + 29 * MS, BASE + 29 * MS),
        ],
        dtype=[(name, "<u8") for name in names],
    )
    timeline = resolve({"attempts": table("attempts", rows), "server_requests": served}, trial())
    stamps = [(row.server_received_ns, row.server_answered_ns, row.server_ended_ns) for row in timeline.attempts]
    assert stamps == [(3 * MS, 29 * MS, 29 * MS + 5), (3 * MS, None, None), (None, None, None)]


def replaced(row: Attempt, **more: int) -> Attempt:
    """The attempt with other fields."""
    return Attempt(request=row.request, connection=row.connection, stamps=row.stamps, phases=row.phases, **more)  # type: ignore[arg-type] # stamps


def covered(steps: tuple[Step, ...], total_ns: int) -> None:
    """Hold that the steps cover the trial without gap or overlap, and that their bounds contain them."""
    bounds = [(step.start_ns, step.end_ns) for step in steps]
    assert [0, *(end for _, end in bounds)] == [*(start for start, _ in bounds), total_ns]
    assert all(start < end for start, end in bounds)
    for step in steps:
        length = step.end_ns - step.start_ns
        assert step.least_ns is None or step.least_ns <= length
        assert step.most_ns is None or step.most_ns >= length


TIMES = st.integers(0, 2_000_000)
NAMES = tuple(PHASES)


@st.composite
def attempts(draw: st.DrawFn, request: int) -> Attempt:
    """Any attempt that the model allows: phases without gap in any order, stamps that may contradict them."""
    edges = sorted(draw(st.lists(TIMES, min_size=2, max_size=8)))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=len(edges) - 1, max_size=len(edges) - 1))
    marks = st.sampled_from(("created", "assigned", "released", "last_byte", "body", "done", "rx_kernel", "rx_last"))
    stamps = draw(st.dictionaries(marks, TIMES, max_size=5))
    server = draw(st.none() | st.tuples(TIMES, TIMES))
    return Attempt(
        request=request,
        number=draw(st.integers(0, 1)),
        connection=draw(st.none() | st.integers(1, 3)),
        status=draw(st.sampled_from((200, 429))),
        stamps=stamps,
        phases=tuple(Phase(name=name, start_ns=a, end_ns=b) for name, (a, b) in zip(names, pairwise(edges), strict=True) if b > a),
        server_received_ns=server and server[0],
        server_answered_ns=server and server[1],
    )


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """Any timeline: a loop or none, connections, calls, pauses."""
    rows = [draw(attempts(request)) for request in range(1, draw(st.integers(1, 6)) + 1)]
    edges = sorted(draw(st.lists(TIMES, max_size=20, unique=True)))
    polls = [draw(st.integers(0, b - a)) for a, b in pairwise(edges)]
    loop = Iterations(
        start_ns=tuple(edges[:-1]),
        poll_ns=tuple(polls),
        run_ns=tuple(b - a - poll for (a, b), poll in zip(pairwise(edges), polls, strict=True)),
        ready=tuple(draw(st.integers(0, 1)) for _ in polls),
    )
    calls = [sorted(draw(st.tuples(TIMES, TIMES, TIMES))) for _ in range(draw(st.integers(0, 4)))]
    queued, started, ended = zip(*calls, strict=True) if calls else ((), (), ())
    return line(
        draw(st.integers(1, 2_000_000)) / MS,
        rows,
        draw(st.sampled_from((None, loop))),
        connections=tuple(
            Connection(
                number=number, request=draw(st.integers(1, 6)), stamps={"made": draw(TIMES)}, tls_cpu_ns=draw(st.integers(0, 500_000))
            )
            for number in (1, 2)
        ),
        jobs=Jobs(queued_ns=queued, started_ns=started, ended_ns=ended, threads=(1,) * len(calls)),
        pauses=tuple(Pause(start_ns=at, length_ns=1000, generation=0) for at in sorted(draw(st.lists(TIMES, max_size=3)))),
    )


@settings(deadline=None, max_examples=300)
@given(timelines(), st.sampled_from((None, Workload(concurrency=2), Workload(kind="open", rate_per_s=5.0))))
def test_steps_cover_any_trial_and_charges_add_up(timeline: Timeline, workload: Workload | None) -> None:
    # whatever the stamps say: no gap, no overlap, and every nanosecond is charged once
    steps = path(timeline, workload)
    covered(steps, timeline.total_ns)
    ledger = trial_ledger(timeline, steps, {"pool": 0.3, "user": 0.7})
    assert sum(ledger.charges.values()) == timeline.total_ns
    assert all(charge >= 0 for charge in ledger.charges.values())
    assert all(ledger.least[account] <= ledger.charges[account] <= ledger.most[account] for account in ledger.least)
