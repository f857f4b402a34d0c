"""The replay against closed forms, and laws that any machine obeys."""

import math
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopdiag.analysis.machine import Machine
from loopdiag.analysis.replay import run
from loopdiag.analysis.replay_server import serve, thinks

L = 0.1


@pytest.mark.parametrize("n", [1, 9, 10, 11, 95, 100])
@pytest.mark.parametrize("limit", [1, 10])
@pytest.mark.parametrize("what", ["limit", "workers", "server_limit", "streams"])
def test_a_limit_makes_waves(what: str, limit: int, n: int) -> None:
    # c at a time, each L long, and no CPU: ⌈N/c⌉·L, wherever the limit is
    machine = replace(Machine(think=(L,)), **{what: limit})
    assert run(machine, n).total_s == pytest.approx(math.ceil(n / limit) * L)


@pytest.mark.parametrize(
    ("machine", "n", "total"),
    [
        (Machine(start=0.001, finish=0.002), 50, 0.15),
        (Machine(start=0.001, finish=0.002, pause=0.001, once=0.01), 50, 0.21),
        (Machine(grow=1e-5), 100, 0.1),
        (Machine(block=0.003), 50, 0.15),
        (Machine(start=0.001, finish=0.002, think=(L,), workers=1), 5, 5 * 0.103),
        (Machine(think=(L,), interval=0.05), 11, 10 * 0.05 + L),
        (Machine(think=(L,), gap=0.04, workers=1), 3, 3 * 0.14),
        (Machine(connect=0.02, think=(L,)), 20, 0.12),
        (Machine(open_tls=0.002, open_tcp=0.001), 40, 0.12),
        (Machine(server_handshake=0.001), 40, 0.04),
        (Machine(server_handshake=0.001, server_threads=4), 40, 0.01),
        (Machine(server_cpu=0.002, think=(L,)), 40, 0.04 + L + 0.001),
        (Machine(lookup=0.01, lookups_at_once=4), 12, 0.03),
        (Machine(lookup=0.01, lookup_cpu=0.001, lookups_at_once=12), 12, 0.022),
        (Machine(lookup=0.01, lookups_at_once=4, cached=True), 12, 0.01),
        (Machine(think=(L,), wake=0.001, interval=0.01), 3, 2 * 0.01 + 2 * 0.001 + L),
        (Machine(thread=0.01, threads=5), 50, 0.1),
        (Machine(link=0.01, think=(L,)), 20, 0.2 + L),
        (Machine(server_rate=10.0), 40, 3.0),
        (Machine(server_rate=10.0, retry_after=1.0), 15, 1.0),
        (Machine(streams=5, think=(L,), connect=0.05), 10, 0.25),
    ],
)
def test_costs_and_waits_have_closed_forms(machine: Machine, n: int, total: float) -> None:
    # one part of the machine at a time: what it must take is known
    assert run(machine, n).total_s == pytest.approx(total, rel=1e-9)


def test_cpu_that_overlaps_with_waiting_costs_little() -> None:
    # the starts of 20 requests hide behind the first's answer, which takes 100 ms, and so do their ends behind the last's, where these come one by one
    machine = Machine(start=0.001, finish=0.001, sending=1.0, think=(L,))
    assert run(machine, 20).total_s == pytest.approx(0.02 + L + 0.001)
    assert run(replace(machine, think=(0.0,)), 20).total_s == pytest.approx(0.04)


def test_the_loop_is_busy_for_all_costs() -> None:
    # what runs on the loop adds up, opened connections' costs among it
    found = run(Machine(start=0.001, finish=0.002, open_tcp=0.003, open_tls=0.004, limit=10, think=(L,)), 30)
    assert found.busy_s == pytest.approx(30 * 0.003 + 10 * 0.007)
    assert (found.opened, found.in_flight, found.queued) == (10, 10, 20)


def test_a_pool_that_counts_every_connection_never_reuses_one() -> None:
    # httpcore closes an idle connection when more than `keepalive` exist, busy ones among them
    pool = Machine(limit=100, keepalive=20, think=(L,))
    assert run(pool, 300).opened == 100
    assert run(replace(pool, counts_all=True), 300).opened == 300
    assert run(replace(pool, counts_all=True, keepalive=100), 300).opened == 100
    assert run(replace(pool, counts_all=True, workers=20), 300).opened == 20


def test_keeping_idle_connections_wakes_the_scan() -> None:
    # httpcore gives one idle connection to all that wait, and asks the system of each: without evictions the loop has more to do, not less
    pool = Machine(limit=100, keepalive=20, counts_all=True, open_tcp=0.0007, open_tls=0.0007, scan=4e-7, think=(0.05,))
    evicting, keeping = run(pool, 200), run(replace(pool, keepalive=100), 200)
    assert (evicting.opened, keeping.opened) == (200, 100)
    assert keeping.scanned > 2 * evicting.scanned
    assert keeping.busy_s > evicting.busy_s
    assert run(replace(pool, keepalive=100, scan=0.0), 200).busy_s == pytest.approx(100 * 0.0014)


def test_a_thread_goes_on_with_its_connection_at_once() -> None:
    # tasks of a loop take one another's connections, so that a pool as large as is kept spends its time on passes; threads do not, and need no more CPU for it
    tasks = Machine(
        limit=100, keepalive=20, counts_all=True, workers=20, start=0.0005, finish=0.0006, scan=4e-7, think=(0.015, 0.025, 0.035)
    )
    threads = replace(tasks, blocking=True)
    few, many = run(replace(threads, workers=8), 800), run(threads, 800)
    assert (few.opened, many.opened) == (8, 20)
    assert many.busy_s < 1.05 * few.busy_s
    assert many.total_s == pytest.approx(few.total_s * 8 / 20, rel=0.1)
    assert run(tasks, 800).scanned > 5 * many.scanned
    assert run(replace(threads, workers=30), 800).opened > 700  # more than are kept: none is used again, as on a loop


def test_connections_that_are_taken_or_closed_are_asked_for_again() -> None:
    # whoever loses an assigned connection gets another one: all requests end, and no more connections are open than the limit allows
    for keepalive in (0, 1, 5, 10, None):
        for reusable in (1, 3, None):
            machine = Machine(limit=10, keepalive=keepalive, counts_all=True, reusable=reusable, think=(0.01, 0.02))
            for found in (run(machine, 100), run(replace(machine, blocking=True), 100)):
                assert found.in_flight <= 10
                assert 10 <= found.opened <= 100
                assert found.total_s < 100 * 0.02


@pytest.mark.parametrize(("reusable", "opened"), [(1, 40), (2, 20), (4, 10), (None, 10)])
def test_a_connection_serves_so_many(reusable: int | None, opened: int) -> None:
    # one that is used up is replaced
    assert run(Machine(limit=10, reusable=reusable, think=(L,)), 40).opened == opened


def test_the_scan_is_quadratic() -> None:
    # each start and end of a request looks at all queued requests for each connection
    pool = Machine(limit=10, scan=1e-6, think=(0.001,))
    small, large = (run(pool, n).busy_s for n in (400, 800))
    assert large / small == pytest.approx(4.0, rel=0.05)
    found = run(pool, 800)
    assert found.busy_s == pytest.approx(found.scanned * 1e-6)
    assert run(replace(pool, workers=10), 800).busy_s < large / 30


def test_think_times_are_the_samples() -> None:
    # every quantile of the samples comes equally often, in an order of the seed
    drawn = thinks((1.0, 2.0, 3.0, 4.0), 4, 0)
    assert sorted(drawn) == pytest.approx([1.0, 2.0, 3.0, 4.0])
    assert drawn == thinks((1.0, 2.0, 3.0, 4.0), 4, 0) != thinks((1.0, 2.0, 3.0, 4.0), 4, 1)
    assert (thinks((), 2, 0), thinks((5.0,), 3, 1)) == ([0.0, 0.0], [5.0, 5.0, 5.0])


def test_a_job_waits_for_the_first_free_server() -> None:
    # first come, first served, by whoever is free first
    free = [0.0, 0.0]
    assert [serve(free, 0.0, 2.0), serve(free, 0.0, 3.0), serve(free, 1.0, 1.0)] == [2.0, 3.0, 3.0]


costs = st.floats(0, 0.01).map(lambda seconds: round(seconds, 5))
machines = st.builds(
    Machine,
    limit=st.none() | st.integers(1, 30),
    keepalive=st.none() | st.integers(0, 30),
    counts_all=st.booleans(),
    blocking=st.booleans(),
    reusable=st.none() | st.integers(1, 5),
    workers=st.none() | st.integers(1, 30),
    interval=st.none() | costs,
    start=costs,
    finish=costs,
    open_tcp=costs,
    open_tls=costs,
    scan=st.floats(0, 1e-6),
    lookup=costs,
    cached=st.booleans(),
    connect=costs,
    handshake=costs,
    server_handshake=costs,
    server_cpu=costs,
    think=st.lists(costs, min_size=1, max_size=5).map(lambda samples: tuple(sorted(samples))),
    gap=costs,
    server_limit=st.none() | st.integers(1, 30),
    server_rate=st.none() | st.floats(5, 500),
    retry_after=st.none() | costs.filter(lambda seconds: seconds > 0.001),
    streams=st.none() | st.integers(1, 30),
    thread=costs,
    link=costs,
)


@settings(max_examples=150, deadline=None)
@given(machine=machines, n=st.integers(1, 60), seed=st.integers(0, 3))
def test_every_machine_ends(machine: Machine, n: int, seed: int) -> None:
    # whatever the limits, all requests end, the same way each time, and no earlier than the loop's work and the slowest answer allow
    found = run(machine, n, seed=seed)
    assert found == run(machine, n, seed=seed)
    assert found.total_s >= found.busy_s - 1e-6
    assert found.total_s >= max(thinks(machine.think, n, seed)) - 1e-9
    assert 1 <= found.in_flight <= n
    assert found.opened >= 1
    assert found.busy_s >= n * (machine.start + machine.finish) - 1e-9


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 60),
    low=st.integers(1, 20),
    more=st.integers(1, 20),
    think=costs,
    what=st.sampled_from(["limit", "workers", "server_limit", "streams"]),
)
def test_more_room_is_never_slower(n: int, low: int, more: int, think: float, what: str) -> None:
    # without costs of CPU, and with one think time, a higher limit cannot hurt
    few, many = (run(replace(Machine(think=(think,)), **{what: count}), n).total_s for count in (low, low + more))
    assert many <= few + 1e-12


def test_it_is_fast() -> None:
    # dozens of replays are made in a diagnosis; the bound holds on a slow and busy computer, too
    machine = Machine(limit=100, keepalive=20, counts_all=True, start=0.001, finish=0.001, open_tls=0.001, scan=1e-8, think=(0.04, 0.06))
    took = []
    for seed in range(3):
        begun = time.process_time()
        run(machine, 800, seed=seed)
        took.append(time.process_time() - begun)
    assert min(took) < 0.5
