"""How claims are judged: what counts, what is a consequence, what is told where nothing is known."""

from dataclasses import replace

import pytest
from evidence_parts import HEALTHY, MS, PLANTED, QUIET, TLS, Truth, evidence, scenario
from msgspec import structs

from loopdiag.analysis import what_if
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.known_limits import known
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.off_cpu import off_cpu_ms
from loopdiag.causes import CAUSES, Cause, asyncio_debug
from loopdiag.causes.judging import judge
from loopdiag.model.attribution import Attribution
from loopdiag.model.law import Estimate, NotEnough
from loopdiag.model.scenario import Arm
from loopdiag.model.timeline import Iterations, Lag, Process, Timeline
from loopdiag.registry import Registry

HERE = __name__


class Fixed:
    """A cause that answers the same to everything."""

    side = "client"
    needs: frozenset[str] = frozenset()

    def __init__(self, name: str, answer: object) -> None:
        self.name, self.answer = name, answer

    def attribute(self, evidence: Evidence) -> object:
        del evidence
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def _claim(name: str, value: float, low: float | None, high: float | None, offset: Estimate | None = None) -> Attribution:
    share = Estimate(value=value, low=low, high=high)
    return Attribution(cause=name, share=share, slope_ms=share, offset_ms=offset)


class Fakes(Registry[Cause]):
    """A registry of causes made here."""

    def __init__(self, *causes: Fixed) -> None:
        super().__init__("cause", {cause.name: "" for cause in causes})
        self._causes = {cause.name: cause for cause in causes}

    def __getitem__(self, name: str) -> Cause:
        return self._causes[name]  # type: ignore[return-value] # as much of a cause as judging reads


BUSY = evidence(PLANTED["event_loop_saturated"])


def test_a_cause_that_raises_is_a_result() -> None:
    # an exception becomes one line under the cause's name, and the others are asked all the same
    answer = judge(BUSY, Fakes(Fixed("bad", ValueError("no such\nthing")), Fixed("good", _claim("good", 0.5, 0.4, 0.6))))
    assert answer.broken == {"bad": "ValueError: no such"}
    assert [each.cause for each in answer.found] == ["good"]


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (_claim("a", 0.04, 0.03, 0.05), "silent"),  # too small
        (_claim("a", 0.4, -0.1, 0.9), "silent"),  # may be nothing
        (_claim("a", -0.5, -0.6, -0.4), "silent"),  # makes it worse
        (_claim("a", 0.4, None, None), "not_enough"),  # nobody knows how sure
        (_claim("a", 0.06, 0.01, 0.11), "found"),
        (_claim("a", 0.01, 0.0, 0.02, Estimate(value=200.0, low=150.0, high=250.0)), "found"),  # a step of a third of the total
        (_claim("a", 0.01, 0.0, 0.02, Estimate(value=200.0, low=-10.0, high=410.0)), "silent"),  # or none
        (_claim("a", 0.01, 0.0, 0.02, Estimate(value=5.0, low=4.0, high=6.0)), "silent"),  # too small a step
        (NotEnough(why="two values of N"), "not_enough"),
        (None, "silent"),
    ],
)
def test_what_counts(claim: object, told: str) -> None:
    # a claim counts by its share or its offset, both beyond doubt
    answer = judge(BUSY, Fakes(Fixed("a", claim)))
    names = {"found": [each.cause for each in answer.found], "silent": list(answer.silent), "not_enough": list(answer.not_enough)}
    assert [where for where, told_there in names.items() if told_there] == [told]


def test_largest_share_first() -> None:
    # the order of the answer is that of the shares
    shares = {"a": 0.2, "b": 0.6, "c": 0.4}
    answer = judge(BUSY, Fakes(*(Fixed(name, _claim(name, share, 0.1, 0.7)) for name, share in shares.items())))
    assert [each.cause for each in answer.found] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("consequence", "low", "cause", "share", "stands"),
    [
        ("serialized_awaits", 0.4, "blocking_call", 0.45, (True, False)),  # with a machine that was fitted; without
        ("server_concurrency_limit", 0.4, "tls_handshake_cpu", 0.45, (True, False)),
        ("server_concurrency_limit", 0.4, "tls_handshake_cpu", 0.3, (True, True)),  # surely more than handshakes hold
        ("event_loop_saturated", 0.4, "redirects", 0.45, (False, False)),
        ("event_loop_saturated", 0.4, "redirects", 0.1, (True, True)),
        ("event_loop_saturated", 0.4, "gil_contention", 0.45, (False, False)),
        ("client_pacing", 0.4, "connection_leak", 0.45, (False, False)),
    ],
)
def test_a_consequence_is_told_as_such(consequence: str, low: float, cause: str, share: float, stands: tuple[bool, bool]) -> None:
    # what only follows from another cause is not named beside it, unless it holds more, or a replay tells the two from each other
    fakes = Fakes(Fixed(consequence, _claim(consequence, 0.5, low, 0.6)), Fixed(cause, _claim(cause, share, share - 0.05, share + 0.05)))
    found = [{each.cause for each in judge(seen, fakes).found} for seen in (BUSY, replace(BUSY, machine=None))]
    assert tuple(consequence in names for names in found) == stands


def test_missing_parts_are_told() -> None:
    # a cause whose needs are not there is not asked, and the reason is that of the part
    lacking = replace(BUSY, class_cpu={}, missing={"class_cpu": "py-spy may not run here"})
    assert judge(lacking).not_enough["cpu_in_loop"] == "needs class_cpu: py-spy may not run here"


@pytest.mark.parametrize("name", [name for name in PLANTED if name != "none"])
def test_two_values_of_n_without_repetitions_break_nothing(name: str) -> None:
    # a sweep with two values of N, once each, is judged without an exception
    whole = evidence(PLANTED[name])
    points = {n: whole.points[n][:1] for n in (10, 160)}
    poor = replace(
        whole,
        points=points,
        slope=Estimate(value=whole.slope.value, why="two values of N, one repetition each"),
        timelines=tuple(each for each in whole.timelines if each.n in points),
        bare=tuple(each for each in whole.bare if each.spec.n in points and each.spec.repetition == 0),
        occupancy={n: whole.occupancy[n] for n in points},
        class_cpu={code: {n: by_n[n] for n in points} for code, by_n in whole.class_cpu.items()},
    )
    answer = judge(poor)
    assert not answer.broken
    assert "none" not in [each.cause for each in answer.found]


def test_wide_interval_is_not_health() -> None:
    # a slope whose interval includes 0, and much else, does not show that nothing grows
    unsure = replace(BUSY, slope=Estimate(value=1.0, low=-1.0, high=3.0))
    assert "none" in judge(unsure).not_enough


def _httpx(**other: object) -> Truth:
    """What httpx is by default: 100 connections, a keep-alive limit of 20 that counts all, a pool that scans."""
    machine = Machine(
        limit=100,
        keepalive=20,
        counts_all=True,
        start=0.6 * MS,
        finish=0.7 * MS,
        open_tcp=0.7 * MS,
        open_tls=0.65 * MS,
        server_handshake=0.45 * MS,
        scan=0.0004 * MS,
        think=(50 * MS,),
    )
    cpu = {"pool": lambda n: 0.00004 * MS * n**3, "tls-handshake": lambda n: 0.65 * MS * n}
    return Truth(machine=machine, scenario=scenario("httpx", **TLS), ns=(50, 100, 200, 300, 400), cpu=cpu, **other)  # type: ignore[arg-type] # fields of Truth


def test_pool_scan_and_lost_reuse_stand_together() -> None:
    # httpx: the scan comes first, the lost reuse second, the figures tell that keeping connections alone helps little, and neither the limit
    # that makes the queue nor the handshakes are named as causes of their own
    of = evidence(_httpx())
    answer = judge(of)
    assert [each.cause for each in answer.found] == ["library_overhead", "no_connection_reuse"]
    scan, reuse = answer.found
    assert "pool scan" in scan.detail
    assert "eviction" in reuse.detail
    replayed = {figure.what: figure.value for figure in reuse.evidence if figure.what.startswith("slope replayed")}
    assert replayed["slope replayed with connections kept alone"] > 0.7 * of.slope.value
    assert replayed["slope replayed with both"] < replayed["slope replayed without the pool scan alone"] < 0.5 * of.slope.value
    changed = CAUSES["library_overhead"].intervene(of.scenario, of)
    assert changed is not None
    assert changed.scenario.workload.concurrency == 100
    # all at once, fewer at a time keeps connections; behind a semaphore of 100 neither that nor more kept ones would help, and an experiment tells
    few = CAUSES["no_connection_reuse"].intervene(of.scenario, of)
    assert few is not None
    assert (few.scenario.workload.concurrency, few.remedy) == (20, True)
    behind = evidence(replace(_httpx(), machine=replace(_httpx().machine, workers=100)))
    plain = CAUSES["no_connection_reuse"].intervene(behind.scenario, behind)
    assert plain is not None
    assert (plain.scenario.target.tls, plain.remedy) == ("off", False)


def test_limit_of_a_busy_loop_is_silent() -> None:
    # aiohttp's limit of 100 is no cause where lifting it only buys more handshakes; the work of a request is, and the first wave's handshakes
    machine = Machine(limit=100, start=0.4 * MS, finish=0.4 * MS, open_tls=1 * MS, server_handshake=0.6 * MS, think=(50 * MS,))
    truth = Truth(
        machine=machine, scenario=scenario(**TLS), ns=(50, 100, 200, 400, 800), cpu={"tls-handshake": lambda n: 1 * MS * min(n, 100)}
    )
    answer = judge(evidence(truth))
    assert [each.cause for each in answer.found] == ["event_loop_saturated", "tls_handshake_cpu"]
    assert "first wave" in answer.found[1].detail
    assert "client_pool_limit" in answer.silent


def test_overlapped_cpu_is_silent() -> None:
    # CPU of the program that overlaps with waiting for a slow server is no cause, the server's limit is
    machine = replace(QUIET, finish=1.05 * MS, plant=1 * MS, server_limit=5)
    truth = Truth(machine=machine, cpu={"user": lambda n: n * MS}, phases={"wait": lambda n: 10.0 * n})
    assert [each.cause for each in judge(evidence(truth)).found] == ["server_concurrency_limit"]


def test_a_loaded_machine_is_no_cause() -> None:
    # a loop that waits for a core is neither blocked by a call nor held by a limit
    truth = replace(PLANTED["event_loop_saturated"], slowed=1.0)
    assert [each.cause for each in judge(evidence(truth)).found] == ["event_loop_saturated"]


def test_where_requests_wait_tells_limits_apart() -> None:
    # with three caps in a row only the one that binds is named
    machine = replace(QUIET, workers=40, limit=10, server_limit=30)
    settings = {"workload__concurrency": 40, "pool__limit": 10, "target__service__concurrency": 30}
    truth = Truth(machine=machine, scenario=scenario(**settings), phases={"wait": lambda _: 100.0})
    assert [each.cause for each in judge(evidence(truth)).found] == ["client_pool_limit"]


def _threads(client: str, machine: Machine, **other: object) -> Truth:
    """Eight threads, each with one call at a time."""
    return Truth(machine=replace(machine, workers=8), scenario=scenario(client, "threads", **TLS), threads=8, **other)  # type: ignore[arg-type] # fields of Truth


def test_a_pool_of_threads_that_wait_is_too_small() -> None:
    # as many calls as threads are under way and nobody computes: more threads would help, and no loop is to blame
    truth = _threads("httpx-sync", QUIET, thread_ms=100.0, phases={"wait": lambda _: 100.0})
    of = evidence(truth)
    (only,) = judge(of).found
    assert only.cause == "executor_saturated"
    changed = CAUSES["executor_saturated"].intervene(of.scenario, of)
    assert changed is not None
    assert changed.scenario.workload.concurrency == 20
    assert changed.changes == ("workload.concurrency: 8 → 20",)


def test_threads_that_share_a_pool_are_told_what_more_of_them_bring() -> None:
    # httpcore's pool is as quick for twenty threads as for eight, so that what they wait for is shared by twenty
    shared = known(scenario("httpx-sync", "threads", **TLS), Arm(client="httpx-sync", loop="threads"))
    machine = replace(shared, start=0.5 * MS, finish=0.6 * MS, scan=4e-7, think=(20 * MS, 25 * MS, 30 * MS))
    truth = _threads("httpx-sync", machine, ns=(40, 80, 200, 400, 800), thread_ms=26.0, phases={"wait": lambda _: 25.0})
    (only,) = judge(evidence(truth)).found
    assert only.cause == "executor_saturated"
    assert only.share.value == pytest.approx(1 - 8 / 20, abs=0.05)


def test_threads_that_parse_certificates_are_not_too_few() -> None:
    # a context in each call: its CPU is on one core whatever the threads; one client for all is tried, which makes one context
    truth = _threads(
        "httpx.get",
        replace(QUIET, start=20 * MS, think=(10 * MS,)),
        cpu={"tls-context": lambda n: n * 20 * MS},
        thread_ms=160.0,
        phases={"wait": lambda _: 10.0},
        accounts={"loop/tls-context": 0.95, "server": 0.05},
    )
    of = evidence(truth)
    (only,) = judge(of).found
    assert only.cause == "ssl_context_per_request"
    assert only.share.value == pytest.approx(0.95, abs=0.01)
    changed = CAUSES[only.cause].intervene(of.scenario, of)
    assert changed is not None
    assert [arm.name for arm in changed.scenario.arms] == ["httpx-sync/threads"]


def test_one_context_for_all_is_no_cause() -> None:
    # its CPU is there once: it falls, by request, with N
    truth = _threads("httpx-sync", QUIET, cpu={"tls-context": lambda _: 40 * MS}, accounts={"loop/tls-context": 0.3, "server": 0.7})
    assert "ssl_context_per_request" not in {each.cause for each in judge(evidence(truth)).found}


def test_healthy_says_why() -> None:
    # the healthy control is an answer with figures, and nothing to do
    (only,) = judge(evidence(HEALTHY)).found
    assert (only.cause, only.side, only.predicted) == ("none", "none", None)
    assert len(only.evidence) >= 2


def test_server_cpu_of_handshakes_is_theirs() -> None:
    # where each request opens a connection, counts charge an RSA handshake's CPU to the request: the wait in the handshake tells whose it is
    machine = replace(QUIET, open_tls=1 * MS, server_handshake=0.7 * MS, server_cpu=5 * MS, handshake=6 * MS)
    truth = Truth(machine=machine, scenario=scenario(pool__limit=0, target__tls="rsa-4096"), cpu={"tls-handshake": lambda n: n * MS})
    assert [each.cause for each in judge(evidence(truth)).found] == ["tls_handshake_cpu"]


def test_collections_charged_to_the_program_are_theirs() -> None:
    # a profiler without C frames charges a collection to the function that allocated: that alone makes the program's code no cause
    truth = replace(PLANTED["gc_pauses"], cpu={"user": lambda n: n * 2 * MS}, paused=0.62)
    assert [each.cause for each in judge(evidence(truth)).found] == ["gc_pauses"]


def test_work_beside_a_scan_stands() -> None:
    # a machine that was fitted with both tells work in proportion to N and work that grows faster from each other
    top = max(evidence(PLANTED["quadratic_scan"]).points)
    machine = replace(QUIET, finish=QUIET.finish + 2 * MS, plant=2 * MS, grow=2 * MS / top)
    truth = replace(PLANTED["quadratic_scan"], machine=machine, cpu={"user": lambda n: n * 2 * MS + n * n * 2 * MS / top})
    of = evidence(truth)
    assert {each.cause for each in judge(of).found} == {"quadratic_scan", "cpu_in_loop"}
    steeper = replace(truth, machine=replace(machine, grow=4 * MS / top))
    untold = replace(
        evidence(steeper), machine=replace(steeper.machine, plant=0.0)
    )  # one of the two was not fitted: nothing tells them apart
    assert [each.cause for each in judge(untold).found] == ["quadratic_scan"]


def test_the_loop_tells_that_debug_mode_is_on() -> None:
    # without a profile, what the loop says of itself carries a claim of a measured multiple, with a wide interval; and nothing else does
    machine = replace(QUIET, start=1 * MS, finish=2 * MS)
    of = replace(evidence(replace(PLANTED["asyncio_debug"], machine=machine, scenario=scenario())), class_cpu={}, top=())
    assert "asyncio_debug" not in [each.cause for each in judge(of).found]
    told = next(each for each in judge(replace(of, counters={"asyncio_debug": 1})).found if each.cause == "asyncio_debug")
    assert told.share.low is not None
    assert 0 < told.share.low < 0.5 * told.share.value


def test_a_stolen_core_is_no_blocking_call() -> None:
    # a loop that does not compute although it could, and never gave its core up, was kept from it: no call blocked it
    of = evidence(PLANTED["blocking_call"])
    kept_from = tuple(
        structs.replace(timeline, process=structs.replace(timeline.process, waits=1)) for timeline in of.timelines if timeline.process
    )
    assert "blocking_call" not in [each.cause for each in judge(replace(of, timelines=kept_from)).found]


def test_only_what_the_clock_counted_is_compared() -> None:
    # the loop's last iteration may end after the last sample of its thread's clock, and is then neither CPU nor off the CPU
    ms = 1_000_000
    timeline = Timeline(
        trial="t",
        arm="aiohttp/asyncio",
        n=10,
        repetition=0,
        t0_ns=0,
        total_ns=100 * ms,
        iterations=Iterations(start_ns=(0, 40 * ms), poll_ns=(10 * ms, 0), run_ns=(30 * ms, 60 * ms), ready=(0, 0)),
        lag=Lag(running_ns=90 * ms, blocked_ns=0, blocked=0, longest_ns=60 * ms, expected_wait_ns=0),
        process=Process(cpu_ns=30 * ms, run_queue_ns=0, waits=11, first_ns=0, last_ns=40 * ms),
    )
    assert off_cpu_ms(timeline) == 0
    half = structs.replace(timeline, process=Process(cpu_ns=15 * ms, run_queue_ns=0, waits=11, first_ns=0, last_ns=40 * ms))
    assert off_cpu_ms(half) == pytest.approx(45.0)


def test_predictions_are_what_the_change_leaves() -> None:
    # what is predicted is the replay of exactly what the intervention changes: here a bound as large as the pool, which is not the same as no scan
    of = evidence(_httpx())
    scan = judge(of).found[0]
    assert of.machine is not None
    bounded = what_if.without(of.machine, replace(of.machine, workers=100), of.points, of.slope)[0]
    assert scan.predicted == bounded


def test_two_limits_of_one_size_are_lifted_together() -> None:
    # where program and pool have the same limit, lifting one changes nothing: the program's is named, and both are lifted
    machine = replace(QUIET, workers=10, limit=10)
    of = evidence(Truth(machine=machine, scenario=scenario(workload__concurrency=10, pool__limit=10), phases={"wait": lambda _: 100.0}))
    assert [each.cause for each in judge(of).found] == ["client_semaphore"]
    changed = CAUSES["client_semaphore"].intervene(of.scenario, of)
    assert changed is not None
    assert changed.changes == ("workload.concurrency: 10 → all at once", "pool.limit: 10 → 0 (no limit)")


def test_after_the_semaphore_lost_reuse_leads() -> None:
    # httpx with a semaphore before its pool: no scan is left, connections are still thrown away, and that is now the first answer;
    # the semaphore itself, which is as large as the pool, is none
    truth = _httpx()
    machine = replace(truth.machine, workers=100, scan=0.0, finish=0.4 * MS, start=0.3 * MS)
    treated = replace(
        truth, machine=machine, scenario=scenario("httpx", workload__concurrency=100, **TLS), cpu={"tls-handshake": lambda n: 0.65 * MS * n}
    )
    found = [each.cause for each in judge(evidence(treated)).found]
    assert found[0] == "no_connection_reuse"
    assert "client_semaphore" not in found


def test_a_scan_beyond_the_profiles_is_found() -> None:
    # where profiles and timelines end at an N at which nobody waited for the pool yet, the growth of the bare trials' CPU tells of its scan
    whole = evidence(_httpx())
    short = replace(
        whole,
        timelines=tuple(each for each in whole.timelines if each.n <= 100),
        occupancy={n: each for n, each in whole.occupancy.items() if n <= 100},
        class_cpu={code: {n: seconds for n, seconds in by_n.items() if n <= 100} for code, by_n in whole.class_cpu.items()}
        | {"pool": {50: 0.002, 100: 0.004}},
    )
    assert [each.cause for each in judge(short).found] == ["library_overhead", "no_connection_reuse"]
    unfitted = replace(short, machine=None)
    assert "library_overhead" not in [each.cause for each in judge(unfitted).found]


def test_debug_mode_makes_collections_dearer() -> None:
    # of what collections take it has the same part as of what requests compute, so that its share of the slope stays
    machine = replace(QUIET, start=1 * MS, finish=2 * MS)
    of = evidence(replace(PLANTED["asyncio_debug"], machine=machine))
    parts = []
    for pause in (0.0, 3 * MS):
        each = replace(of, machine=replace(machine, pause=pause))
        found = asyncio_debug.CAUSE.attribute(each)
        assert isinstance(found, Attribution)
        parts.append(found.share.value)
    assert parts[1] == pytest.approx(parts[0], rel=0.15)
