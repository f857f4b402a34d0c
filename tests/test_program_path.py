"""The critical path goes through a program's own tasks and what they waited for: hand-made programs with known answers, and laws over random ones."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from path_parts import hops, life, ns, spent
from program_parts import Program, batched, paced, semaphored, serial, threaded

from loopdiag.analysis.critical_path import path
from loopdiag.analysis.ledger import trial_ledger
from loopdiag.model.program import WAITS


@pytest.mark.parametrize(
    ("program", "account", "share", "via", "times"),
    [
        (semaphored(12, 3), "server", 0.95, "semaphore", 3),
        (semaphored(6, 1, "lock"), "server", 0.95, "lock", 5),
        (semaphored(12, 3, "limiter"), "server", 0.95, "semaphore", 3),
        (serial(8), "server", 0.95, "serial", 7),
        (batched(12, 3), "server", 0.95, "batch", 3),
        (paced(6), "sleep", 0.85, "", 0),
        (threaded(12, 3), "server", 0.9, "executor", 3),
    ],
    ids=["semaphore", "lock", "limiter", "serial", "batch", "paced", "executor"],
)
def test_the_path_goes_through_whoever_was_waited_for(program: Program, account: str, share: float, via: str, times: int) -> None:
    # waves of a bound are hops through it, each with its own wait for the server; a sleep is charged as such
    steps = path(program.timeline())
    assert spent(steps).get(account, 0) >= share * program.total
    assert spent(steps).get("unexplained", 0) <= 0.02 * program.total
    assert [hop for hop in hops(steps) if hop == via] == [via] * times


def test_a_batch_waits_for_its_slowest() -> None:
    # of each batch, the path takes the request of 10 ms, never one of 6
    steps = path(batched(12, 3).timeline())
    slowest = {3, 6, 9, 12}
    assert {step.request for step in steps if step.request} == slowest


def test_one_gather_over_all_is_one_wave() -> None:
    # everything is waited for at the end: no hop says that anything was made of waves
    steps = path(semaphored(4, 4).timeline())
    assert hops(steps) == []
    assert spent(steps)["server"] > 9


def test_a_sleep_after_the_last_request_is_on_the_path() -> None:
    # the program sleeps for 50 ms at its end
    program = Program(total=60)
    main = program.task(0, 60)
    program.fetch(main, (0, 10))
    program.wait(main, "sleep", (10, 60), value=50_000, at=3)
    program.asleep = [(0, 9.9), (10.1, 59.9)]
    assert spent(path(program.timeline()))["sleep"] == pytest.approx(50, abs=0.5)


def test_a_call_without_a_request_is_the_executors() -> None:
    # each answer is parsed in a thread for 40 ms, which the task waits for
    program = Program(total=50)
    main = program.task(0, 50)
    program.fetch(main, (0, 10))
    program.jobs.append((10, 10.1, 49.9, 1))
    program.wait(main, "executor", (10, 50), number=1, at=3)
    program.asleep = [(0, 9.9), (10.1, 49.9)]
    assert spent(path(program.timeline()))["executor"] == pytest.approx(40, abs=0.5)


def test_what_no_row_shows_is_unexplained_where_the_loop_slept_and_the_loops_where_it_ran() -> None:
    # after its request the task waits for something that nobody recorded, and then computes
    program = Program(total=50)
    main = program.task(0, 50)
    program.fetch(main, (0, 10))
    program.asleep = [(0, 9.9), (10, 30)]
    found = spent(path(program.timeline()))
    assert found["unexplained"] == pytest.approx(20, abs=0.2)
    assert found["loop"] == pytest.approx(20, abs=0.2)


def test_a_worker_that_waits_at_a_queue_leads_to_who_put_it_there() -> None:
    # a producer makes a request of 30 ms, puts its result into a queue, and a consumer makes one of 20 ms from it
    program = Program(total=50)
    main = program.task(0, 50)
    producer, consumer = program.task(0, 30, main), program.task(0, 50, main)
    program.fetch(producer, (0, 30))
    program.wait(consumer, "queue-get", (0, 30), waker=producer)
    program.fetch(consumer, (30, 50))
    program.wait(main, "gather", (0, 50), waker=consumer)
    program.asleep = [(0, 29.9), (30.1, 49.9)]
    steps = path(program.timeline())
    assert [step.request for step in steps if step.account == "server"] == [1, 2]
    assert hops(steps) == ["queue"]


def test_a_task_that_slept_until_its_own_were_done_waited_for_them() -> None:
    # no row says what the main task waited for: two tasks that it made, one after the other, were done while the loop slept
    program = Program(total=50)
    main = program.task(0, 50)
    for begin in (0, 25):
        program.fetch(program.task(begin, begin + 25, main), (begin, begin + 25))
    program.asleep = [(0.1, 24.9), (25.1, 49.9)]
    steps = path(program.timeline())
    assert spent(steps)["server"] == pytest.approx(50, abs=1)
    assert hops(steps) == ["task"]


def test_threads_that_are_no_executors_are_found_by_the_time_of_their_requests() -> None:
    # AnyIO's threads: no call in an executor is known; three waves of two requests, each in one of two threads, for which tasks wait
    program = Program(total=30)
    main = program.task(0, 30)
    for k in range(6):
        begin = 10 * (k // 2)
        task = program.task(0, begin + 10, main)
        program.wait(task, "executor", (begin, begin + 10), number=0, at=8)
        program.fetch(0, (begin + 0.1, begin + 9.9), thread=1 + k % 2)
    program.wait(main, "gather", (0, 30), waker=7)
    program.asleep = [(10.0 * wave, 10.0 * wave + 9.9) for wave in range(3)]
    steps = path(program.timeline())
    assert spent(steps)["server"] == pytest.approx(29.4, abs=0.5)
    assert hops(steps) == ["serial", "serial"]


def test_a_circle_of_wakers_ends_in_time_that_nothing_explains() -> None:
    # two tasks that are each said to have woken the other at the same moment: the path ends, and covers the trial
    program = Program(total=20)
    main = program.task(0, 20)
    a, b = program.task(0, 20, main), program.task(0, 20, main)
    program.wait(a, "event", (0, 20), waker=b)
    program.wait(b, "event", (0, 20), waker=a)
    program.wait(main, "gather", (0, 20), waker=a)
    program.fetch(0, (5, 6))
    steps = path(program.timeline())
    assert (steps[0].start_ns, steps[-1].end_ns) == (0, ns(20))


def test_a_gather_ends_with_whichever_of_its_tasks_was_done_last() -> None:
    # the row names the last of the arguments, as gather's own callback leaves it: the path goes through the one that took longest
    program = Program(total=50)
    main = program.task(0, 50)
    slow, quick = program.task(0, 50, main), program.task(0, 10, main)
    program.fetch(slow, (0, 50))
    program.fetch(quick, (0, 10))
    program.wait(main, "gather", (0, 50), waker=quick)
    program.asleep = [(0.1, 9.9), (10.1, 49.9)]
    steps = path(program.timeline())
    assert {step.request for step in steps if step.request} == {1}
    assert spent(steps).get("unexplained", 0) == 0


def test_a_gather_over_calls_in_an_executor_goes_through_them() -> None:
    # futures of calls have no task: who ends the wait is the call that ended last, and the calls before it made its thread free
    program = Program(total=30)
    main = program.task(0, 30)
    for wave in range(3):
        at = 10.0 * wave
        program.jobs.append((0.0, at + 0.1, at + 9.9, 1))
        program.fetch(0, (at + 0.2, at + 9.8), thread=1, job=wave + 1)
    program.wait(main, "gather", (0.1, 30), at=10)
    program.asleep = [(0.2, 29.9)]
    steps = path(program.timeline())
    assert hops(steps) == ["executor", "executor"]
    assert spent(steps)["server"] == pytest.approx(28.8, abs=0.5)
    assert spent(steps).get("unexplained", 0) == 0


def test_calls_that_ended_long_before_do_not_end_a_wait() -> None:
    # the loop slept for 15 ms after the only call was over: something else ended the wait, and no row says what
    program = Program(total=30)
    main = program.task(0, 30)
    program.jobs.append((0.2, 0.3, 9.9, 1))
    program.fetch(0, (0.4, 9.8), thread=1, job=1)
    program.wait(main, "future", (0.1, 25), at=10)
    program.asleep = [(0.2, 9.9), (10.1, 24.9)]
    assert spent(path(program.timeline()))["unexplained"] > 20


def test_a_connection_that_is_kept_leads_to_who_let_it_go() -> None:
    # request 2 waits for the connection of request 1, whose answer nobody reads, until a task closes it after a sleep of 50 ms
    program = Program(total=60)
    main = program.task(0, 60)
    first, second, closer = program.task(0, 10, main), program.task(0, 60, main), program.task(0, 60, main)
    program.fetch(first, (0, 10))
    kept = {"enqueued": 0, "assigned": 0, "send_start": 0, "headers": 10, "first_byte": 10, "released": 50}
    program.attempts[0] = life(1, 0, [("wait", 10), ("handover", 10.1), ("unattributed", 50)], kept, connection=1)
    program.requests.append((0, 2, second, 0, 0, 0))
    program.attempts.append(life(2, 0, [("pool", 50), ("wait", 60)], {"enqueued": 0, "assigned": 50, "released": 60}, connection=1))
    program.wait(closer, "sleep", (0.1, 49.9), value=49_800)
    program.wait(main, "gather", (0, 60), waker=second)
    program.asleep = [(0.1, 9.9), (10.2, 49.9), (50.2, 59.9)]
    steps = path(program.timeline())
    assert spent(steps)["sleep"] == pytest.approx(49.8, abs=0.5)
    assert spent(steps).get("unexplained", 0) == 0


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Any rows at all, also ones that contradict each other."""
    moments = st.floats(min_value=0, max_value=100, allow_nan=False).map(lambda at: round(at, 3))
    spans = st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair)))
    program = Program(total=100)
    for _ in range(draw(st.integers(1, 5))):
        begin, end = draw(spans)
        program.task(begin, end, draw(st.integers(0, len(program.tasks))))
    tasks = st.integers(1, len(program.tasks))
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(WAITS))
        program.wait(
            draw(tasks),
            kind,
            draw(spans),
            waker=draw(st.integers(0, len(program.tasks))),
            number=draw(st.integers(0, 3)),
            value=draw(st.integers(0, 3)),
        )
    for _ in range(draw(st.integers(0, 3))):
        queued, started, ended = sorted((draw(moments), draw(moments), draw(moments)))
        program.jobs.append((queued, started, ended, 2))
    for _ in range(draw(st.integers(1, 6))):
        begin, end = draw(spans)
        program.fetch(
            draw(st.integers(0, len(program.tasks))),
            (begin, end + 0.1),
            thread=draw(st.integers(0, 2)),
            job=draw(st.integers(0, len(program.jobs))),
        )
    program.asleep = sorted(draw(st.lists(spans, max_size=1)))
    return program


@settings(max_examples=150, deadline=None)
@given(programs())
def test_whatever_the_rows_say_every_instant_is_charged_once(program: Program) -> None:
    # the steps cover the trial without gap or overlap, and the ledger adds up
    made = program.timeline()
    steps = path(made)
    assert (steps[0].start_ns, steps[-1].end_ns) == (0, made.total_ns)
    assert all(a.end_ns == b.start_ns for a, b in pairwise(steps))
    assert sum(trial_ledger(made, steps).charges.values()) == made.total_ns
