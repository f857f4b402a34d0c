"""One fresh process a trial: what it measures, and what becomes of it when it hangs, dies, or loses its target or its parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from lab_parts import FAKE, ca_file, scenario, serving, slow, spec

from loopdiag.errors import TargetDied
from loopdiag.lab.job import Job
from loopdiag.lab.trial import Bench, clean_environment
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Arm, Instruments, Scenario, Sweep, Target, Workload

REAL = [Arm(client=client, loop=loop) for client in ("aiohttp", "httpx") for loop in ("asyncio", "uvloop")]


def job(folder: Path, made: Scenario | None = None, **parts: Any) -> Job:
    made = made or scenario()
    return Job(**({"scenario": made, "spec": spec(made.arms[0]), "url": "fake:", "folder": str(folder)} | parts))


def test_decoding_afterwards_is_measured_in_the_timeline_tier(tmp_path: Path) -> None:
    # What is decoded outside of the timed part is timed apart, and only where it does not cost the bare trials their time.
    with serving() as server:
        made = scenario(REAL[0], target=Target(path="/{i}"), workload=Workload(decode="json"))
        observed = msgspec.structs.replace(spec(REAL[0]), tier="timeline")
        result = Bench(None).run(job(tmp_path, made, url=server.url, spec=observed), tmp_path)
    assert result.decode_s is not None
    assert result.decode_s > 0


def played(folder: Path, script: str, *, timeout_s: float = 300, target: Any = None) -> TrialResult:
    """A trial whose worker is `script`."""
    made = scenario(sweep=Sweep(trial_timeout_s=timeout_s))
    return Bench(target, command=(sys.executable, "-c", textwrap.dedent(script))).run(job(folder, made), folder)


def gone(pid: int) -> bool:
    """Whether a process has ended, within ten seconds."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


class StandIn:
    """A target as the bench sees it, in front of the small server."""

    def __init__(self, url: str, ca: str | None = None, *, dies_at: str = "") -> None:
        self.url, self.ca_file = url, Path(ca) if ca else None
        self.calls: list[str] = []
        self._dies_at = dies_at

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call == self._dies_at:
            raise TargetDied("it was killed")

    def alive(self) -> bool:
        """Whether it lives."""
        return self._dies_at != "alive"

    def cpu_ns(self) -> int:
        """Its CPU: one millisecond a call."""
        self._note("cpu")
        return 10**6 * len(self.calls)

    def collect(self, folder: Path | None) -> Any:
        """Its account."""
        self._note("discard" if folder is None else "collect")
        return SimpleNamespace(connections_opened=7, requests=8)

    def stop(self) -> None:
        """End it."""
        self._note("stop")


@pytest.mark.parametrize("arm", REAL, ids=lambda arm: arm.name)
def test_a_real_trial_measures(tmp_path: Path, arm: Arm) -> None:
    # A worker with a real client over TLS tells every field that a report needs; the target is asked before and after.
    with serving(tls=True) as server:
        target = StandIn(server.url, ca_file(server, tmp_path))
        made = scenario(arm, target=Target(path="/gzip/{i}", tls="ecdsa-p256"), workload=Workload(decode="json"))
        result = Bench(target, server_cores=2).run(job(tmp_path, made, url=server.url, ca_file=str(target.ca_file), warm_up=True), tmp_path)
        assert server.paths == {"/gzip/1": 2} | {f"/gzip/{i}": 1 for i in range(2, 9)}  # the first once more, as warm-up
    assert (result.status, result.why, result.errors, result.succeeded) == ("ok", None, {}, 8)
    assert result.usable
    assert result.t0_ns is not None
    assert result.t1_ns is not None
    assert result.total_s == (result.t1_ns - result.t0_ns) / 1e9 > 0
    assert result.decode_s is None  # a bare trial measures T alone
    for value in (result.setup_s, result.cpu_s, result.rss_peak_kib, result.body_bytes):
        assert value is not None
        assert value > 0
    assert result.run_queue_s is not None or "run_queue_s" in result.not_observed
    assert result.gc_collections is not None
    assert result.connections_opened == 7
    assert result.server_cpu_s == 0.001
    assert result.server_utilisation == pytest.approx(0.001 / result.total_s / 2)
    assert arm.client in result.versions
    assert ("uvloop" in result.versions) is (arm.loop == "uvloop")
    assert target.calls == ["discard", "cpu", "cpu", "collect"]
    assert not list(tmp_path.glob("worker*"))


def test_a_bare_trial_has_nothing_of_ours_inside(tmp_path: Path) -> None:
    # The injection is asked for timeline trials only, and then with the cleaned environment and the trial's folder.
    asked: list[tuple[Mapping[str, str], Path]] = []

    def inject(environment: Mapping[str, str], folder: Path, _: Instruments) -> dict[str, str]:
        asked.append((environment, folder))
        return dict(environment)

    bench = Bench(None, inject=inject)
    assert bench.run(job(tmp_path), tmp_path).status == "ok"
    assert not asked
    timeline = bench.run(job(tmp_path, spec=spec(FAKE, tier="timeline")), tmp_path)
    assert [folder for _, folder in asked] == [tmp_path]
    assert "instruments" in timeline.not_observed  # this injection injected nothing, and that is told


def test_the_worker_runs_on_the_clients_cores(tmp_path: Path) -> None:
    # A pinned job is pinned from its start; one that cannot be pinned ends with the reason.
    core = min(os.sched_getaffinity(0))
    assert Bench(None).run(job(tmp_path, cores=(core,)), tmp_path).status == "ok"
    result = Bench(None).run(job(tmp_path, cores=(4000,)), tmp_path)
    assert result.status == "crashed"
    assert "OSError" in (result.why or "")


def test_a_trial_of_which_no_request_succeeds_has_failed(tmp_path: Path) -> None:
    # All requests refused: the status is failed, and the line says how many of which kind.
    made = scenario(Arm(client="aiohttp"))
    result = Bench(None).run(job(tmp_path, made, url="http://127.0.0.1:9"), tmp_path)
    assert (result.status, result.why) == ("failed", "no request succeeded: 8 connect")
    assert not result.usable


def test_a_worker_without_descriptors_says_so(tmp_path: Path) -> None:
    # Under a limit of 64 descriptors, requests that find none are of that kind, and the trial is not usable.
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); os.execv(sys.executable, sys.orig_argv[:1] + ['-m', 'loopdiag.lab.worker'])"
    made = scenario(Arm(client="aiohttp"))
    with serving() as server:
        bench = Bench(None, command=(sys.executable, "-c", limited))
        result = bench.run(job(tmp_path, made, spec=spec(made.arms[0], 90), url=server.url + "/together/30"), tmp_path)
    assert result.errors["descriptors"] >= 20
    assert not result.usable


def test_a_hanging_worker_is_killed_with_its_children(tmp_path: Path) -> None:
    # A worker over its time-out is killed with everything that it started.
    script = f"""
        import subprocess, sys, time
        child = subprocess.Popen(["sleep", "600"])
        open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
        sys.stdout.write("ready\\n"); sys.stdout.flush()
        time.sleep(600)
    """
    result = played(tmp_path, script, timeout_s=3)
    assert (result.status, result.why, result.total_s) == ("timeout", "killed after 3 s", None)
    assert gone(int((tmp_path / "child").read_text()))


def test_a_real_worker_that_waits_too_long_is_killed(tmp_path: Path) -> None:
    # The same with requests that take an hour.
    made = msgspec.structs.replace(slow(), sweep=Sweep(trial_timeout_s=1.5))
    assert Bench(None).run(job(tmp_path, made), tmp_path).status == "timeout"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("print('ready', flush=True); import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("import no_such_module_of_ours", "ModuleNotFoundError: No module named 'no_such_module_of_ours'"),
        ("raise SystemExit(7)", "exit code 7 without a word"),
        ("print('ready', flush=True)", "exit code 0 without a word"),
        ("print('ready'); print('done', flush=True)", "exit code 0 without a word"),
        ("import os, sys, time; sys.stderr.write('last\\nwords\\n\\n'); sys.stderr.flush(); os._exit(3)", "words"),
    ],
)
def test_a_worker_that_dies_says_why(tmp_path: Path, script: str, why: str) -> None:
    # Killed, broken at import, ended early or without its report: the status is crashed, with the last thing that is known.
    result = played(tmp_path, script)
    assert (result.status, result.why) == ("crashed", why)


@pytest.mark.parametrize("moment", ["discard", "cpu"])
def test_a_target_that_dies_ends_the_trial(tmp_path: Path, moment: str) -> None:
    # Whatever the target is asked when it is found dead, the trial ends as failed, and its worker is gone.
    result = Bench(StandIn("http://127.0.0.1:9", dies_at=moment)).run(job(tmp_path), tmp_path)
    assert (result.status, result.why) == ("failed", "the target died: it was killed")


def test_a_target_that_dies_while_the_worker_waits_is_noticed(tmp_path: Path) -> None:
    # The parent does not wait for a time-out to see that there is nobody left to answer.
    result = Bench(StandIn("http://127.0.0.1:9", dies_at="alive")).run(job(tmp_path, slow()), tmp_path)
    assert (result.status, result.why) == ("failed", "the target died: its process ended during the trial")


def test_a_target_that_dies_after_the_last_response_costs_its_account_only(tmp_path: Path) -> None:
    # The worker's measurement is whole; what the target would have told is missing, with the reason.
    result = Bench(StandIn("http://127.0.0.1:9", dies_at="collect")).run(job(tmp_path), tmp_path)
    assert (result.status, result.connections_opened) == ("ok", 8)
    assert "before it gave its account" in result.warnings[0]


def test_a_worker_dies_with_its_parent(tmp_path: Path) -> None:
    # kill -9 of the parent leaves no worker behind.
    script = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from lab_parts import slow
        from test_trial import job
        from loopdiag.lab.trial import Bench
        folder = Path({str(tmp_path)!r})
        Bench(None).run(job(folder, slow()), folder)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    worker = ""
    for _ in range(500):
        worker = children.read_text().strip()
        if worker:
            break
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(int(worker))


def test_the_environment_is_cleaned() -> None:
    # Nothing that would distort a trial or leak stays: proxies, key logs, Python's switches; what finds packages does, and hashes are fixed.
    dirty = {
        "PATH": "/bin",
        "PYTHONPATH": "/p",
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONMALLOC": "debug",
        "PYTHONHASHSEED": "7",
        "https_proxy": "x",
        "NO_PROXY": "y",
        "SSLKEYLOGFILE": "z",
        "LOOPDIAG_RECORD": "elsewhere",
        "NETRC": "n",
    }
    assert clean_environment(dirty) == {"PATH": "/bin", "PYTHONPATH": "/p", "PYTHONHASHSEED": "0"}
