"""The instruments in real trials: every client on every loop, with and without TLS, against the server's own account."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from loopdiag.analysis.timelines import LINK_STAMPS, resolve
from loopdiag.analysis.witness import agreement
from loopdiag.lab import columns
from loopdiag.lab.clients import ASYNCIO, CLIENTS, loops_of
from loopdiag.lab.injection import injected_environment, observed
from loopdiag.lab.job import Job
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.trial import Bench
from loopdiag.model.events import PHASES, legal
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Payload, Pool, Scenario, Service, Target, Workload
from loopdiag.model.timeline import Timeline

ROOT = Path(__file__).parent.parent
REAL = [
    (client, loop) for client in CLIENTS if client not in {"fake", "tornado"} for loop in sorted(loops_of(CLIENTS[client]) & ASYNCIO)
]  # nothing sees into tornado
N, THINK_MS = 60, 20


def scenario(client: str, loop: str, tls: str, **more: object) -> Scenario:
    """Sixty requests at once, 20 ms of think time each."""
    target = Target(path="/x/{i}", tls=tls, service=Service(mean_ms=THINK_MS), payload=Payload(mean_bytes=40_000))  # type: ignore[arg-type]
    return Scenario(name="s", arms=(Arm(client=client, loop=loop),), target=target, **more)  # type: ignore[arg-type]


def observe(server: TargetServer, what: Scenario, folder: Path, n: int = N) -> tuple[TrialResult, Timeline, dict[str, np.ndarray]]:
    """One timeline trial, resolved, and its tables."""
    spec = TrialSpec(id="t", arm=what.arms[0], n=n, tier="timeline", repetition=0, seed=1)
    ca_file = str(server.ca_file) if server.ca_file else None
    job = Job(scenario=what, spec=spec, url=server.url, folder=str(folder), ca_file=ca_file, warm_up=True)
    result = Bench(server).run(job, folder)
    tables = columns.load(folder)
    return result, resolve(tables, result), tables


@pytest.fixture(scope="module", params=["off", "ecdsa-p256"])
def server(request: pytest.FixtureRequest) -> Iterator[TargetServer]:
    """The embedded target, plain and with TLS."""
    with TargetServer.start(scenario("aiohttp", "asyncio", request.param)) as started:
        started.tls = request.param  # type: ignore[attr-defined] # the tests below ask which of the two it is
        yield started


@pytest.mark.parametrize(("client", "loop"), REAL)
class TestEveryClientOnEveryLoop:
    """The contract that a client's instrument keeps."""

    def test_timelines_are_whole_and_agree_with_the_witness(self, server: TargetServer, tmp_path: Path, client: str, loop: str) -> None:
        # every request is seen whole, in a legal order, its phases add up, and the server agrees with it
        tls = server.tls  # type: ignore[attr-defined]
        result, line, tables = observe(server, scenario(client, loop, tls), tmp_path)
        assert result.status == "ok"
        assert line.faults == ()
        assert len(line.attempts) == N
        assert {attempt.request for attempt in line.attempts} == set(range(1, N + 1))
        for attempt in line.attempts:
            assert attempt.status == 200
            needed = {
                "created",
                "first_run",
                "enqueued",
                "assigned",
                "resumed",
                "send_start",
                "send_end",
                "first_byte",
                "headers",
                "last_byte",
                "body",
                "done",
            }
            assert needed <= set(attempt.stamps)
            order = sorted(
                (at, list(attempt.stamps).index(name), name) for name, at in attempt.stamps.items() if name not in {"due", "released"}
            )
            assert legal([name for *_, name in order]) is None, order
            assert {phase.name for phase in attempt.phases} <= set(PHASES)
            assert sum(p.end_ns - p.start_ns for p in attempt.phases) == attempt.stamps["done"] - attempt.stamps["created"]
            assert attempt.wire_bytes is not None
            assert attempt.wire_bytes > 40_000
            waited = attempt.stamps["first_byte"] - attempt.stamps["send_start"]
            assert waited >= THINK_MS * 1e6 * 0.99
        seen, right = agreement(tables["attempts"], tables["server_requests"], result.t0_ns or 0)
        assert seen == N
        assert right >= 0.99 * N

    def test_connections_are_those_that_the_server_accepted(self, server: TargetServer, tmp_path: Path, client: str, loop: str) -> None:
        # as many connections as the server counted, each with its set-up in order and its TLS handshake where there is one
        tls = server.tls  # type: ignore[attr-defined]
        result, line, tables = observe(server, scenario(client, loop, tls, pool=Pool(limit=10)), tmp_path)
        ports = {int(row["local_port"]) for row in tables["connections"] if row["t0"] >= (result.t0_ns or 0)}
        assert len(line.connections) == result.connections_opened
        assert ports == {int(port) for port in tables["server_connections"]["peer_port"]}
        needed = set(LINK_STAMPS) - {"closed", "lookup_start", "lookup_end"} - (set() if tls != "off" else {"tls_start", "tls_end"})
        for link in line.connections:
            assert needed <= set(link.stamps)
            assert (link.tls_cpu_ns or 0) > 0 if tls != "off" else link.tls_cpu_ns is None
        assert sum(link.requests for link in line.connections) == N
        assert sum("reused" in attempt.flags for attempt in line.attempts) == N - len(line.connections)

    def test_a_limit_shows_as_waiting_in_the_pool(self, server: TargetServer, tmp_path: Path, client: str, loop: str) -> None:
        # with 10 connections for 60 requests, most of them wait in the pool for others' think times, and never more than 10 are in flight
        tls = server.tls  # type: ignore[attr-defined]
        _, line, _ = observe(server, scenario(client, loop, tls, pool=Pool(limit=10)), tmp_path)
        pool = sorted(sum(p.end_ns - p.start_ns for p in attempt.phases if p.name == "pool") for attempt in line.attempts)
        assert pool[N // 2] >= THINK_MS * 1e6
        edges = sorted(
            [(a.stamps["send_start"], 1) for a in line.attempts]
            + [(min(a.stamps["first_byte"], a.stamps["done"]), -1) for a in line.attempts]
        )
        assert max(np.cumsum([step for _, step in edges])) <= 10

    def test_the_loop_accounts_for_its_time(self, server: TargetServer, tmp_path: Path, client: str, loop: str) -> None:
        # poll and run of the iterations fill the trial
        tls = server.tls  # type: ignore[attr-defined]
        result, line, _ = observe(server, scenario(client, loop, tls), tmp_path)
        assert line.iterations is not None
        inside = sum(line.iterations.poll_ns) + sum(line.iterations.run_ns)
        assert result.total_s is not None
        first = line.iterations.start_ns[0]
        assert inside >= 0.9 * (result.total_s * 1e9 - first)

    def test_errors_are_flagged(self, server: TargetServer, tmp_path: Path, client: str, loop: str) -> None:
        # a request that times out has no last byte, and says that it failed
        tls = server.tls  # type: ignore[attr-defined]
        what = scenario(client, loop, tls, workload=Workload(timeout_s=0.005))
        result, line, _ = observe(server, what, tmp_path, n=5)
        assert sum(result.errors.values()) == 5
        for attempt in line.attempts:
            assert {"timed_out", "cancelled"} & set(attempt.flags)
            assert "body" not in attempt.stamps


def run(code: str, folder: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A Python program under the instruments."""
    import os

    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**injected_environment(os.environ, folder), **more},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_needs_nothing_of_ours(tmp_path: Path) -> None:
    # the injected package is found without loopdiag being importable, and leaves the program's modules as they were
    code = "import sys; print('loopdiag' in sys.modules, 'loopdiag_instruments' in sys.modules, 'asyncio' in sys.modules)"
    ended = run(code, tmp_path)
    assert ended.stdout.split() == ["False", "True", "False"]
    assert observed(tmp_path).python == sys.version.split()[0]


def test_an_existing_sitecustomize_still_runs(tmp_path: Path) -> None:
    # the program's own sitecustomize is run after ours, and its path is its own
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins; builtins.marked = 'yes'\n")
    ended = run(
        "import sys; print(marked, any('instruments' in entry for entry in sys.path))",
        tmp_path,
        PYTHONPATH=f"{ROOT}/loopdiag/instruments/site:{own}",
    )
    assert ended.stdout.split() == ["yes", "False"], ended.stderr


def test_a_recorder_that_cannot_start_leaves_the_program_alone(tmp_path: Path) -> None:
    # no folder to record into: the program runs, and nothing is printed
    ended = run("print('fine')", tmp_path / "absent")
    assert (ended.stdout, ended.stderr, ended.returncode) == ("fine\n", "", 0)


@pytest.mark.parametrize(
    ("module", "missing", "instrument"),
    [
        ("aiohttp.connector", "del aiohttp.connector.TCPConnector._resolve_host", "aiohttp_pool"),
        ("httpcore._async.connection_pool", "del httpcore._async.connection_pool.AsyncPoolRequest.assign_to_connection", "httpcore_pool"),
    ],
)
def test_an_instrument_whose_names_are_gone_drops_itself(tmp_path: Path, module: str, missing: str, instrument: str) -> None:
    # a library that changed inside is still imported and used; the instrument says which name it missed
    first = module.split(".", maxsplit=1)[0]
    code = (
        "import sys, importlib\n"
        "import loopdiag_instruments.on_import as o\n"
        f"held = o._finder.watched.pop({first!r})\n"
        f"import {module}\n{missing}\n"
        f"for callback in held: callback(sys.modules[{first!r}])\n"
    )
    ended = run(code, tmp_path)
    assert ended.returncode == 0, ended.stderr
    left = json.loads((tmp_path / "instruments.json").read_text())
    assert "is not there" in left["not_observed"][instrument]
    assert instrument not in left["installed"]


def test_a_killed_process_says_that_it_was(tmp_path: Path) -> None:
    # what a killed process had stamped is there; its account is not, and that is said
    run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert "killed" in observed(tmp_path).not_observed["instruments"]
