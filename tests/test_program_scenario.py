"""A program is read as the scenario that it amounts to: how many requests it lets be under way, when it makes them, its client, loop and pool."""

import pytest
from msgspec.structs import replace
from path_parts import ns
from program_parts import Program, batched, paced, semaphored, serial, threaded

from loopdiag.analysis.gather import evidence_of
from loopdiag.analysis.observed_waits import executor
from loopdiag.analysis.program_scenario import inferred, with_connections
from loopdiag.model.program import Made
from loopdiag.model.recording import Environment, Recording, TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.scenario import Program as Argv
from loopdiag.model.timeline import Connection

ARM = Arm(client="program", loop="own")
RECORDING = Recording(
    loopdiag="1",
    started="2026-01-01T00:00:00Z",
    scenario=Scenario(name="p", arms=(ARM,), program=Argv(argv=("python", "client.py", "{n}"))),
    environment=Environment(
        system="", python="", cpu="", cores=1, memory_mib=None, clock_resolution_ns=1, clock_cost_ns=1, descriptor_limit=None
    ),
    plan_seed=1,
)


def trial(n: int = 12, **more: object) -> TrialResult:
    """A usable trial of the program."""
    spec = TrialSpec(id="t", arm=ARM, n=n, tier="timeline", repetition=0, seed=1)
    return TrialResult(spec=spec, status="ok", total_s=1.0, **more)  # type: ignore[arg-type] # a test's own fields


@pytest.mark.parametrize(
    ("small", "large", "concurrency"),
    [
        (semaphored(6, 3), semaphored(12, 3), 3),
        (semaphored(6, 1, "lock"), semaphored(12, 1, "lock"), 1),
        (serial(6), serial(12), 1),
        (batched(6, 3), batched(12, 3), 3),
        (threaded(6, 3), threaded(12, 3), 3),
        (semaphored(6, 6), semaphored(12, 12), None),
        (semaphored(2, 1), semaphored(4, 1), None),
    ],
    ids=["semaphore", "lock", "serial", "batches", "threads", "all at once", "too few to tell"],
)
def test_the_bound_that_a_program_sets_itself_is_its_concurrency(small: Program, large: Program, concurrency: int | None) -> None:
    # the tightest of what nearly all requests pass, as it shows at the largest N
    found = inferred(RECORDING, ARM, [small.timeline(), large.timeline()], [trial()])
    assert found.scenario.workload.kind == "closed"
    assert found.scenario.workload.concurrency == concurrency
    assert found.scenario.program is not None
    assert found.scenario.arms == (ARM,)


def test_workers_are_a_bound_if_they_are_as_many_at_another_n() -> None:
    # three tasks that make all requests, four or eight each; and one task for each two requests
    def working(n: int, workers: int) -> Program:
        rounds = n // workers
        program = Program(total=10.0 * rounds)
        main = program.task(0, 10 * rounds)
        for _ in range(workers):
            task = program.task(0, 10 * rounds, main)
            for k in range(rounds):
                program.fetch(task, (10 * k, 10 * k + 10))
        return program

    bounded = inferred(RECORDING, ARM, [working(12, 3).timeline(), working(24, 3).timeline()], [trial()])
    assert bounded.scenario.workload.concurrency == 3
    growing = inferred(RECORDING, ARM, [working(12, 6).timeline(), working(24, 12).timeline()], [trial()])
    assert growing.scenario.workload.concurrency is None


def test_sleeps_between_starts_are_a_schedule() -> None:
    # a request every 20 ms
    found = inferred(RECORDING, ARM, [paced(8).timeline()], [trial()])
    assert found.scenario.workload.kind == "open"
    assert found.scenario.workload.rate_per_s == pytest.approx(50, rel=0.01)


def test_the_client_is_the_library_that_most_requests_entered_by() -> None:
    # what was imported counts only where no row tells
    made = serial(6).timeline()
    assert inferred(RECORDING, ARM, [made], [trial(versions={"httpx": "1"})]).seen == Arm(client="aiohttp", loop="asyncio")
    assert made.activity is not None
    silent = replace(made, activity=replace(made.activity, requests=replace(made.activity.requests, library=(0,) * 6)))
    assert inferred(RECORDING, ARM, [silent], [trial(versions={"httpx": "1"})]).seen.client == "httpx"
    assert inferred(RECORDING, ARM, [], [trial(versions={"httpx": "1", "aiohttp": "3"})]).seen.client == "program"


@pytest.mark.parametrize(
    ("counters", "versions", "loop"),
    [
        ({"program.loop.uvloop": 1}, {}, "uvloop"),
        ({"program.loop.asyncio": 1}, {"uvloop": "0.22"}, "asyncio"),
        ({}, {"uvloop": "0.22"}, "uvloop"),
        ({}, {}, "asyncio"),
    ],
)
def test_the_loop_is_the_one_that_ran(counters: dict[str, int], versions: dict[str, str], loop: str) -> None:
    # an import alone tells only where nothing else does
    assert inferred(RECORDING, ARM, [], [trial(counters=counters, versions=versions)]).seen.loop == loop


def test_the_pool_is_what_its_maker_said() -> None:
    # counters are one more than the limit, so that no limit is seen, too; those of another client do not count
    counters = {"program.pool_limit.aiohttp": 11, "program.pool_limit_per_host.aiohttp": 1, "program.keepalive.httpx": 21}
    pool = inferred(RECORDING, ARM, [serial(6).timeline()], [trial(counters=counters)]).scenario.pool
    assert (pool.limit, pool.limit_per_host, pool.keepalive) == (10, 0, None)


def test_a_session_for_each_request_has_no_limit_that_is_felt() -> None:
    # each of them has a pool of its own
    program = serial(6)
    program.made = (Made(what="session", place=7, count=6),)
    pool = inferred(RECORDING, ARM, [program.timeline()], [trial(counters={"program.pool_limit.aiohttp": 101})]).scenario.pool
    assert (pool.limit, pool.limit_per_host) == (0, 0)


def test_tls_and_streams_are_seen() -> None:
    # one connection that shook hands, one attempt that got a stream
    made = serial(6).timeline(connections=(Connection(number=1, stamps={"tls_start": 0, "tls_end": ns(1)}),))
    first = replace(made.attempts[0], flags=("http2",))
    target = inferred(RECORDING, ARM, [replace(made, attempts=(first, *made.attempts[1:]))], [trial()]).scenario.target
    assert (target.http, target.tls != "off") == ("2", True)
    plain = inferred(RECORDING, ARM, [serial(6).timeline()], [trial()]).scenario.target
    assert (plain.http, plain.tls) == ("1.1", "off")


def test_bare_trials_get_the_connections_of_their_n() -> None:
    # no server of ours counts them
    line = serial(6).timeline(connections=(Connection(number=1), Connection(number=2)))
    bare, other, told = with_connections([trial(6), trial(7), trial(6, connections_opened=5)], [line])
    assert (bare.connections_opened, other.connections_opened, told.connections_opened) == (2, None, 5)


def test_calls_that_make_the_requests_are_no_wait_of_theirs() -> None:
    # the replay has them as so many workers, and not as a wait in a thread after each answer
    assert executor([threaded(12, 3).timeline()]) == (0.0, 1)


def test_the_evidence_of_a_program_is_that_of_what_was_seen() -> None:
    # the arm stays the program's; scenario, client and loop are the inferred ones, and a failed trial is kept apart
    spec = TrialSpec(id="b", arm=ARM, n=6, tier="bare", repetition=0, seed=1)
    bare = [
        TrialResult(spec=replace(spec, id=f"{n}-{k}", n=n, repetition=k), status="ok", total_s=n * (0.01 + k / 1e5), cpu_s=n / 1e4)
        for n in (6, 12, 24)
        for k in range(3)
    ]
    failed = TrialResult(spec=replace(spec, id="f", n=48), status="failed", why="exit code 1: OSError: [Errno 24] Too many open files")
    recording = replace(RECORDING, trials=(*bare, failed))
    lines = [replace(serial(n).timeline(), trial=str(n), n=n) for n in (6, 12, 24)]
    evidence = evidence_of(recording, lines)[ARM.name]
    assert evidence.arm == ARM
    assert (evidence.client, evidence.loop) == ("aiohttp", "asyncio")
    assert evidence.scenario.workload.concurrency == 1
    assert [trial.spec.n for trial in evidence.failed] == [48]
    assert all(trial.connections_opened is not None for trial in evidence.bare)
    assert evidence.ledger is not None
    assert evidence.ledger.residual == 0
    shares = {account.account: account.slope_ms.value for account in evidence.ledger.accounts}
    assert shares["server"] == pytest.approx(10, rel=0.05)
