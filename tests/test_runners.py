"""Every client on every loop that is none of asyncio's, by the real worker: fates, pools, TLS, arrivals, and what the timeline tells."""

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from lab_parts import MIXED, Server, ca_file, scenario, serving, spec
from required import missing

from loopdiag.analysis.timelines import resolve
from loopdiag.lab import columns
from loopdiag.lab.clients import CLIENTS, loops_of
from loopdiag.lab.job import Job
from loopdiag.lab.loops import LOOPS, runner_of
from loopdiag.lab.trial import WORKER, Bench
from loopdiag.model.recording import Tier, TrialResult
from loopdiag.model.scenario import Arm, Pool, Sweep, Target, Workload
from loopdiag.model.timeline import Attempt, Timeline

pytestmark = pytest.mark.slow

PAIRS = [
    (client, loop) for client in CLIENTS for loop in LOOPS if loop != "own" and runner_of(LOOPS[loop]) and loop in loops_of(CLIENTS[client])
]
#: Of these a request may fail, or its connection be opened anew, by no fault of ours: httpcore's pool asks each idle connection whether
#: the server has closed it, without a lock, and takes the answer for which another thread has just sent a request for a close.
RACING = {("httpx-sync", "threads")}
ROUNDS = 6
#: of these the timeline shows when they begin and end, and no more: nothing sees inside
BLIND = {("httpx-sync", "processes"), ("httpx.get", "processes"), ("twisted", "twisted")}
KINDS = {"reset": "reset", "503": "status-5xx", "404": "status-4xx", "text": "decode", "slow": "timeout"}


def each(rule: Callable[[str, str, Path], None]) -> Any:
    """A rule for every pair; where threads race for a connection it may be broken, but not in all of `ROUNDS`."""

    @functools.wraps(rule)
    def held(client: str, loop: str, tmp_path: Path) -> None:
        for number in range(1, ROUNDS if (client, loop) in RACING else 1):
            (folder := tmp_path / str(number)).mkdir()
            with contextlib.suppress(AssertionError):
                return rule(client, loop, folder)
        return rule(client, loop, tmp_path)

    return pytest.mark.parametrize(("client", "loop"), PAIRS, ids=["-".join(pair) for pair in PAIRS])(held)


def trial(server: str, pair: tuple[str, str], folder: Path, n: int, **parts: Any) -> TrialResult:
    """One trial of `n` requests in a fresh process; `parts`: tier, path, pool, workload, ca."""
    client, loop = pair
    for part in (CLIENTS[client], LOOPS[loop]):
        if why := part.available():
            missing(why)  # the dev extra brings them all
    tier: Tier = parts.get("tier", "bare")
    arm, record = Arm(client=client, loop=loop), folder / f"{client}-{tier}"
    record.mkdir()
    asked = scenario(
        arm,
        target=Target(path=parts.get("path", "/{i}")),
        pool=parts.get("pool", Pool()),
        workload=parts.get("workload", Workload()),
        sweep=Sweep(trial_timeout_s=60),
    )
    job = Job(scenario=asked, spec=spec(arm, n, tier=tier), url=server, folder=str(record), ca_file=parts.get("ca"), warm_up=False)
    return Bench(None).run(job, record)


def timeline(result: TrialResult, folder: Path) -> Timeline:
    """The timeline that a trial left."""
    return resolve(columns.load(folder / f"{result.spec.arm.client}-timeline"), result)


def by_request(line: Timeline) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in line.attempts:
        found[attempt.request].append(attempt)
    return found


def answered(server: Server) -> int:
    """The bytes of all bodies that the server sent, if each path was asked for once."""
    return sum(len(json.dumps({"path": path})) for path in server.paths)


@each
def test_each_request_is_told_as_it_went(client: str, loop: str, tmp_path: Path) -> None:
    # Failures are counted by kind and disturb no other request; the timeline has each request with its end, and its status where something sees it.
    work = Workload(decode="json", decode_when="inside", timeout_s=0.5)
    with serving() as server:
        ran = trial(server.url, (client, loop), tmp_path, 2 * len(MIXED), tier="timeline", path="/mixed/{i}", workload=work)
    assert ran.status == "ok", ran.why
    assert ran.errors == dict.fromkeys(KINDS.values(), 2)
    line = timeline(ran, tmp_path)
    assert line.faults == ()
    found = by_request(line)
    assert sorted(found) == list(range(1, 2 * len(MIXED) + 1))
    for number, attempts in found.items():
        fate, last = MIXED[(number - 1) % len(MIXED)], attempts[-1]
        assert "done" in last.stamps
        failed = {"error", "timed_out"} & set(last.flags)
        if (client, loop) not in BLIND:
            assert (last.status or 0) == ({"reset": 0, "slow": 0, "503": 503, "404": 404}.get(fate, 200)), (number, fate, last)
            assert bool(failed) == (fate in {"reset", "slow", "text"}), (number, fate, last)
            assert last.connection or fate == "slow" or (client, fate) == ("curl", "reset")
        assert not failed or fate not in {"plain", "gzip"}


@each
def test_the_pool_is_as_asked(client: str, loop: str, tmp_path: Path) -> None:
    # Connections are bounded and kept as the scenario says; httpx.get, which has no pool, opens one a request; bodies are decompressed.
    pool, work, most = Pool(limit=3), Workload(), 3
    if client == "httpx.get":
        pool, most = Pool(), 30
    elif loop == "sync":
        pool, most = Pool(), 1
    elif loop == "processes":
        pool, work, most = Pool(), Workload(concurrency=2), 2
    elif loop == "twisted":
        pool, work = Pool(keepalive=3), Workload(concurrency=3)
    with serving() as server:
        ran = trial(server.url, (client, loop), tmp_path, 30, path="/gzip/{i}", pool=pool, workload=work)
        assert ran.errors == {}
        assert ran.body_bytes == answered(server)
        assert server.connections == 30 if client == "httpx.get" else server.connections <= most
        assert server.open_at_most <= (8 if client == "httpx.get" else most)


@each
def test_tls_is_verified(client: str, loop: str, tmp_path: Path) -> None:
    # The right CA is accepted, a wrong one refused and told as `tls`; where something sees the connections, their handshakes are told.  No file is left over.
    wrong = tmp_path / "wrong.pem"
    trustme.CA().cert_pem.write_to_path(wrong)
    (spare := tmp_path / "spare").mkdir()
    with serving(tls=True) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(spare))
        good = trial(server.url, (client, loop), tmp_path, 4, ca=ca_file(server, tmp_path), tier="timeline")
        accepted = server.connections
        bad = trial(server.url, (client, loop), tmp_path, 2, ca=str(wrong))
        assert (good.errors, bad.errors) == ({}, {"tls": 2})
        assert not list(spare.iterdir())
        if (client, loop) not in BLIND:
            line = timeline(good, tmp_path)
            assert len(line.connections) == accepted
            assert all(link.stamps["tls_start"] < link.stamps["tls_end"] for link in line.connections)


@each
def test_nobody_listens_is_kind_connect(client: str, loop: str, tmp_path: Path) -> None:
    # A refused connection is kind `connect`.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        ran = trial(f"http://127.0.0.1:{bound.getsockname()[1]}", (client, loop), tmp_path, 1)
    assert ran.errors == {"connect": 1}


@each
def test_arrivals_are_due_when_the_scenario_says(client: str, loop: str, tmp_path: Path) -> None:
    # In an open workload each request is due at its time after t0, and none begins before.
    work = Workload(kind="open", rate_per_s=200)
    with serving() as server:
        ran = trial(server.url, (client, loop), tmp_path, 10, tier="timeline", workload=work)
    assert ran.errors == {}
    for number, attempts in by_request(timeline(ran, tmp_path)).items():
        assert abs(attempts[0].stamps["due"] - (number - 1) * 5_000_000) < 1000
        assert attempts[0].stamps["created"] >= attempts[0].stamps["due"]


@each
def test_a_refusal_is_asked_again(client: str, loop: str, tmp_path: Path) -> None:
    # A 429 is no failure where retries are left: the request is made once more.
    with serving() as server:
        ran = trial(server.url, (client, loop), tmp_path, 3, path="/busy/{i}", workload=Workload(retries=1, concurrency=3))
    assert ran.errors == {}
    assert set(server.paths.values()) == {2}


def test_a_killed_worker_leaves_no_processes(tmp_path: Path) -> None:
    # A pool's processes end with their worker, however that ends.
    arm = Arm(client="httpx-sync", loop="processes")
    asked = scenario(arm, target=Target(path="/slow"), workload=Workload(concurrency=3))
    with serving() as server:
        job = Job(scenario=asked, spec=spec(arm, 8), url=server.url, folder=str(tmp_path))
        with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(msgspec.json.encode(job) + b"\n")
            worker.stdin.flush()
            assert worker.stdout.readline() == b"ready\n"
            children = [os.pidfd_open(pid) for pid in children_of(worker.pid)]
            worker.kill()
            try:
                assert len(children) >= 3
                for child in children:
                    assert select.select([child], [], [], 30)[0]
            finally:
                for child in children:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(child, signal.SIGKILL)
                    os.close(child)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, and that run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, _, rest = stat.read_text(encoding="utf-8").partition(" (")
            if int(rest.rpartition(") ")[2].split()[1]) == pid:
                found.append(int(number))
    return found
