"""Whole runs that go wrong: interrupted, killed, against targets that are not there or cannot be trusted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab_parts import serving

from loopdiag.cli import main

REAL = """
arms = ["aiohttp/uvloop", "httpx/asyncio"]
[target]
tls = "ecdsa-p256"
[target.service]
mean_ms = 30
[sweep]
n = [5, 10, 20, 30, 40]
budget_s = 60
"""
LIVE = """
arms = ["aiohttp/asyncio", "httpx/uvloop"]
[target]
url = "{url}"
path = "/{{i}}?key=secret"
[live]
runs_per_minute = 1000
[sweep]
n = [2, 4]
repetitions = 1
max_repetitions = 1
warmups = 0
budget_s = 20
"""


def start(folder: Path, text: str) -> subprocess.Popen[str]:
    """A run in a process of its own; its folder is `run`."""
    (folder / "s.toml").write_text(text)
    command = [sys.executable, "-m", "loopdiag", "run", "s.toml", "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def until_trials(folder: Path, count: int) -> None:
    """Wait until so many trials are on disk."""
    for _ in range(1200):
        if len(list((folder / "run" / "trials").glob("*/trial.json"))) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("no trial ended within a minute")


def left_over(folder: Path) -> list[str]:
    """Processes of a run that are still there: those whose working folder is its own."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if (process / "cwd").readlink() == folder.resolve() and "loopdiag" in (process / "cmdline").read_text():
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
    return found


def gone(folder: Path) -> bool:
    """Whether nothing of a run is left within ten seconds."""
    for _ in range(200):
        if not left_over(folder):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]], ids=["once", "twice", "terminated"]
)
def test_an_interrupted_run_reports_what_is_there(tmp_path: Path, signals: list[signal.Signals]) -> None:
    # Ctrl-C, even twice: exit 130, a partial report of the finished trials, and neither worker nor server left
    run = start(tmp_path, REAL)
    until_trials(tmp_path, 3)
    for number in signals:
        run.send_signal(number)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert gone(tmp_path)
    assert "Traceback" not in err
    recording = json.loads((tmp_path / "run" / "run.json").read_text())
    assert recording["partial"]
    assert recording["interrupted"]
    if len(signals) == 1:  # a second Ctrl-C may end the report, too; the recording stays
        assert "interrupted" in out
        assert (tmp_path / "run" / "report.html").exists()
    assert main(["diagnose", str(tmp_path / "run")]) in {0, 3}


def test_a_killed_run_leaves_its_trials_and_nothing_else(tmp_path: Path) -> None:
    # SIGKILL of loopdiag itself: worker and server end, too, and the trials can be diagnosed
    run = start(tmp_path, REAL)
    until_trials(tmp_path, 6)
    run.kill()
    run.communicate(timeout=60)
    assert gone(tmp_path)
    assert main(["diagnose", str(tmp_path / "run")]) in {0, 3}
    assert json.loads((tmp_path / "run" / "diagnosis.json").read_text())["partial"]


def test_a_live_target_is_asked_politely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # with --live: a User-Agent that names loopdiag, nothing from the environment's credentials, no query values in the exports
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving() as server:
        (tmp_path / "s.toml").write_text(LIVE.format(url=server.url))
        assert main(["run", "s.toml", "--out", "refused", "-q"]) == 2
        assert "--live" in capsys.readouterr().err
        assert server.connections == 0
        assert main(["run", "s.toml", "--out", "run", "-q", "--live"]) == 0
    assert server.paths.total() == 2 * (2 + 4) * 2  # both arms, both values of N, both tiers
    for headers in server.headers:
        assert headers["user-agent"].startswith("loopdiag/")
        assert not {"authorization", "cookie", "proxy-authorization"} & set(headers)
    for name in ("har", "trace-event", "json", "text", "html"):
        assert main(["report", "run", "--format", name, "-o", f"answer.{name}"]) == 0
        assert "key=secret" not in (tmp_path / f"answer.{name}").read_text()


def test_a_live_target_that_cannot_be_verified_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # a certificate from an unknown authority: every request fails, exit 3, and the reason is told
    monkeypatch.chdir(tmp_path)
    with serving(tls=True) as server:
        (tmp_path / "s.toml").write_text(LIVE.format(url=server.url))
        assert main(["run", "s.toml", "--out", "run", "-q", "--live"]) == 3
    err = capsys.readouterr().err
    assert "nothing usable was measured; what was recorded is in run" in err
    assert "tls" in err
    assert (tmp_path / "run" / "diagnosis.json").exists()
    assert server.paths.total() == 0


def test_a_live_target_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # nobody listens: exit 3, and the reason is told
    monkeypatch.chdir(tmp_path)
    with serving() as server:
        url = server.url
    (tmp_path / "s.toml").write_text(LIVE.format(url=url))
    assert main(["run", "s.toml", "--out", "run", "-q", "--live"]) == 3
    assert "connect" in capsys.readouterr().err
