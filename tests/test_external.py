"""Clients in other languages: the same talk, the same figures, the same tables as loopdiag's own worker."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fates
import numpy as np
import pytest
import trustme
from lab_parts import ca_file, scenario, serving
from required import missing
from test_contract import by_request, check_account, check_lives, connected, matched, sorted_words, summary

from loopdiag.analysis.timelines import resolve
from loopdiag.errors import Unavailable
from loopdiag.instruments.schema import ATTEMPT, CONNECTION
from loopdiag.lab import columns, external, go_build
from loopdiag.lab.clients import CLIENTS, loops_of
from loopdiag.lab.job import Job
from loopdiag.lab.preparing import prepare, refused
from loopdiag.lab.scenario_faults import scenario_faults
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Payload, Plant, Pool, Scenario, Service, Target, Workload

OF_HTTP1 = [name for name in CLIENTS if name == "node-fetch" or (name.split("-")[0] == "go" and name != "go-h2")]
AGAINST = [(name, "2" if name == "go-h2" else "1.1") for name in ("go", "go-pooled-2", "go-h2", "node-fetch")]
each = pytest.mark.parametrize("client", OF_HTTP1)
of_go = pytest.mark.parametrize("client", [name for name in OF_HTTP1 if name.startswith("go")])

Run = Callable[..., TrialResult]


def needed(client: str) -> None:
    """Go comes with the dev extra; where Node is missing, which comes with none, its tests are skipped."""
    if why := CLIENTS[client].available():
        if client == "node-fetch":
            pytest.skip(f"{why}; no extra brings Node")
        missing(why)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one trial of a client against a server; the folder is the test's, numbered."""
    count = 0

    def one(
        client: str, url: str, n: int = 1, *, tier: str = "bare", path: str = "/{i}", ca: str | None = None, **parts: Any
    ) -> TrialResult:
        nonlocal count
        needed(client)
        count += 1
        folder = tmp_path / f"trial{count}"
        folder.mkdir()
        arm = Arm(client=client, loop="own")
        made = scenario(arm, target=Target(path=path), **parts)
        spec = TrialSpec(id="t", arm=arm, n=n, tier=tier, repetition=0, seed=1)  # type: ignore[arg-type] # one of the tiers
        return Bench(None).run(
            Job(scenario=made, spec=spec, url=url, folder=str(folder), ca_file=ca, user_agent=parts.get("user_agent")), folder
        )

    return one


def body_bytes(paths: list[str]) -> int:
    """How long the small server's answers are."""
    return sum(len(json.dumps({"path": path})) for path in paths)


@each
def test_bodies_are_read_whole_and_decompressed(client: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every body comes whole, compressed ones decompressed; nothing is taken from the environment, and the library says who it is.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving() as server:
        ran = run(client, server.url, 20, path="/gzip/{i}")
    assert (ran.status, ran.errors, ran.succeeded) == ("ok", {}, 20), ran.why
    assert ran.body_bytes == body_bytes([f"/gzip/{i}" for i in range(1, 21)])
    assert ran.t0_ns is not None
    assert ran.t1_ns is not None
    assert ran.total_s == pytest.approx((ran.t1_ns - ran.t0_ns) / 1e9)
    assert ran.t1_ns <= time.perf_counter_ns()  # the same clock as ours
    assert ran.cpu_s is not None
    assert ran.cpu_s > 0
    assert all("gzip" in headers["accept-encoding"] for headers in server.headers)
    assert {headers["user-agent"].split("/")[0].lower() for headers in server.headers} <= {"go-http-client", "node"}
    assert client.split("-", maxsplit=1)[0] in ran.versions


@each
def test_the_pool_limit_is_honoured(client: str, run: Run) -> None:
    # With a limit of 3, no more than 3 connections are ever open, and they are used again.
    with serving() as server:
        ran = run(client, server.url, 30, pool=Pool(limit=3))
    assert ran.errors == {}
    assert server.open_at_most <= 3
    assert server.connections <= 6


@each
def test_no_limit_means_a_connection_for_each_request_at_once(client: str, run: Run) -> None:
    # 0 removes the limit, or the server would never answer.
    with serving() as server:
        ran = run(client, server.url, 105, path="/together/105", pool=Pool(limit=0))
    assert ran.errors == {}
    assert server.open_at_most == 105


@each
def test_tls_is_verified(client: str, run: Run, tmp_path: Path) -> None:
    # The right authority is trusted, another one is not, and that is told as `tls`.
    wrong = tmp_path / "wrong.pem"
    trustme.CA().cert_pem.write_to_path(wrong)
    with serving(tls=True) as server:
        good = run(client, server.url, 2, ca=ca_file(server, tmp_path))
        bad = run(client, server.url, 2, ca=str(wrong))
    assert good.errors == {}
    assert bad.errors == {"tls": 2}
    assert bad.status == "failed"


@each
@pytest.mark.parametrize(
    ("path", "kind"), [("slow", "timeout"), ("reset", "reset"), ("503", "status-5xx"), ("404", "status-4xx"), ("text", "decode")]
)
@pytest.mark.parametrize("tier", ["bare", "timeline"])
def test_failures_are_counted_by_kind(client: str, path: str, kind: str, tier: str, run: Run) -> None:
    # A failed request is counted by its kind.
    work = Workload(decode="json", decode_when="inside", timeout_s=0.3 if kind == "timeout" else 60)
    with serving() as server:
        assert run(client, server.url, 1, path=f"/{path}", tier=tier, workload=work).errors == {kind: 1}


@each
def test_a_refused_connection_is_kind_connect(client: str, run: Run, tmp_path: Path) -> None:
    # Nobody listens, or nobody has that name: kind `connect`.
    with fates.serving(tmp_path) as server:
        assert run(client, server.urls["closed"], 1).errors == {"connect": 1}
        assert run(client, server.urls["nowhere"], 1).errors == {"connect": 1}


@each
def test_the_workload_is_the_scenarios(client: str, run: Run) -> None:
    # Two workers have not all requests in flight at once; requests that arrive at a rate take as long as their arrivals do.
    with serving() as server:
        assert run(client, server.url, 10, workload=Workload(concurrency=2)).errors == {}
        assert server.open_at_most < 10  # a dial goes on though its request got another connection, so there may be more than two
        ran = run(client, server.url, 5, workload=Workload(kind="open", rate_per_s=100))
    assert ran.total_s is not None
    assert ran.total_s >= 0.04
    assert sum(server.paths.values()) == 15


@each
def test_the_timeline_is_one(client: str, run: Run, tmp_path: Path) -> None:
    # The tables have the schema's columns, every request its attempt and every connection its row, and no rule is broken.
    with serving() as server:
        ran = run(client, server.url, 12, tier="timeline", pool=Pool(limit=4))
    tables = columns.load(tmp_path / "trial1")
    for name, schema in (("attempts", ATTEMPT), ("connections", CONNECTION)):
        assert tables[name].dtype == np.dtype(list(schema.items()))
    line = resolve(tables, ran)
    if client.startswith("go"):
        check_lives(line)
    assert line.faults == ()
    assert sorted(attempt.request for attempt in line.attempts) == list(range(1, 13))
    assert {attempt.status for attempt in line.attempts} == {200}
    assert len(line.connections) == server.connections
    assert sum(link.requests for link in line.connections) == 12
    assert "instruments" not in ran.not_observed


FATES = (
    *("plain", "close", "redirect", "chain3", "otherport", "unavailable", "busy", "nocontent", "unchanged"),
    *("empty", "big", "chunked", "early", "continue", "reset", "cutoff", "truncated"),
)
ATTEMPTS = {
    "redirect": ("301 redirected", "200"),
    "otherport": ("301 redirected", "200"),
    "chain3": ("301 redirected", "301 redirected", "301 redirected", "200"),
    "unavailable": ("503",),
    "busy": ("429",),
    "nocontent": ("204",),
    "unchanged": ("304",),
    "reset": ("- error",),
    "cutoff": ("200 error",),
    "truncated": ("200 error",),
}


@pytest.mark.parametrize("client", ["go", "go-pooled-2"])
@pytest.mark.parametrize("listener", ["http", "https"])
@pytest.mark.parametrize("fate", FATES)
def test_attempts_are_told_as_they_were(client: str, listener: str, fate: str, run: Run, tmp_path: Path) -> None:
    # Whatever fate a request has, its attempts are those that it had, on the connections that the server saw, within the server's stamps.
    with fates.serving(tmp_path) as server:
        ran = run(
            client,
            server.urls[listener],
            4,
            tier="timeline",
            path=f"/{fate}/{{i}}",
            ca=str(tmp_path / "ca.pem"),
            workload=Workload(concurrency=2),
        )
    tables = columns.load(tmp_path / "trial1")
    line = resolve(tables, ran)
    check_lives(line)
    for attempts in by_request(line).values():
        assert [summary(attempt) for attempt in attempts] == sorted_words(list(ATTEMPTS.get(fate, ("200",))))
    assert sorted(by_request(line)) == [1, 2, 3, 4]
    # a dial that nobody waits for any more may end after the trial, on either side
    links = tables["connections"].copy()
    links["local_port"][links["requests"] == 0] = 0
    tables = {**tables, "connections": links}
    account = fates.Account(server.account.requests, [one for one in server.account.connections if one.requests])
    pairs = matched(line, tables, account)
    check_account(pairs, line.t0_ns)
    assert all(attempt.request == one.number for attempt, one, _ in pairs)
    accepted = connected(line, tables, account)
    assert all(link.requests == accepted[link.number].requests for link in line.connections if link.number in accepted)


@of_go
@pytest.mark.parametrize(
    ("where", "phase"),
    [("full none", "connect"), ("mute none", "ssl"), ("http slow", "wait"), ("http stuck", "receive")],
)
def test_a_wait_that_never_ends_has_its_name(client: str, where: str, phase: str, run: Run, tmp_path: Path) -> None:
    # What is given up while it waits was waiting for just that.
    listener, path = where.split()
    with fates.serving(tmp_path) as server:
        ran = run(client, server.urls[listener], 1, tier="timeline", path=f"/{path}/{{i}}", workload=Workload(timeout_s=0.3))
    (attempt,) = resolve(columns.load(tmp_path / "trial1"), ran).attempts
    assert "timed_out" in attempt.flags
    assert max(attempt.phases, key=lambda one: one.end_ns - one.start_ns).name == phase
    assert ran.errors == {"timeout": 1}


@of_go
def test_a_dial_belongs_to_its_connection(client: str, run: Run, tmp_path: Path) -> None:
    # A connection's look-up, connect and handshake follow each other, are charged to whoever began it alone, and its first user has not "reused" it.
    with fates.serving(tmp_path) as server:
        ran = run(client, server.urls["https"], 30, tier="timeline", path="/plain/{i}", ca=str(tmp_path / "ca.pem"))
    line = resolve(columns.load(tmp_path / "trial1"), ran)
    check_lives(line)
    for link in line.connections:
        steps = [
            link.stamps[name]
            for name in ("dns_start", "dns_end", "tcp_start", "tcp_end", "tls_start", "tls_end", "made")
            if name in link.stamps
        ]
        assert steps == sorted(steps)
    fresh = [attempt for attempt in line.attempts if "reused" not in attempt.flags]
    assert len({attempt.connection for attempt in fresh}) == len(fresh)
    begun = {link.number: link.request for link in line.connections}
    for attempt in line.attempts:
        names = {phase.name for phase in attempt.phases}
        assert not names & {"ssl", "connect", "dns"} or begun[attempt.connection or 0] == attempt.request


@each
def test_a_worker_ends_with_its_parent(client: str, tmp_path: Path) -> None:
    # Where the other end of its pipe is closed, it does not stay.
    needed(client)
    command = external.command(Arm(client=client, loop="own"), tmp_path)
    assert command is not None
    ended = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
    assert ended.returncode != 0


@each
def test_profilers_of_python_are_not_set_on_it(client: str, run: Run) -> None:
    # Profiles and counted calls are refused beforehand; a trial of those tiers runs all the same and says why it has none.
    assert set(refused(Arm(client=client, loop="own"))) == {"profile", "calls"}
    with serving() as server:
        ran = run(client, server.url, 2, tier="profile")
    assert ran.status == "ok"
    assert "Python only" in ran.not_observed["profile"]
    assert loops_of(CLIENTS[client]) == {"own"}


def faults(made: Scenario) -> list[str]:
    return [fault.message for fault in scenario_faults(made, set()) if "no effect" not in fault.message]


@pytest.mark.parametrize(
    ("client", "parts", "word"),
    [
        ("go-h2", {}, "HTTP/2 only"),
        ("node-fetch", {"target": Target(http="2", tls="ecdsa-p256")}, "HTTP/1.1 only"),
        ("node-fetch", {"pool": Pool(keepalive=3)}, "pool.keepalive"),
        ("go", {"workload": Workload(plant=Plant(block_ms=1))}, "workload.plant.block_ms"),
        ("go", {"workload": Workload(kind="open", rate_per_s=1000, arrivals="poisson")}, "constant"),
    ],
)
def test_what_a_client_cannot_do_is_said(client: str, parts: dict[str, Any], word: str) -> None:
    # An option that a client has no means for is a fault of the scenario, in one line; without it there is none.
    found = faults(scenario(Arm(client=client, loop="own"), **parts))
    assert [message for message in found if word in message], found
    fine = Target(http="2", tls="ecdsa-p256") if client == "go-h2" else Target()
    assert faults(scenario(Arm(client=client, loop="own"), target=fine)) == []


@of_go
def test_the_planted_computing_is_played(client: str, run: Run) -> None:
    # What the plant asks for is spent, in the client.
    with serving() as server:
        ran = run(client, server.url, 4, workload=Workload(plant=Plant(cpu_us=20_000)))
    assert ran.cpu_s is not None
    assert ran.cpu_s >= 0.08


def test_a_client_is_pinned_by_whoever_starts_it() -> None:
    # What is started inside has the job's cores, unless it uses more; the parent keeps its own.
    before = os.sched_getaffinity(0)
    core = max(before)
    made = scenario(Arm(client="go", loop="own"))
    for name, expected in (("go", {core}), ("go-2", before)):
        spec = TrialSpec(id="t", arm=Arm(client=name, loop="own"), n=1, tier="bare", repetition=0, seed=1)
        job = Job(scenario=made, spec=spec, url="", folder="", cores=(core,))
        show = "import os; print(*os.sched_getaffinity(0))"
        with external.pinned(job):
            told = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
        assert set(map(int, told.split())) == expected
        assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(("client", "http"), AGAINST)
def test_the_embedded_target_agrees(client: str, http: str, tmp_path: Path) -> None:
    # Over TLS, in HTTP/1.1 and 2: what the target counted and stamped is what the client's timeline tells.
    needed(client)
    arm = Arm(client=client, loop="own")
    target = Target(http=http, tls="ecdsa-p256", service=Service(mean_ms=5), payload=Payload(gzip=True))  # type: ignore[arg-type] # one of the versions
    made = scenario(arm, target=target, workload=Workload(decode="json"))
    spec = TrialSpec(id="t", arm=arm, n=20, tier="timeline", repetition=0, seed=1)
    server = TargetServer.start(made)
    try:
        job = Job(scenario=made, spec=spec, url=server.url, folder=str(tmp_path), ca_file=str(server.ca_file), warm_up=True)
        ran = Bench(server).run(job, tmp_path)
    finally:
        server.stop()
    assert (ran.status, ran.errors, ran.body_bytes) == ("ok", {}, 20 * target.payload.mean_bytes), ran.why
    line = resolve(columns.load(tmp_path), ran)
    assert line.faults == ()
    assert sorted(attempt.request for attempt in line.attempts) == list(range(1, 21))
    assert all(attempt.server_received_ns is not None for attempt in line.attempts)
    assert all(("http2" in attempt.flags) is (http == "2") for attempt in line.attempts)
    used = {attempt.connection for attempt in line.attempts}
    assert ran.connections_opened is not None
    assert 1 <= len(used) <= ran.connections_opened
    if client != "node-fetch":  # which tells of a connection when it stands, perhaps after the trial
        assert ran.connections_opened <= len(line.connections)


# -- compiling


@pytest.fixture
def toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a ``go`` in place that says a version and "compiles" by a shell command; it notes its calls."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "bin" / "go"
    place.parent.mkdir()

    def put(version: str = "go1.27.3", build: str = 'printf made > "$4"') -> Path:
        place.write_text(
            f'#!/bin/sh\necho "$1" >> {tmp_path}/calls\necho "$@" > {tmp_path}/last\nif [ "$1" = env ]; then echo {version}; else {build}; fi\n'
        )
        place.chmod(place.stat().st_mode | stat.S_IXUSR)
        os.utime(place, ns=(time.time_ns(), place.stat().st_mtime_ns + len(version)))
        go_build._version.cache_clear()
        monkeypatch.setattr(go_build, "find_go", lambda: str(place))
        return tmp_path / "calls"

    return put


def test_it_is_compiled_once(toolchain: Callable[..., Path]) -> None:
    # The second time nothing is compiled; another Go compiles anew.
    calls = toolchain()
    assert go_build.built() is None
    first = go_build.build()
    assert first.read_text() == "made"
    assert go_build.build() == first == go_build.built()
    assert calls.read_text().split().count("build") == 1
    assert "-buildvcs=false" in (calls.parent / "last").read_text()  # a repository of another user's would end it
    toolchain("go1.28")
    assert go_build.build() != first
    assert list(first.parent.iterdir()) == [first]


@pytest.mark.parametrize(
    ("version", "build", "word"),
    [
        ("go1.19.8", "true", "1.24 or newer is needed"),
        ("", "true", "does not run"),
        ("go1.27", "echo '# loopdiag' >&2; echo 'main.go:3: no such thing' >&2; exit 1", "main.go:3: no such thing"),
        ("go1.27", "true", "it says nothing"),
    ],
)
def test_why_it_cannot_be_compiled_is_said(toolchain: Callable[..., Path], version: str, build: str, word: str) -> None:
    # One line says what is wrong, before any trial, and nothing half-made is kept.
    toolchain(version, build)
    with pytest.raises(Unavailable, match=word):
        prepare(scenario(Arm(client="go", loop="own")), lambda _: None)
    assert go_build.built() is None


def test_without_go_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # No Go is no fault of the user's: one line says what to do.
    monkeypatch.setattr(go_build, "find_go", lambda: None)
    assert go_build.unavailable() == go_build.MISSING
    assert CLIENTS["go"].available() == go_build.MISSING
    assert CLIENTS["go"].versions() == {}


@pytest.mark.parametrize(("text", "expected"), [("1.27.3", (1, 27)), ("1.27rc1", (1, 27)), ("1.24", (1, 24)), ("devel", (0,))])
def test_versions_are_numbers(text: str, expected: tuple[int, ...]) -> None:
    # A version is compared by its first two numbers.
    assert go_build.numbers(text) == expected
