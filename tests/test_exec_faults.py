"""Whole runs of a user's program that go wrong: interrupted while its causes are verified, and on a disk that is full."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from exec_parts import gated, script, target, typed

from loopdiag.cli import main
from loopdiag.errors import InputError
from loopdiag.lab import store
from loopdiag.verify import record

pytestmark = pytest.mark.slow

GATED = gated(2)
#: short to measure; long to verify, so that there is something to interrupt
SCENARIO = """
[program]
argv = ["{python}", "client.py", "{{n}}", "{url}"]
[sweep]
n = [2, 4, 8, 12, 16]
repetitions = 1
max_repetitions = 1
warmups = 0
budget_s = 300
[profile]
enabled = false
[verify]
budget_s = 300
"""
#: as short as a run can be, for what follows measuring
QUICK = """
arms = ["fake/virtual"]
[sweep]
n = [10, 20, 40, 60, 80]
repetitions = 2
max_repetitions = 2
[verify]
enabled = false
"""


def until(reached: Callable[[], object], running: "subprocess.Popen[str]") -> None:
    """Wait until something is so, while a run runs."""
    while not reached():
        over = running.poll() is not None
        assert reached() or not over, running.communicate()
        time.sleep(0.02)


def processes(folder: Path) -> list[int]:
    """Processes of a program whose trials go below `folder`."""
    mark, found = f"LOOPDIAG_RECORD={folder}/".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def verifying(folder: Path, url: str) -> "subprocess.Popen[str]":
    """A run in a process group of its own, as a shell starts one, of which a trial of a verification is under way."""
    script(folder, GATED)
    (folder / "s.toml").write_text(SCENARIO.format(python=sys.executable, url=url))
    command = [sys.executable, "-m", "loopdiag", "run", "s.toml", "--out", "run"]
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: processes(folder / "run" / "verify"), running)
    return running


@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["Ctrl-C", "terminated"])
def test_an_interrupted_verification_of_a_program_reports_what_is_there(tmp_path: Path, number: signal.Signals, group: bool) -> None:
    # a terminal's Ctrl-C, or a signal to loopdiag alone: the program is gone, the answer and its report are there, and the exit code says so
    with target(mean_ms=30) as server:
        running = verifying(tmp_path, server.url)
        os.killpg(running.pid, number) if group else running.send_signal(number)
        out, err = running.communicate(timeout=240)
    assert running.returncode == 130, err
    assert processes(tmp_path / "run") == []
    assert "Traceback" not in err
    assert "verification was interrupted: causes without a verdict were not tried" in out
    assert "client_semaphore" in out
    assert (tmp_path / "run" / "report.html").exists()
    recording, tried = store.load(tmp_path / "run"), record.load(tmp_path / "run")
    assert not recording.partial
    assert {trial.status for trial in recording.trials} == {"ok"}
    assert tried is not None
    assert tried.interrupted
    assert main(["diagnose", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "diagnosis.json").read_text())["partial"]


def test_a_second_interrupt_loses_nothing(tmp_path: Path) -> None:
    # whether it comes while the report is made or after it: no traceback, the same exit code, and what was measured and tried can be reported
    with target(mean_ms=30) as server:
        running = verifying(tmp_path, server.url)
        os.killpg(running.pid, signal.SIGINT)
        until(lambda: (made := record.load(tmp_path / "run")) is not None and made.interrupted, running)
        with contextlib.suppress(ProcessLookupError):  # it was quick
            os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=240)
    assert running.returncode == 130, err
    assert processes(tmp_path / "run") == []
    assert "Traceback" not in err
    assert "\nreport: " in out or "interrupted: what was measured is in run, and 'loopdiag report run' goes on from there\n" in err
    assert main(["report", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "diagnosis.json").read_text())["partial"]


def test_an_interrupt_after_measuring_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # where no report was made any more, one line names the folder, and the report can be had from it
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt  # and no signal: a shell's background job ignores it

    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(QUICK)
    with monkeypatch.context() as patch:
        patch.setattr("loopdiag.pipeline.report", interrupted)
        assert main(["run", "s.toml", "-q", "--out", "run"]) == 130
    assert capsys.readouterr().err.splitlines() == [
        "interrupted: what was measured is in run, and 'loopdiag report run' goes on from there"
    ]
    assert main(["report", "run"]) == 0
    assert (tmp_path / "run" / "report.html").exists()


# -- a full disk

#: the same, and where `when` says so, it fills the disk before it says that it is done
FILLING = (
    GATED.replace("{", "{{").replace("}", "}}")
    + """
    import os, pathlib
    runs = pathlib.Path("runs")
    runs.write_text(f"{{runs.read_text()}}x" if runs.exists() else "x")
    if {when}:
        with open("disk/filler", "ab", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
    print("done")
"""
)
FULL = "No space left on device"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount a small file system here")  # root in a container may not
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> None:
    """Leave no room on it."""
    with (disk / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass


def goes_on(folder: str) -> str:
    return f"{FULL}; what was measured is in {folder}, and 'loopdiag report {folder}' goes on from there when it can be"


def test_a_disk_that_is_full_from_the_start_is_told(tmp_path: Path, disk: Path) -> None:
    # before anything is run
    script(tmp_path, "import pathlib; pathlib.Path('ran').touch()")
    fill(disk)
    done = typed("--n", "1,2", "-q", "--out", "disk/run", "--", sys.executable, "client.py", "{n}", cwd=tmp_path)
    assert done.stderr.decode().splitlines() == [f"disk/run: cannot be written: {FULL}; name another folder with --out"]
    assert done.returncode == 2
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("when", ["len(runs.read_text()) == 8", "os.environ['LOOPDIAG_TIER'] == 'timeline'"], ids=["eighth", "timeline"])
def test_a_disk_that_fills_up_loses_the_running_trial_alone(tmp_path: Path, disk: Path, when: str) -> None:
    # the trials before are kept, none is called the program's failure, though it cannot write, and with room again there is an answer
    script(tmp_path, FILLING.format(when=when))
    words = ["--n", "1,9,20,30,40", "--budget", "60s", "--no-verify", "--out", "disk/run", "--", sys.executable, "client.py", "{n}"]
    with target() as server:
        done = typed(*words, server.url, cwd=tmp_path)
    heard = done.stderr.decode().splitlines()
    assert any(line.endswith(f"{FULL}; the trials saved before are kept") for line in heard), heard
    assert heard[-1] == f"disk/run: cannot be written: {goes_on('disk/run')}"
    assert not [line for line in heard if "exit code" in line or "Traceback" in line]
    assert done.returncode == 2
    (disk / "filler").unlink()
    recording = store.load(disk / "run")
    assert len(recording.trials) == len((tmp_path / "runs").read_text()) - 1 > 0
    assert {trial.status for trial in recording.trials} == {"ok"}
    assert recording.partial
    assert main(["report", str(disk / "run")]) == 0


def test_a_disk_that_fills_up_while_verifying_keeps_what_was_measured(tmp_path: Path, disk: Path) -> None:
    # the changed program fills it; with room again the answer is there
    script(tmp_path, FILLING.format(when="'LOOPDIAG_KNOBS' in os.environ"))
    with target(mean_ms=30) as server:
        (tmp_path / "s.toml").write_text(SCENARIO.format(python=sys.executable, url=server.url))
        command = [sys.executable, "-m", "loopdiag", "run", "s.toml", "-q", "--out", "disk/run"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"cannot be written: {goes_on('disk/run')}")
    assert done.returncode == 2
    (disk / "filler").unlink()
    recording = store.load(disk / "run")
    assert not recording.partial
    assert {trial.status for trial in recording.trials} == {"ok"}
    assert main(["report", str(disk / "run")]) == 0
    assert "client_semaphore" in (disk / "run" / "diagnosis.json").read_text()


def test_a_report_on_a_full_disk_is_told(tmp_path: Path, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # one line, and nothing of the run is lost
    (tmp_path / "s.toml").write_text(QUICK)
    assert main(["record", str(tmp_path / "s.toml"), "-q", "--out", str(disk / "run")]) == 0
    capsys.readouterr()
    fill(disk)
    for verb in ("diagnose", "report"):
        assert main([verb, str(disk / "run")]) == 2
        assert capsys.readouterr().err.splitlines() == [f"{disk / 'run'}: cannot be written: {goes_on(str(disk / 'run'))}"]
    (disk / "filler").unlink()
    assert main(["report", str(disk / "run")]) == 0


def test_the_answer_does_not_wait_for_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # where the page finds no room, what it would say has been printed
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(QUICK)

    def full(*_: object) -> None:
        raise InputError(FULL)

    monkeypatch.setattr("loopdiag.pipeline.report", full)
    assert main(["run", "s.toml", "-q", "--out", "run"]) == 2
    said = capsys.readouterr()
    assert said.err == f"{FULL}\n"
    assert said.out.startswith("fake/virtual grows by ")


def test_tables_with_holes_are_read_on_a_full_disk(disk: Path) -> None:
    # where there is no room for the page behind a hole, to touch it through a mapping is a SIGBUS
    text = """
        import pathlib, sys
        from loopdiag.instruments.recorder import Table
        from loopdiag.lab import columns
        place = pathlib.Path(sys.argv[1])
        table = Table(str(place), "connections")
        rows = [table.open() for _ in range(3)]
        with (place / "filler").open("ab", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError as error:
                print(error.strerror)
        print(columns.opened(place / "connections.npy"))
        columns.cut(place)
        print(len(columns.load(place)["connections"]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(text), disk], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, [FULL, "3", "4"]), done.stderr
