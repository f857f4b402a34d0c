"""`loopdiag exec` as it is typed: what passes through, what is told, and with which exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from exec_parts import AIOHTTP, script, target

from loopdiag.cli import main
from loopdiag.lab import store
from loopdiag.options import parse


def typed(*words: str, cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    """The command line in a process of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LOOPDIAG_")}
    return subprocess.run(
        [sys.executable, "-m", "loopdiag", "exec", *words], cwd=cwd, env=env, capture_output=True, timeout=200, check=False
    )


def test_a_program_is_run_and_diagnosed(tmp_path: Path) -> None:
    # its output stands before the report, once an N and byte by byte; diagnosis.json goes where it is asked for
    script(tmp_path, AIOHTTP + "\n    sys.stdout.buffer.write(b'\\xff\\x00|'); print('warned', file=sys.stderr)\n")
    with target() as server:
        done = typed(
            "--n", "2,4", "--budget", "12s", "--no-verify", "-q", "--out", "run", "--json", "d.json", "--", sys.executable, "client.py", "{n}", server.url, cwd=tmp_path
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    heard, _, answer = done.stdout.rpartition(b"\xff\x00|")
    assert heard.count(b"\xff\x00|") == 1
    assert answer.decode().startswith(("client.py", "Nothing that grows"))
    assert done.stderr.count(b"warned\n") == 2
    recording = store.load(tmp_path / "run")
    assert {trial.spec.tier for trial in recording.trials} >= {"bare", "timeline"}
    assert all(trial.status == "ok" for trial in recording.trials)
    assert all(trial.succeeded == trial.spec.n for trial in recording.trials if trial.spec.tier == "timeline")
    assert json.loads((tmp_path / "d.json").read_text())["arms"][0]["arm"] == "program/own"
    assert (tmp_path / "run" / "report.html").exists()


def test_an_n_at_which_the_program_fails_is_told_and_the_others_are_used(tmp_path: Path) -> None:
    # its last line on stderr stands in the trial, and the law rests on the rest
    text = (
        "import asyncio, sys\nif sys.argv[1] == '3': sys.exit('three is too many')\nasyncio.run(asyncio.sleep(0.001 * int(sys.argv[1])))\n"
    )
    script(tmp_path, text)
    done = typed(
        "--n", "1,3,5,7,9", "--budget", "12s", "--no-verify", "--out", "run", "--", sys.executable, "client.py", "{n}", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"N = 3 bare: failed: exit code 1: three is too many" in done.stderr
    recording = store.load(tmp_path / "run")
    assert {trial.spec.n for trial in recording.trials if trial.usable} >= {1, 5, 7}
    assert {trial.exit_code for trial in recording.trials if trial.spec.n == 3} == {1}


def test_a_program_that_fails_everywhere_measures_nothing(tmp_path: Path) -> None:
    # exit code 3, with the reason and where the recording is
    done = typed(
        "--n",
        "1,2",
        "--budget",
        "10s",
        "--no-verify",
        "-q",
        "--out",
        "run",
        "--",
        sys.executable,
        "-c",
        "raise SystemExit('no {n}')",
        cwd=tmp_path,
    )
    assert done.returncode == 3
    assert b"nothing usable was measured; what was recorded is in run" in done.stderr
    assert b"exit code 1: no 1" in done.stderr


def test_a_program_that_cannot_be_observed_ends_it_at_once(tmp_path: Path) -> None:
    # one line, exit code 3, after a single run
    done = typed("--n", "1,2", "-q", "--out", "run", "--", sys.executable, "-I", "-c", "print({n})", cwd=tmp_path)
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"cannot instrument {sys.executable}: python was started with -I, which ignores PYTHONPATH")
    assert done.stdout == b"1\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["exec"], "no program: give its command line after --"),
        (["exec", "--"], "no program: give its command line after --"),
        (["exec", "--", "python", "client.py"], "{n} stands nowhere in the program's command line"),
        (["exec", "--", "no-such-program-here", "{n}"], "no-such-program-here: no such program on the PATH"),
        (["exec", "--n", "few", "--", "python", "{n}"], "--n: expected whole numbers"),
        (["exec", "--budget", "soon", "--", "python", "{n}"], "--budget: expected a time > 0"),
        (["exec", "--level", "all", "--", "python", "{n}"], "loopdiag exec: argument --level: invalid choice"),
        (["exec", "--fail-if", "what", "--", "python", "{n}"], "--fail-if"),
        (
            ["exec", "python", "client.py", "{n}"],
            "loopdiag exec: python client.py {n}: no option of exec; the program's command line stands after --",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_told_in_one_line(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # exit code 2, and nothing is left behind
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(told)
    assert list(tmp_path.iterdir()) == []


def test_what_stands_behind_the_dashes_is_the_programs() -> None:
    # its own options and dashes, too
    arguments = parse(dict.fromkeys(("run", "exec", "record", "diagnose", "compare", "report", "list", "check", "serve", "selftest"), print), [
        "exec", "--n", "1", "--", "tool", "--n", "{n}", "--", "-q"
    ])  # fmt: skip
    assert arguments.command == ["tool", "--n", "{n}", "--", "-q"]
    assert (arguments.n, arguments.quiet) == ("1", False)


def test_an_interrupted_run_ends_the_program_and_keeps_what_there_is(tmp_path: Path) -> None:
    # Ctrl-C while the program hangs: it is gone, the exit code says so, and the recording is partial
    script(tmp_path, "import os, time\nprint(os.getpid(), flush=True)\nopen('here', 'w').close()\ntime.sleep(600)\n")
    words = ["exec", "--n", "1,2", "--no-verify", "-q", "--out", "run", "--", sys.executable, "client.py", "{n}"]
    running = subprocess.Popen([sys.executable, "-m", "loopdiag", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "here").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert store.load(tmp_path / "run").interrupted
    (output,) = tmp_path.glob("run/trials/*/program.out")
    stat = Path(f"/proc/{int(output.read_text())}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"
