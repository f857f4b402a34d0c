"""Verifying on a user's own program: the same program run beside itself with knobs turned."""

import json
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from evidence_parts import PLANTED, evidence
from exec_parts import gated, python, script, target
from lab_parts import ENVIRONMENT
from msgspec.structs import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.lab import store
from loopdiag.lab.campaign import WORLD, blank
from loopdiag.lab.program_null import FOLDER
from loopdiag.lab.program_start import ARM
from loopdiag.lab.servers.null import FILE
from loopdiag.lab.targets import Targets
from loopdiag.model.attribution import Attribution
from loopdiag.model.diagnosis import CauseFound
from loopdiag.model.law import Estimate
from loopdiag.model.program import Place
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Delay, Knobs, Pool, Program, Scenario, Sweep, Workload
from loopdiag.verify.bench import Bench, Costs, heavier, loopback
from loopdiag.verify.code_changes import code_changes
from loopdiag.verify.doses import inject, passes, response, with_response
from loopdiag.verify.outcomes import Outcome, outcome
from loopdiag.verify.program_doses import seam
from loopdiag.verify.record import BASE, Attempt, Dose

GATED = gated(4)
NS = (8, 32, 64)
SEEN = Workload(concurrency=4)


def program(*argv: str, **parts: Any) -> Scenario:
    """A program's scenario, as it was seen."""
    return Scenario(name="test", arms=(ARM,), program=Program(argv=argv or ("python", "{n}")), sweep=Sweep(n=NS), **parts)


def bench(folder: Path, scenario: Scenario, targets: Targets, *, live: bool = False, peers: tuple[str, ...] = ("127.0.0.1",)) -> Bench:
    """A bench whose run saw these peers."""
    spec = TrialSpec(id="1", arm=ARM, n=8, tier="timeline", repetition=0, seed=1)
    trial = TrialResult(spec=spec, status="ok", total_s=0.1, process_s=0.4, peers=peers)
    recording = replace(blank(scenario, ENVIRONMENT, datetime.now(UTC)), trials=(trial,))
    return Bench(folder, recording, WORLD.clock() + 60, targets, live=live)


def tried(folder: Path, settings: dict[str, object], *, ns: tuple[int, ...] = (8, 64), **parts: Any) -> Outcome:
    """A change of a real program, tried."""
    with target(mean_ms=60) as server, Targets(WORLD.start) as targets:
        base = program(*python(script(folder, GATED), "{n}", server.url), **parts)
        made = change(base, settings)
        assert made is not None
        at = bench(folder, base, targets)
        assert at.why_not(base, made.scenario) is None
        attempt = Attempt(arm=ARM.name, cause="client_semaphore", changes=made.changes, ns=ns, folder="verify/01-test")
        expected = Costs(dict.fromkeys(ns, 0.6), dict.fromkeys(ns, 0.4), 30.0)
        ran, stopped = at.attempt(attempt, base, made.scenario, expected, 3)
        assert not stopped
        assert outcome(folder, attempt).verdict == ran.verdict
        return ran


def test_a_remedy_is_confirmed_on_the_program_itself(tmp_path: Path) -> None:
    # where a semaphore's value is the cause, the same program with a larger one is found to grow less, and the change is told by the line of its code
    made = tried(tmp_path, {"workload.concurrency": None}, workload=SEEN)
    assert (made.verdict, made.attempt.changes) == (
        "CONFIRMED",
        ("requests under way at a time: 4 → all at once (injected: knobs.semaphore = 0)",),
    )
    assert made.gain > 0.5
    place = Place(file="/x/client.py", line=10, text="async with gate:")
    assert code_changes(program(), [made], {"client_semaphore": place}) == (
        "in client.py:10 `async with gate:`: take the semaphore away, or give it a value above all that may wait (injected here: knobs.semaphore = 0)",
    )
    treated = store.load(tmp_path / made.attempt.folder / "treated")
    assert {trial.knobs_acted["semaphore"] for trial in treated.trials} == {1}
    assert {trial.status for trial in store.load(tmp_path / made.attempt.folder / BASE).trials} == {"ok"}


def test_a_knob_that_never_acts_refutes_nothing(tmp_path: Path) -> None:
    # where nothing of the program was changed by the knob, the attempt says so and is inconclusive
    made = tried(tmp_path, {"knobs.executor": 50}, ns=(8, 12))
    assert made.verdict == "INCONCLUSIVE"
    assert made.reason == "the knob executor changed nothing in the program: nothing that it changes was met"


def test_a_null_server_takes_the_servers_place(tmp_path: Path) -> None:
    # where the server's time is the cause, a server that only repeats its answers shows it; the program prints the same, and the server is asked no more
    made = tried(tmp_path, {"knobs.null_server": True}, ns=(8, 64))
    assert made.gain > 0.5
    treated = tmp_path / made.attempt.folder / "treated"
    said = {path.read_text(encoding="utf-8") for path in treated.rglob("program.out") if "-n64-" in path.parent.name}
    assert said == {
        path.read_text(encoding="utf-8") for path in (treated.parent / BASE).rglob("program.out") if "-n64-" in path.parent.name
    }
    assert len(json.loads((treated / FOLDER / FILE).read_text(encoding="utf-8"))) == 64


# -- what must not be run


@pytest.mark.parametrize(("settings", "parts", "more"), [
    ({"knobs.pool_limit": 0}, {}, True),
    ({"knobs.pool_limit": 10}, {}, False),
    ({"pool.limit": 0}, {"pool": Pool(limit=5)}, True),
    ({"pool.limit": 5}, {"pool": Pool(limit=10)}, False),
    ({"knobs.semaphore": 0}, {"workload": SEEN}, True),
    ({"workload.concurrency": 8}, {"workload": SEEN}, True),
    ({"workload.concurrency": 2}, {"workload": SEEN}, False),
    ({"knobs.lock": False}, {}, True),
    ({"knobs.executor": 100}, {}, True),
    ({"knobs.sleep": 0.0}, {}, True),
    ({"knobs.blocking_sleep": 0.5}, {}, True),
    ({"knobs.shared_session": True}, {}, False),
    ({"knobs.uvloop": True}, {}, False),
    ({"knobs.debug_off": True}, {}, False),
    ({"knobs.delay": Delay(ms=3)}, {}, False),
])  # fmt: skip
def test_what_puts_more_load_on_a_server(settings: dict[str, object], parts: dict[str, Any], more: bool, tmp_path: Path) -> None:
    # more requests at once than the program makes go to this machine's own servers, or with --live
    base = program("python", "{n}", **parts)
    made = change(base, settings)
    assert made is not None
    assert heavier(base, made.scenario) is more
    with Targets(WORLD.start) as targets:
        assert bench(tmp_path, base, targets).why_not(base, made.scenario) is None
        assert bench(tmp_path, base, targets, live=True, peers=("10.1.2.3",)).why_not(base, made.scenario) is None
        why = bench(tmp_path, base, targets, peers=("127.0.0.1", "api.example.org")).why_not(base, made.scenario)
        assert why == ("it would put more load on api.example.org than the program does: with --live it is tried" if more else None)
        why = bench(tmp_path, base, targets, peers=()).why_not(base, made.scenario)
        assert why == ("it would put more load on servers that were not seen: with --live it is tried" if more else None)


@pytest.mark.parametrize(("peer", "own"), [
    ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("a.localhost", True), ("/run/x.sock", True),
    ("10.0.0.1", False), ("example.org", False), ("fe80::1%eth0", False), ("", False), ("localhost.example.org", False),
])  # fmt: skip
def test_loopback(peer: str, own: bool) -> None:
    # only addresses and names that cannot be another machine's are this machine's own
    assert loopback(peer) is own


# -- changes


@pytest.mark.parametrize(("settings", "parts", "knobs", "line"), [
    ({"pool.limit": 0}, {"pool": Pool(limit=5)}, Knobs(pool_limit=0), "connections in the pool: 5 → 0 (no limit) (injected: knobs.pool_limit = 0)"),
    ({"workload.concurrency": 9}, {"workload": SEEN}, Knobs(semaphore=9), "requests under way at a time: 4 → 9 (injected: knobs.semaphore = 9)"),
    ({"pool.keepalive_s": None}, {"pool": Pool(keepalive_s=1)}, Knobs(keepalive=0), "how long idle connections are kept, in seconds: 1 → default (injected: knobs.keepalive = 0)"),
    ({"arms": (Arm(client="program", loop="uvloop"),)}, {}, Knobs(uvloop=True), "event loop: as the program has it → uvloop (injected: knobs.uvloop = true)"),
    ({"knobs.shared_tls": True}, {}, Knobs(shared_tls=True), "TLS contexts that are made alike are one (injected: knobs.shared_tls = true)"),
    ({"knobs.lock": False}, {}, Knobs(lock=False), "everyone passes locks at once (injected: knobs.lock = false)"),
    ({"knobs.semaphore": 0}, {}, Knobs(semaphore=0), "nobody waits at a semaphore (injected: knobs.semaphore = 0)"),
    ({"knobs.delay": Delay(ms=3, place="client.py:14")}, {}, Knobs(delay=Delay(ms=3, place="client.py:14")),
     "knobs.delay: as the program has it → 3 ms at each client.py:14, injected"),
])  # fmt: skip
def test_changes_of_a_program(settings: dict[str, object], parts: dict[str, Any], knobs: Knobs, line: str) -> None:
    # what a cause changes of a program is what was seen of it and the knob that does so, and its arm stays its own
    made = change(program("python", "{n}", **parts), settings)
    assert made is not None
    assert (made.scenario.knobs, made.changes, made.scenario.arms) == (knobs, (line,), (ARM,))


@pytest.mark.parametrize("settings", [
    {"target.service.mean_ms": 3.0},
    {"pool.limit": 7, "target.tls": "ecdsa-p256"},
    {"arms": (Arm(client="aiohttp", loop="uvloop"),)},
    {"pool.keepalive": None, "workload.method": "HEAD"},
])  # fmt: skip
def test_what_has_no_knob(settings: dict[str, object]) -> None:
    # a change that cannot be made inside a program is none, not even in part
    assert change(program("python", "{n}"), settings) is None


def test_code_changes_follow_one_another() -> None:
    # each adopted change is told once, upon those before it
    sides = [
        replace(program(), knobs=Knobs(pool_limit=0)),
        replace(program(), knobs=Knobs(pool_limit=0, uvloop=True, semaphore_place="x.py:1")),
    ]
    attempt = Attempt(arm="program/own", cause="a", changes=(), ns=NS, folder="x")
    estimate = Estimate(value=1.0, unit="ms/request")
    adopted = [Outcome(attempt, None, estimate, scenario=side) for side in sides]
    lines = code_changes(program(), adopted, {})
    assert [line.partition(":")[0] for line in lines] == ["take the limit of the connection pool away", "run on uvloop"]


# -- doses


SERIAL = """
    import asyncio, sys
    import aiohttp

    async def main(n, url):
        async with aiohttp.ClientSession() as session:
            for i in range(n):
                async with session.get(f"{url}/{i}") as answer:
                    await answer.read()

    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
"""


def claim(cause: str, place: Place | None = None) -> Attribution:
    """A cause that claims everything."""
    return Attribution(cause=cause, share=Estimate(value=1.0, unit=""), slope_ms=Estimate(value=60.0, unit="ms"), place=place)


def seen_as(scenario: Scenario, slope_ms: float = 60.0) -> Evidence:
    """Evidence of a program with this slope."""
    points = {n: [0.1 + slope_ms * n / 1000] * 2 for n in (2, 8)}
    slope = Estimate(value=slope_ms, low=slope_ms - 1, high=slope_ms + 1, unit="ms/request")
    return changed(evidence(next(iter(PLANTED.values()))), scenario=scenario, arm=ARM, slope=slope, points=points)


@pytest.mark.parametrize(("cause", "line", "workload", "delay", "own_ms", "predicted"), [
    ("serialized_awaits", None, Workload(concurrency=1), Delay(seam="request"), 60.0, 1.0),
    ("batch_barrier", None, Workload(concurrency=5), Delay(seam="request"), 300.0, 0.2),
    ("batch_barrier", None, Workload(), None, 0.0, None),
    ("cpu_in_loop", 14, Workload(), Delay(seam="blocking_call", place="client.py:14"), 60.0, 1.0),
    ("cpu_in_loop", None, Workload(), None, 0.0, None),
    ("no_connection_reuse", None, Workload(), Delay(seam="connect"), 60.0, None),
    ("bandwidth", None, Workload(), None, 0.0, None),
])  # fmt: skip
def test_where_time_is_added(  # noqa: PLR0917 - the columns of a table
    cause: str, line: int | None, workload: Workload, delay: Delay | None, own_ms: float, predicted: float | None
) -> None:
    # a cause's mechanism has one seam or none, and the critical path says what of a delay reaches the total; a line is traced in the base, too
    place = None if line is None else Place(file="/x/client.py", line=line)
    found = seam(claim(cause, place), seen_as(program(workload=workload)))
    if delay is None:
        assert found is None
        return
    assert found is not None
    assert (found.delay, found.own_ms, found.predicted) == (delay, own_ms, predicted)
    assert found.base.knobs.delay == (delay if delay.place else None)
    assert found.dose(3.0).knobs.delay == replace(delay, ms=3.0)


def test_a_delay_reaches_the_total_of_a_serial_program(tmp_path: Path) -> None:
    # each ms that is added to each of a program's awaits in a row makes the total longer by as much
    with target(mean_ms=60) as server, Targets(WORLD.start) as targets:
        base = program(*python(script(tmp_path, SERIAL), "{n}", server.url), workload=Workload(concurrency=1))
        dose, stopped = inject(bench(tmp_path, base, targets), claim("serialized_awaits"), seen_as(base), 60.0)
    assert dose is not None
    assert not stopped
    found = response(tmp_path, dose)
    assert found is not None
    assert 0.6 < found.value < 1.5
    assert passes(tmp_path, dose) == 1
    told = with_response(CauseFound(cause="serialized_awaits"), dose, found).why
    assert "(knobs.delay at each request)" in told
    assert told.endswith("the critical path predicts 1")


@pytest.mark.parametrize(
    ("often", "said"),
    [
        (None, "3 ms added to each request (knobs.delay at each client.py:14) add 4 ± 0.5 ms of slope per ms; the critical path predicts 1"),
        (1.02, "3 ms added to each request (knobs.delay at each client.py:14) add 4 ± 0.5 ms of slope per ms; the critical path predicts 1"),
        (4.0, "3 ms added at each pass (knobs.delay at each client.py:14; 4 passes a request) add 4 ± 0.5 ms of slope per ms; the critical path predicts 4"),
    ],
)  # fmt: skip
def test_a_line_that_a_request_passes_often_is_delayed_as_often(often: float | None, said: str) -> None:
    # time is added at each pass: what a request gets of it, and what is predicted, goes with their number
    mechanism = "knobs.delay at each client.py:14"
    dose = Dose(arm="program/own", cause="cpu_in_loop", mechanism=mechanism, doses_ms=(3.0,), predicted=1.0, folder="x")
    made = with_response(CauseFound(cause="cpu_in_loop"), dose, Estimate(value=4.0, low=3.5, high=4.5), often)
    assert made.why == said
