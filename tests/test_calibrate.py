"""Calibration: what was put into a made-up recording comes out of it, and what does not carry a model is said."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heapreplace
from random import Random

import numpy as np
import pytest
from msgspec.structs import replace as changed

from loopdiag.analysis import calibrate
from loopdiag.analysis.account_slopes import share_of
from loopdiag.analysis.calibrate import _blocked
from loopdiag.analysis.core_waits import own_part, paused_ns
from loopdiag.analysis.fitted_costs import Used, fit, per_request
from loopdiag.analysis.known_limits import at_once, known
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.observed_server import Visit, link, refusals, service, visits
from loopdiag.analysis.observed_waits import executor, lookup_s, of_connections, of_lookups, outside_s
from loopdiag.analysis.replay import run
from loopdiag.model.law import NotEnough
from loopdiag.model.ledger import TrialLedger
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Fake, Plant, Pool, Scenario, Service, Target, Workload
from loopdiag.model.timeline import Attempt, Connection, Iterations, Jobs, Lag, Pause, Process, Timeline

NS = (25, 50, 100, 200, 400)
AIOHTTP, HTTPX = Arm(client="aiohttp"), Arm(client="httpx")
MS = 1_000_000


def bare(machine: Machine, arm: Arm = AIOHTTP, ns: Sequence[int] = NS, noise: float = 0.0) -> list[TrialResult]:
    """Three trials of each N that a machine would have left, each off by as much as its noise."""
    random, trials = Random(1), []
    for n in ns:
        found = run(machine, n)
        for repetition in range(3):
            off = 1 + noise * random.gauss(0, 1)
            spec = TrialSpec(id=f"{n}-{repetition}", arm=arm, n=n, tier="bare", repetition=repetition, seed=1)
            trials.append(
                TrialResult(
                    spec=spec,
                    status="ok",
                    total_s=found.total_s * off,
                    cpu_s=found.busy_s * off,
                    connections_opened=found.opened,
                    server_cpu_s=found.server_busy_s or None,
                )
            )
    return trials


def timeline(
    n: int, think_ms: Sequence[float] = (50.0,), *, places: int | None = None, every_us: int = 100, tls_cpu_ns: int | None = None
) -> Timeline:
    """A trial whose requests reach the server one after the other, and are served in order of arrival."""
    free = [0] * (places or n)
    heapify(free)
    attempts = []
    for i in range(n):
        received = i * every_us * 1000
        answered = max(received, free[0]) + round(think_ms[i % len(think_ms)] * MS)
        heapreplace(free, answered)
        stamps = {"send_start": received, "send_end": received, "first_byte": answered, "last_byte": answered}
        attempts.append(Attempt(request=i + 1, status=200, stamps=stamps, server_received_ns=received, server_answered_ns=answered))
    links = tuple(Connection(number=i + 1, requests=1, tls_cpu_ns=tls_cpu_ns) for i in range(min(n, 100))) if tls_cpu_ns else ()
    total = max(attempt.server_answered_ns or 0 for attempt in attempts)
    return Timeline(
        trial=f"t{n}", arm="aiohttp/asyncio", n=n, repetition=0, t0_ns=0, total_ns=total, attempts=tuple(attempts), connections=links
    )


def points(trials: Sequence[TrialResult]) -> dict[int, list[float]]:
    return {n: [trial.total_s or 0.0 for trial in trials if trial.spec.n == n] for n in dict.fromkeys(trial.spec.n for trial in trials)}


def scenario(arm: Arm = AIOHTTP, **parts: object) -> Scenario:
    return changed(Scenario(name="made-up", arms=(arm,)), **parts)


def calibrated(
    machine: Machine, arm: Arm = AIOHTTP, *, noise: float = 0.0, class_cpu: Mapping[str, Mapping[int, float]] | None = None, **parts: object
) -> Machine:
    trials = bare(machine, arm, noise=noise)
    lines = [
        timeline(n, [1e3 * think for think in machine.think], places=machine.server_limit, tls_cpu_ns=round(machine.open_tls * 1e9) or None)
        for n in NS
    ]
    found = calibrate.machine(scenario(arm, **parts), arm, trials, lines, class_cpu or {}, points(trials))
    assert isinstance(found, Machine), found
    return found


@pytest.mark.parametrize(
    ("machine", "arm", "parts"),
    [
        (Machine(limit=100, think=(0.05,), start=0.0002, finish=0.0003, open_tcp=0.0002, once=0.003), AIOHTTP, {}),
        (Machine(limit=100, think=(0.05,), start=0.0002, finish=0.0003, open_tcp=0.0005, open_tls=0.001), AIOHTTP, {}),
        (Machine(limit=10, think=(0.05,), start=0.0002, finish=0.0003), AIOHTTP, {"pool": Pool(limit=10)}),
        (Machine(limit=100, workers=5, think=(0.05,), start=0.0002, finish=0.0003), AIOHTTP, {"workload": Workload(concurrency=5)}),
        (
            Machine(limit=100, interval=0.01, think=(0.05,), start=0.0006, wake=0.0001),
            AIOHTTP,
            {"workload": Workload(kind="open", rate_per_s=100.0)},
        ),
        (Machine(limit=None, server_limit=8, think=(0.05,), start=0.0001), AIOHTTP, {"pool": Pool(limit=0)}),
        (Machine(limit=100, think=(0.05,), start=0.0002, finish=0.0003, grow=2e-6), AIOHTTP, {}),
        (
            Machine(
                limit=100,
                keepalive=20,
                counts_all=True,
                think=(0.05,),
                start=0.0006,
                finish=0.0007,
                open_tcp=0.0007,
                open_tls=0.0006,
                scan=4e-7,
            ),
            HTTPX,
            {},
        ),
        (
            Machine(
                limit=100,
                keepalive=20,
                counts_all=True,
                blocking=True,
                workers=8,
                think=(0.025,),
                start=0.0005,
                finish=0.0006,
                open_tcp=0.0007,
                open_tls=0.001,
                scan=4e-7,
            ),
            Arm(client="httpx-sync", loop="threads"),
            {},
        ),
    ],
)
def test_a_machine_is_found_again(machine: Machine, arm: Arm, parts: dict[str, object]) -> None:
    # a recording that a machine made is reproduced, and what each change would bring is told as that machine tells it
    found = calibrated(machine, arm, **parts)
    assert found.miss < 0.1
    assert (found.limit, found.workers, found.server_limit, found.counts_all) == (
        machine.limit,
        machine.workers,
        machine.server_limit,
        machine.counts_all,
    )
    for part in ("scan", "grow", "open_tls"):
        assert getattr(found, part) == pytest.approx(getattr(machine, part), rel=0.2, abs=1e-8)
    for change in (
        {"limit": None},
        {"workers": 20},
        {"workers": 50},
        {"server_limit": None},
        {"scan": 0.0},
        {"grow": 0.0},
        {"think": (0.01,)},
    ):
        true, told = (run(replace(each, **change), 400).total_s for each in (machine, found))
        assert told * found.factor == pytest.approx(true, rel=0.15)


def test_collections_that_take_most_of_the_cpu_are_told_from_the_rest() -> None:
    # collections of 3 of 4 ms a request are observed, and without them the run takes what its machine says; none of them is called growth of something else
    machine = Machine(limit=100, think=(0.02,), start=0.0004, finish=0.0006, pause=0.003, pause_grow=5e-6)
    trials = bare(machine)
    lines = [
        changed(
            timeline(n, [20.0]),
            total_ns=round(run(machine, n).total_s * 1e9),
            pauses=tuple(
                Pause(start_ns=i * MS, length_ns=round((machine.pause + machine.pause_grow * n) * 1e9), generation=2) for i in range(n)
            ),
        )
        for n in NS
    ]
    found = calibrate.machine(scenario(), AIOHTTP, trials, lines, {}, points(trials))
    assert isinstance(found, Machine)
    assert found.grow == 0.0
    for n in (100, 400):
        true, told = (run(replace(each, pause=0.0, pause_grow=0.0), n).total_s for each in (machine, found))
        assert told * found.factor == pytest.approx(true, rel=0.15)


def test_noise_makes_no_square() -> None:
    # trials that scatter by 5 % do not make CPU that grows with N²
    assert calibrated(Machine(limit=100, think=(0.05,), start=0.0005, finish=0.0006), noise=0.05).grow == 0.0


def test_attempts_that_are_repeated_make_no_square() -> None:
    # with refusals a request needs the more attempts the more there are, and so more CPU
    used = [Used(n=n, opened=min(n, 100), scanned=25 * n * n, cpu_s=1e-5 * n * n) for n in (25, 50, 100, 200, 400)]
    found = {steep: fit(used, connection=0.0002, steep=steep) for steep in ("scan", "square", None)}
    assert found["scan"].scan == pytest.approx(4e-7, rel=0.05)
    assert found["square"].square == pytest.approx(1e-5, rel=0.05)
    assert (found[None].scan, found[None].square, found["scan"].square, found["square"].scan) == (0.0, 0.0, 0.0, 0.0)


def test_the_scan_is_known_where_the_trials_do_not_tell_it() -> None:
    # few workers in front of the pool leave it nothing to scan; noise must not make its cost up
    used = [Used(n=n, opened=n, scanned=20 * n, cpu_s=0.003 * n * (1.2 if n == 400 else 1.0)) for n in (25, 50, 100, 200, 400)]
    assert fit(used, connection=0.001, steep="scan").scan == pytest.approx(4.2e-7, rel=0.5)


def test_one_high_cell_makes_no_square() -> None:
    # one N at which the machine was disturbed is no law
    used = [Used(n=n, opened=min(n, 100), scanned=0, cpu_s=0.001 * n * (2.0 if n == 400 else 1.0)) for n in (25, 50, 100, 200, 300, 400)]
    assert (
        fit(used, connection=0.0002, steep="square").square < 0.3 * 0.001 / 400
        or fit(used, connection=0.0002, steep="square").square == 0.0
    )


def test_decoding_and_planted_work_are_parts_of_the_finish() -> None:
    # classes of code tell what of a request's CPU is decoding and what is the program's own
    machine = Machine(limit=100, think=(0.05,), start=0.0005, finish=0.0025)
    by_n = {n: 0.001 * n for n in NS}
    found = calibrated(machine, class_cpu={"decode-json": by_n, "user": {n: seconds / 2 for n, seconds in by_n.items()}})
    assert found.decode == pytest.approx(0.001, rel=0.01)
    assert found.plant == pytest.approx(0.0005, rel=0.01)
    assert found.start + found.finish == pytest.approx(0.003, rel=0.1)
    assert found.finish > found.decode + found.plant


def test_connections_that_the_server_closes_are_not_reused() -> None:
    # many more connections than the pool accounts for: somebody closes them
    machine = Machine(limit=100, reusable=1, think=(0.05,), start=0.0005, open_tcp=0.0005)
    assert calibrated(machine).reusable is not None
    assert calibrated(replace(machine, reusable=None)).reusable is None


@pytest.mark.parametrize(("think", "reproduced"), [(0.001, True), (0.5, False)])
def test_waiting_for_a_core_is_no_part_of_the_model(think: float, reproduced: bool) -> None:
    # a total that is long because the client was runnable but not running is fitted without that, where the loop is what all wait for; where it is not,
    # the client waited for a core while it would have waited anyway
    machine = Machine(limit=100, think=(think,), start=0.0005, finish=0.0006)
    trials = [
        changed(trial, total_s=(trial.total_s or 0) + 0.4, run_queue_s=0.4) if trial.spec.n == 50 else trial for trial in bare(machine)
    ]
    found = calibrate.machine(scenario(), AIOHTTP, trials, [timeline(n, (1e3 * think,)) for n in NS], {}, points(trials))
    assert isinstance(found, Machine)
    assert (found.miss < 0.1) == reproduced


def test_what_is_missing_is_said() -> None:
    # no model from too little, and none that misses the totals
    trials = bare(Machine(limit=100, think=(0.05,), start=0.0005))
    lines = [timeline(n) for n in NS]
    few = points([trial for trial in trials if trial.spec.n == 25])
    poor = [changed(trial, cpu_s=None) for trial in trials]
    strange = {n: [0.1 if n == 100 else 1.0] for n in NS}
    for arguments, why in (
        ((trials, lines, {}, few), "two or more values of N"),
        ((poor, lines, {}, points(trials)), "the CPU of bare trials"),
        ((trials, [], {}, points(trials)), "a timeline trial"),
    ):
        found = calibrate.machine(scenario(), AIOHTTP, *arguments)
        assert isinstance(found, NotEnough)
        assert why in found.why
    missed = calibrate.judged(Machine(think=(0.05,)), {n: seconds[0] for n, seconds in strange.items()})
    assert isinstance(missed, NotEnough)
    assert "N = 100" in missed.why
    other = calibrate.judged(Machine(think=(0.05,)), dict.fromkeys(NS, 0.5))
    assert isinstance(other, NotEnough)
    assert "times as long" in other.why
    assert isinstance(calibrate.judged(Machine(), {1: 1.0, 2: 1.0}), NotEnough)


def test_the_fake_client_is_known_from_its_scenario() -> None:
    # its totals on virtual time are the replay's
    fake = scenario(
        Arm(client="fake"),
        fake=Fake(cpu_us=1000.0, scan_us=2.0),
        pool=Pool(limit=0),
        target=Target(service=Service(mean_ms=50.0)),
        workload=Workload(plant=Plant(cpu_us=500.0)),
    )
    exact = {n: (n * 1.0 + 0.002 * n * (n + 1) / 2 + 50.0 + n * 0.5) / 1e3 for n in (200, 400, 800)}
    found = calibrate.machine(fake, Arm(client="fake"), [], [], {}, {n: [seconds] for n, seconds in exact.items()})
    assert isinstance(found, Machine)
    assert found.miss < 0.1


@pytest.mark.parametrize(
    ("arm", "pool", "limit", "keepalive"),
    [
        (AIOHTTP, Pool(), 100, None),
        (AIOHTTP, Pool(limit=0), None, None),
        (AIOHTTP, Pool(limit=0, limit_per_host=7), 7, None),
        (AIOHTTP, Pool(limit_per_host=7), 7, None),
        (HTTPX, Pool(), 100, 20),
        (HTTPX, Pool(limit=10), 10, 10),
        (HTTPX, Pool(keepalive=0), 100, None),
        (HTTPX, Pool(limit=0, keepalive=0), None, None),
        (HTTPX, Pool(keepalive=50), 100, 50),
    ],
)
def test_limits_are_the_libraries_own(arm: Arm, pool: Pool, limit: int | None, keepalive: int | None) -> None:
    # what the scenario leaves out is the library's default, and 0 is no limit
    found = known(scenario(arm, pool=pool), arm)
    assert (found.limit, found.keepalive) == (limit, keepalive)


def test_think_times_come_from_the_servers_stamps() -> None:
    # where nothing queues, an answer's time is its think time
    found = service(visits([timeline(40, (10.0, 20.0, 30.0))]), 0.0)
    assert (found.think[0], found.think[-1], found.limit) == (0.01, 0.03, None)


@pytest.mark.parametrize("places", [1, 4, 10])
@pytest.mark.parametrize("think", [(50.0,), (40.0, 50.0, 60.0)])
def test_the_servers_limit_is_found(places: int, think: tuple[float, ...]) -> None:
    # requests wait inside the server in proportion to those before them: its places are as many as make their time in service the same
    found = service(visits([timeline(n, think, places=places) for n in (20, 40, 80)]), 0.0)
    assert found.limit == places
    assert np.mean(found.think) == pytest.approx(0.05, rel=0.2)


def test_a_narrow_link_is_no_limit_of_the_server() -> None:
    # where answers wait for the link, what looks like a queue in the server is the link's
    found = service(visits([timeline(40, places=4)]), 0.0, shared=True)
    assert (found.limit, found.think) == (None, (pytest.approx(0.05, rel=0.01),))


def test_streams_are_as_many_as_were_in_service_while_others_waited() -> None:
    # the limit of an HTTP/2 connection is seen where requests wait for a stream; else there is none
    machine = Machine(limit=100, streams=10, think=(0.05,), start=0.0002, finish=0.0003)
    trials = bare(machine)

    def line(n: int, wait_ms: int) -> Timeline:
        waves = [each for start in range(0, n, 10) for each in timeline(min(10, n - start)).attempts]
        late = [
            changed(
                each,
                request=k + 1,
                server_received_ns=(each.server_received_ns or 0) + k // 10 * 60 * MS,
                server_answered_ns=(each.server_answered_ns or 0) + k // 10 * 60 * MS,
                stamps={"resumed": 0, "stream": k // 10 * wait_ms * MS, "first_byte": (each.server_answered_ns or 0) + k // 10 * 60 * MS},
            )
            for k, each in enumerate(waves)
        ]
        return changed(timeline(n), attempts=tuple(late))

    for wait_ms, streams in ((60, 10), (0, 1_000_000)):
        found = calibrate.machine(
            scenario(target=Target(http="2", tls="ecdsa-p256")), AIOHTTP, trials, [line(n, wait_ms) for n in NS], {}, points(trials)
        )
        if streams == 10:
            assert isinstance(found, Machine)
            assert found.streams == 10
        else:
            assert isinstance(found, NotEnough)  # so many streams at once do not make these totals


def test_an_answer_may_be_late_on_its_way() -> None:
    # the server has answered, and nothing is readable for 40 ms, while the loop sits idle
    machine = Machine(limit=100, think=(0.05,), gap=0.04, start=0.0002, finish=0.0003)
    trials, lines = bare(machine), []
    for n in NS:
        late = [
            changed(each, stamps={"send_end": 0, "first_byte": (each.server_answered_ns or 0) + 40 * MS}) for each in timeline(n).attempts
        ]
        lines.append(changed(timeline(n), attempts=tuple(late)))
    found = calibrate.machine(scenario(), AIOHTTP, trials, lines, {}, points(trials))
    assert isinstance(found, Machine)
    assert found.gap == pytest.approx(0.04)
    assert found.miss < 0.1


def test_a_busy_server_has_no_limit() -> None:
    # where its core is what all wait for, the flat rate is no limit's
    took, there = np.arange(1, 41) * 0.005 + 0.02, np.arange(40.0)
    found = service([Visit(n=40, arrived=np.zeros(40), took=took, there=there, answered=took)], 0.005)
    assert found.limit is None
    assert np.median(found.think) == pytest.approx(0.02, rel=0.1)


def test_answers_that_the_loop_read_late_tell_nothing() -> None:
    # without the server's stamps, the time to the first byte counts where the loop was there at once
    prompt = [changed(attempt, server_received_ns=None, server_answered_ns=None, lag_high_ns=0) for attempt in timeline(20).attempts]
    late = [changed(attempt, stamps={**attempt.stamps, "first_byte": 900 * MS}, lag_high_ns=800 * MS) for attempt in prompt]
    line = changed(timeline(20), attempts=(*prompt, *late))
    assert service(visits([line]), 0.0).think[-1] == pytest.approx(0.05)
    assert visits([changed(line, attempts=tuple(late))]) == []
    kernel = [changed(each, stamps={**each.stamps, "rx_kernel": each.stamps["send_end"] + 50 * MS}) for each in late]
    assert service(visits([changed(line, attempts=tuple(kernel))]), 0.0).think[-1] == pytest.approx(0.05)
    assert service([], 0.0).think == (0.0,)


def test_refused_requests_tell_the_rate() -> None:
    # a second's worth is admitted at once, then as many as the rate; the pause is until the next attempt
    stamps = [(k, 0) if k < 10 else (k, 1000 * MS + k) for k in range(20)]
    attempts = [Attempt(request=k, number=1 if at else 0, status=200, stamps={"send_start": at, "last_byte": at + MS}) for k, at in stamps]
    attempts += [Attempt(request=k, number=0, status=429, stamps={"send_start": 0, "last_byte": MS}) for k in range(10, 20)]
    line = changed(timeline(20), attempts=tuple(attempts))
    found = refusals([line])
    assert found is not None
    assert found == pytest.approx((10.0, 0.999), rel=0.01)
    assert refusals([timeline(20)]) is None


def _idle(n: int, poll_ns: int) -> Iterations:
    """A loop that sits idle for so long, and then works as long, again and again."""
    starts = tuple(range(0, 2 * poll_ns * n, 2 * poll_ns))
    return Iterations(start_ns=starts, poll_ns=(poll_ns,) * n, run_ns=(poll_ns,) * n, ready=(0,) * n)


def test_the_loops_own_work_is_no_wait() -> None:
    # of a stretch in which the loop works half of the time, half is the outside's; the smallest trial tells
    links = (Connection(number=1, stamps={"tcp_start": 0, "tcp_end": 10 * MS}),)
    line = changed(timeline(20), connections=links, iterations=_idle(50, MS))
    busier = changed(timeline(40), connections=links, iterations=_idle(1, MS))
    assert outside_s([busier, line], of_connections("tcp_start", "tcp_end")) == pytest.approx(0.005)
    assert outside_s([line], of_connections("tls_start", "tls_end")) == 0.0
    assert outside_s([changed(line, iterations=None)], of_connections("tcp_start", "tcp_end")) == pytest.approx(0.01)


def test_a_narrow_link_is_told_by_receiving_that_grows() -> None:
    # all answers are on their way together, and the last byte of the last comes when the link has carried all
    def shared(n: int) -> Timeline:
        line = timeline(n)
        late = [changed(each, stamps={**each.stamps, "first_byte": 60 * MS, "last_byte": (50 + 10 * n) * MS}) for each in line.attempts]
        return changed(line, attempts=tuple(late), iterations=_idle(1, 10_000 * MS))

    assert link([shared(20), shared(40)]) == pytest.approx(0.01, rel=0.05)
    assert link([timeline(20), timeline(40)]) == 0.0
    assert link([shared(40)]) == 0.0


def test_calls_in_threads_are_told_from_look_ups() -> None:
    # a job that begins with a connection's look-up is that look-up; others are the requests' own
    links = tuple(Connection(number=i + 1, stamps={"dns_start": i * MS, "dns_end": (i + 8) * MS}) for i in range(20))

    def jobs(start_ms: int) -> Jobs:
        queued = tuple((start_ms + i) * MS for i in range(20))
        return Jobs(queued_ns=queued, started_ns=queued, ended_ns=tuple(at + 5 * MS for at in queued), threads=(6,) * 20)

    line = changed(timeline(20), connections=links)
    assert executor([changed(line, jobs=jobs(0))]) == (0.0, 1)
    assert executor([changed(line, jobs=jobs(500))]) == (pytest.approx(0.005), 6)
    assert lookup_s([changed(line, jobs=jobs(0))]) == pytest.approx(0.005)
    assert executor([line]) == (0.0, 1)


def test_time_off_the_cpu_inside_callbacks_is_blocking() -> None:
    # the loop runs, but its thread uses no CPU and waits for no core
    machine = Machine(limit=100, think=(0.02,), start=0.0002, finish=0.0003, block=0.002)
    trials = bare(machine)
    trials = [changed(trial, cpu_s=(trial.cpu_s or 0) - 0.002 * trial.spec.n) for trial in trials]
    lines = []
    for n in NS:
        line = timeline(n, (20.0,))
        ran, whole = round(2.5 * MS * n), round(1e9 * run(machine, n).total_s)
        lag = Lag(running_ns=ran, blocked_ns=0, blocked=0, longest_ns=ran, expected_wait_ns=0)
        loops = Iterations(start_ns=(0,), poll_ns=(whole - ran,), run_ns=(ran,), ready=(0,))
        clock = Process(cpu_ns=round(0.5 * MS * n), run_queue_ns=0, waits=n + 1, first_ns=0, last_ns=whole)
        lines.append(changed(line, total_ns=whole, lag=lag, iterations=loops, process=clock))
    found = calibrate.machine(scenario(), AIOHTTP, trials, lines, {}, points(trials))
    assert isinstance(found, Machine)
    assert found.block == pytest.approx(0.002, rel=0.1)
    kept_from = [changed(line, process=changed(line.process, waits=1)) for line in lines if line.process]
    assert _blocked(kept_from) == 0  # a thread that never gave its core up has waited for nothing
    assert _blocked([changed(line, process=None) for line in lines]) == 0


def test_calls_in_executors_that_look_names_up_do_not_count() -> None:
    # httpx has a thread look its host's name up: short calls beside the program's long ones, which only the connections' stamps tell apart
    links = tuple(Connection(number=i + 1, stamps={"dns_start": i * MS, "dns_end": (i + 2) * MS}) for i in range(20))
    short, long = tuple(i * MS + 1000 for i in range(20)), tuple((100 + i) * MS for i in range(15))
    queued, ended = short + long, tuple(at + MS for at in short) + tuple(at + 80 * MS for at in long)
    jobs = Jobs(queued_ns=queued, started_ns=queued, ended_ns=ended, threads=(6,) * 35)
    line = changed(timeline(20), connections=links, jobs=jobs)
    assert of_lookups(line) == [True] * 20 + [False] * 15
    assert executor([line]) == (pytest.approx(0.08), 6)
    assert lookup_s([line]) == pytest.approx(0.001)


def test_waits_for_a_core_are_not_the_runs_own() -> None:
    # half of the time beyond one's own power, half of the slope is; and a pause is no longer than what it computed
    spec = TrialSpec(id="b", arm=AIOHTTP, tier="bare", n=1, repetition=0, seed=1)
    loaded = [TrialResult(status="ok", spec=changed(spec, n=n), total_s=0.02 * n, cpu_s=0.01 * n, run_queue_s=0.01 * n) for n in NS]
    assert own_part(loaded, points(loaded)) == pytest.approx(0.5)
    assert own_part([changed(trial, run_queue_s=None) for trial in loaded], points(loaded)) == pytest.approx(1.0)
    paused = changed(timeline(10), pauses=(Pause(start_ns=0, length_ns=8 * MS, generation=2),))
    assert paused_ns(paused) == 8 * MS
    assert paused_ns(changed(paused, process=Process(cpu_ns=10 * MS, run_queue_ns=30 * MS))) == 2 * MS


def test_a_share_of_the_slope_does_not_scatter_with_the_slope() -> None:
    # totals that vary by a third leave an account that holds 80 % of every one of them at 80 % of the slope, and no interval that reaches 0
    random = Random(3)
    totals = {n: [0.01 * n * (1 + 0.35 * random.gauss(0, 1)) for _ in range(3)] for n in NS}
    held = (0.78, 0.82, 0.8, 0.79, 0.81, 0.8)
    ledgers = [
        TrialLedger(trial=f"{n}-{at}", arm="a", n=n, total_ns=10_000_000 * n, charges={"x": round(10_000_000 * n * part)})
        for n in NS
        for at, part in enumerate(held)
    ]
    found = share_of(ledgers, totals, ("x",))
    assert found is not None
    assert found.value == pytest.approx(0.8, abs=0.01)
    assert found.low == pytest.approx(found.value, abs=0.1)
    assert share_of([], totals, ("x",)) is None
    assert share_of(ledgers, {n: [1.0 / n] for n in NS}, ("x",)) is None


def test_the_servers_handshakes_are_not_its_requests() -> None:
    # as many connections as requests: what the server computes beyond a plain answer is a handshake's, as far as one is waited for
    spec = TrialSpec(id="b", arm=AIOHTTP, tier="bare", n=1, repetition=0, seed=1)
    rows = [
        TrialResult(status="ok", spec=changed(spec, n=n), total_s=0.02 * n, cpu_s=0.01 * n, server_cpu_s=0.006 * n, connections_opened=n)
        for n in NS
    ]
    links = tuple(Connection(number=i + 1, tls_cpu_ns=MS, stamps={"tls_start": 0, "tls_end": 6 * MS}) for i in range(10))
    found = calibrate._handshaking(Machine(), rows, [changed(timeline(10), connections=links)])
    assert found.server_cpu == pytest.approx(calibrate.SERVER_S)
    assert found.server_handshake == pytest.approx(0.0055, rel=0.1)


def test_a_class_of_code_may_grow_with_the_square() -> None:
    # what is linear and what is not are told apart
    assert per_request({100: 0.1, 200: 0.2, 400: 0.4}) == (pytest.approx(0.001), 0.0)
    assert per_request({100: 0.2, 200: 0.6, 400: 2.0}) == (pytest.approx(0.001), pytest.approx(1e-5))
    assert per_request({}) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("loop", "asked", "most"),
    [("sync", 5, 1), ("threads", None, 8), ("threads", 3, 3), ("processes", None, 8), ("asyncio", None, None), ("asyncio", 4, 4)],
)
def test_a_runner_makes_as_many_requests_at_a_time_as_it_has_workers(loop: str, asked: int | None, most: int | None) -> None:
    # one after the other without a pool, a pool's workers with one, and a loop as many as the workload says
    assert at_once(loop, asked) == most
