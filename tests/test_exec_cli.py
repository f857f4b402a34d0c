"""`loopdiag exec` as it is typed: what passes through, what is told, and with which exit code."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from exec_parts import AIOHTTP, script, target, typed

from loopdiag.cli import main
from loopdiag.lab import store
from loopdiag.options import parse


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
        (["exec", "--", "pypy9.9", "client.py", "{n}"], "pypy9.9: no such program on the PATH"),
        (["exec", "--", "client.py", "{n}"], "client.py: no such program on the PATH; run it with its interpreter: python client.py …"),
        (["exec", "--", "./gone", "{n}"], "./gone: no such file; expected a program"),
        (["exec", "--", f"./{'long' * 100}", "{n}"], f"./{'long' * 100}: no such file; expected a program"),
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


WRONG = {
    "is not executable": ("client.py", "print()", 0o644, "may not be executed; run it with its interpreter: python ./client.py …"),
    "has no interpreter": ("tool", "#!/no/such/python3 -u\n", 0o755, "its first line names the interpreter '/no/such/python3', and there is no such program"),
    "has Windows' lines": (
        "tool",
        f"#!{sys.executable}\r\n",
        0o755,
        f"its first line names the interpreter '{sys.executable}\\r', and there is no such program",
    ),
    "is interpreted by a folder's file": ("tool", "#!/etc/passwd\n", 0o755, "its first line names the interpreter '/etc/passwd', and there is no such program"),
}  # fmt: skip


@pytest.mark.parametrize("what", [*WRONG, "is a folder", "is a link to nowhere"])
def test_a_file_that_is_no_program_is_told_in_one_line(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # exit code 2 before anything is run, and nothing is left behind
    monkeypatch.chdir(tmp_path)
    if what in WRONG:
        name, text, mode, told = WRONG[what]
        (tmp_path / name).write_text(text, newline="")
        (tmp_path / name).chmod(mode)
    elif what == "is a folder":
        name, told = "tool", "is a folder; expected a program"
        (tmp_path / name).mkdir()
    else:
        name, told = "tool", "no such file; expected a program, as in: loopdiag exec -- python client.py {n} URL"
        (tmp_path / name).symlink_to("nowhere")
    assert main(["exec", "--", f"./{name}", "{n}"]) == 2
    assert capsys.readouterr().err.splitlines() == [f"./{name}: {told}"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("argv", "code"),
    [(["./tool", "{n}"], 127), (["env", "N={n}", "no-such-python"], 127), (["sh", "-c", "./tool {n}; exit $?"], 127), (["sh", "-c", "./text {n}; exit $?"], 126)],
)  # fmt: skip
def test_an_interpreter_that_is_not_there_is_the_users_mistake(argv: list[str], code: int, tmp_path: Path) -> None:
    # where it is looked for by env or a shell, these say so, and exit code 2 is theirs, too
    for name, mode in (("tool", 0o755), ("text", 0o644)):
        (tmp_path / name).write_text("#!/usr/bin/env no-such-python\n")
        (tmp_path / name).chmod(mode)
    done = typed("--n", "1,2", "-q", "--out", "run", "--", *argv, cwd=tmp_path)
    *_, line = done.stderr.decode().splitlines()  # below what the program itself said
    assert line.startswith(f"{argv[0]}: exit code {code}: ")
    assert line.endswith("; this code says that a program, such as an interpreter, is not there or cannot be run")
    assert line.count("no-such-python" if code == 127 else "text") == 1
    assert done.returncode == 2


@pytest.mark.parametrize(
    "words", ['argv = ["python", "{n}", "a\\u0000b"]', 'argv = ["python", "{n}"]\ncwd = "\\u0000"'], ids=["argv", "cwd"]
)
def test_a_character_that_no_program_can_be_given_is_told(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # a scenario's file can spell it, and one line says what is wrong
    (tmp_path / "s.toml").write_text(f"[program]\n{words}\n[sweep]\nn = [1, 2]\n")
    assert main(["run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("holds a NUL character, which no program can be given")


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
