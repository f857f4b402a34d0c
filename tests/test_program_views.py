"""What causes read of a program: each view of hand-made programs whose answer is known."""

import pytest
from path_parts import life, line, ns
from program_parts import Program, batched, paced, semaphored, serial, threaded

from loopdiag.analysis import program_views as views
from loopdiag.model.program import Made
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm
from loopdiag.model.timeline import Connection, Jobs, Lag, Process


def test_a_semaphore_is_named_with_its_bound_its_line_and_what_passes_it() -> None:
    # nine of twelve waited for a semaphore of three, which the others found free: all passed it, and three are under way at a time
    (found,) = views.behind(semaphored(12, 3).timeline())
    assert (found.kind, found.value, found.waits, found.share, found.in_flight) == ("semaphore", 3, 9, 1.0, 3)
    assert found.place is not None
    assert found.place.name == "client.py:14"


def test_a_lock_holds_one_at_a_time() -> None:
    # a lock is a bound of one
    (found,) = views.behind(semaphored(6, 1, "lock").timeline())
    assert (found.kind, found.value, found.in_flight) == ("lock", 1, 1)


def test_nothing_is_behind_a_primitive_where_nobody_waited() -> None:
    # serial awaits and one gather wait for no primitive
    assert views.behind(serial(6).timeline()) == ()
    assert views.behind(semaphored(4, 4).timeline()) == ()


def test_the_longest_chain_is_of_one_task() -> None:
    # a task that makes all requests, and one that makes one of many
    chain = views.longest_chain(serial(8).timeline())
    assert chain is not None
    assert (len(chain.requests), chain.share, chain.at_once) == (8, 1.0, 1)
    assert chain.place is not None
    assert chain.place.line == 9
    parallel = views.longest_chain(semaphored(4, 4).timeline())
    assert parallel is not None
    assert (len(parallel.requests), parallel.at_once) == (1, 4)


def test_batches_are_told_with_their_sizes_and_what_waiting_for_the_slowest_costs() -> None:
    # of each batch of three two are done after 6 ms and one after 10: the mean is 7.33, so that 2.67 of 10 ms are lost
    found = views.batches(batched(12, 3).timeline())
    assert found is not None
    assert (found.sizes, found.kind, found.share) == ((3, 3, 3, 3), "gather", 1.0)
    assert found.slack == pytest.approx(0.267, abs=0.01)
    assert found.place is not None
    assert found.place.line == 30


@pytest.mark.parametrize(
    "program", [semaphored(12, 3), serial(8), paced(6), threaded(12, 3)], ids=["semaphore", "serial", "paced", "threads"]
)
def test_what_is_no_barrier_has_no_batches(program: Program) -> None:
    # a wait for everything at the end is one batch, and that is none
    assert views.batches(program.timeline()) is None


def test_sleeps_between_requests_are_told_with_their_line_and_their_part_of_the_path() -> None:
    # five sleeps of 20 ms, one after the other, which are nearly all of the path
    (found,) = views.sleeps(paced(6).timeline())
    assert (found.count, found.at_once, found.median_ns) == (5, 1, ns(20))
    assert found.on_path_ns == pytest.approx(ns(100), rel=0.15)
    assert found.place is not None
    assert found.place.line == 5


def test_executors_are_told_by_the_line_that_waits_for_them() -> None:
    # twelve calls that make a request each, in three threads
    (found,) = views.executors(threaded(12, 3).timeline())
    assert (found.calls, found.threads, found.busy, found.with_requests, found.per_request) == (12, 3, 3, 1.0, 1.0)
    assert found.queued_ns == pytest.approx(ns(3 * 10 + 3 * 20 + 3 * 30), rel=0.02)
    assert found.place is not None
    assert found.place.line == 8
    assert views.thread_hops(threaded(12, 3).timeline()) == 1


def test_threads_that_are_no_executors_are_told_by_their_waits() -> None:
    # AnyIO's: four calls, two at a time, of which the later two waited 10 ms for the limiter
    program = Program(total=20)
    main = program.task(0, 20)
    for k in range(4):
        begin = 10 * (k // 2)
        task = program.task(0, begin + 10, main)
        if begin:
            program.wait(task, "limiter", (0, begin), value=2, at=8)
        program.wait(task, "executor", (begin, begin + 10), number=0, at=8)
        program.fetch(0, (begin + 1, begin + 9), thread=1 + k % 2)
    (found,) = views.executors(program.timeline())
    assert (found.calls, found.threads, found.busy, found.with_requests, found.queued_ns) == (4, 2, 2, 1.0, ns(20))
    assert views.thread_hops(program.timeline()) == 1
    assert views.thread_hops(program.timeline(jobs=Jobs())) == 1  # executors were watched, and nobody used one


def test_stalls_are_divided_into_blocked_and_computing() -> None:
    # of a stretch that was looked at ten times, four looks saw the thread on the CPU
    program = serial(2)
    program.stalls = [(1, 10, 10, 4, 9, 35), (12, 5, 0, 0, 9, -1)]
    (found,) = views.stalled(program.timeline())
    assert (found.count, found.total_ns, found.blocked_ns, found.cpu_ns, found.syscall) == (2, ns(15), ns(9), ns(6), 35)
    program.stalls = [(1, 10, 0, 0, 9, -1)]
    (found,) = views.stalled(program.timeline())
    assert found.blocked_ns is None
    assert found.cpu_ns is None


def test_what_is_made_is_counted_over_requests() -> None:
    # a session for each of eight requests, and one TLS context
    program = serial(8)
    program.made = (Made(what="tls-context", place=0, count=1, cpu_ns=5), Made(what="session", place=7, count=8))
    first, second = views.made(program.timeline())
    assert (first.what, first.per_request) == ("session", 1.0)
    assert first.place is not None
    assert (second.what, second.place) == ("tls-context", None)
    assert [each.what for each in views.made(program.timeline(), "tls-context")] == ["tls-context"]


def test_redirects_are_hops_over_requests() -> None:
    # one of two requests is sent on twice
    rows = [life(1, 0, [("wait", 5)], number=k, hop=k) for k in range(3)] + [life(2, 0, [("wait", 5)], hop=0)]
    assert views.redirects(line(10, rows)) == 1


def test_connects_are_told_by_the_steps_of_their_lengths() -> None:
    # 250 ms for the other family of addresses; 1 and 3 s for a first packet that was lost
    lengths = (1, 255, 1010, 3050)
    links = tuple(
        Connection(number=k, stamps={"tcp_start": 0, "tcp_end": ns(length)}, address_attempts=2 if length == 255 else 1, retransmits=k)
        for k, length in enumerate(lengths)
    )
    found = views.connects(line(4000, [], connections=links))
    assert found is not None
    assert (found.count, found.fallback, found.repeated_syn, found.several_addresses, found.retransmits) == (4, 1, 2, 1, 6)
    assert views.connects(line(10, [])) is None


@pytest.mark.parametrize(
    ("parts", "fallback", "repeated"),
    [
        ({}, 1, 1),
        ({"address_attempts": 2}, 1, 1),
        ({"address_attempts": 1}, 0, 1),
        ({"rtt_us": 20_000}, 1, 1),
        ({"rtt_us": 240_000, "address_attempts": 2}, 0, 0),
    ],
)
def test_a_server_far_away_is_no_step(parts: dict[str, int], fallback: int, repeated: int) -> None:
    # connecting takes a round trip, and a fallback a second address
    stamps = ({"tcp_start": 0, "tcp_end": ns(length)} for length in (250, 1050))
    found = views.connects(line(4000, [], connections=tuple(Connection(number=k, stamps=each, **parts) for k, each in enumerate(stamps))))
    assert found is not None
    assert (found.fallback, found.repeated_syn) == (fallback, repeated)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("OSError: [Errno 24] Too many open files", {"descriptors": 1}),
        ("exit code 1: OSError: [Errno 99] Cannot assign requested address", {"ports": 1}),
        ("exit code 1: ValueError: 24 and 99", {}),
    ],
)
def test_what_ran_out_is_read_from_errors(said: str, found: dict[str, int]) -> None:
    # only what the operating system says when descriptors or ports run out
    spec = TrialSpec(id="t", arm=Arm(client="program", loop="own"), n=9, tier="bare", repetition=0, seed=1)
    assert views.exhausted([TrialResult(spec=spec, status="failed", why=said)]) == found


def test_the_gil_took_at_most_what_other_threads_computed() -> None:
    # the loop ran for 60 ms, 20 of them on the CPU and 10 waiting for a core, while the process spent 45 in all
    made = line(
        100,
        [],
        lag=Lag(running_ns=ns(60), blocked_ns=0, blocked=0, longest_ns=0, expected_wait_ns=0),
        process=Process(cpu_ns=ns(20), run_queue_ns=ns(10)),
        cpu_ns=ns(45),
    )
    found = views.gil(made)
    assert found is not None
    assert (found.others_cpu_ns, found.waited_ns) == (ns(25), ns(25))
    assert views.gil(line(100, [])) is None


def test_without_an_activity_views_see_nothing() -> None:
    # a scenario's timeline
    made = line(10, [life(1, 0, [("wait", 5)])])
    assert (views.behind(made), views.sleeps(made), views.stalled(made), views.made(made)) == ((), (), (), ())
    assert views.batches(made) is None
    assert views.made_at(made) is None
    assert views.place(made, 3) is None
