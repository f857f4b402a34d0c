"""The command line: what it accepts, its one-line faults and exit codes, its silence on stdout."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loopdiag.cli import main

ROOT = Path(__file__).parent.parent
FAKE = """
name = "tiny"
arms = ["fake/virtual"]
[sweep]
n = [10, 20, 40, 60, 80]
repetitions = 2
max_repetitions = 2
budget_s = 30
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a scenario that needs no server."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(FAKE)
    return tmp_path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the fake client."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "tiny.toml").write_text(FAKE)
    assert main(["record", str(folder / "tiny.toml"), "--out", str(folder / "run"), "-q"]) == 0
    return folder / "run"


SCENARIOS = {
    "typo.toml": FAKE.replace("repetitions = 2", "repetitons = 2", 1),
    "type.toml": FAKE.replace("repetitions = 2", 'repetitions = "three"', 1),
    "syntax.toml": "arms = [",
    "arm.toml": FAKE.replace("fake/virtual", "htpx/asyncio"),
    "loop.toml": FAKE.replace("fake/virtual", "aiohttp/asyncoi"),
    "table.toml": FAKE + "[targte]\n",
    "path.toml": FAKE + '[target]\npath = "no-slash"\n',
    "open.toml": FAKE + '[workload]\nkind = "open"\n',
    "n.toml": FAKE.replace("[10, 20, 40, 60, 80]", "[20, 10]"),
    "zero.toml": FAKE.replace("[10, 20, 40, 60, 80]", "[0, 10]"),
    "empty.toml": "",
    "noarms.toml": 'name = "x"\n',
    "h2.toml": FAKE.replace("fake/virtual", "aiohttp/asyncio") + '[target]\nhttp = "2"\ntls = "ecdsa-p256"\n',
    "live.toml": FAKE.replace("fake/virtual", "aiohttp/asyncio").replace("80]", "81]") + '[target]\nurl = "http://127.0.0.1:9"\n',
    "secret.toml": FAKE.replace("fake/virtual", "aiohttp/asyncio") + '[target]\nurl = "https://me:hunter2@example.org"\n',
    "bytes.toml": "name = '\xff'",
}

#: command line → (exit code, what its one line says); the scenarios above stand in the working folder
WRONG = [
    ([], 2, "COMMAND"),
    (["fly"], 2, "invalid choice: 'fly'"),
    (["run"], 2, "SCENARIO.toml"),
    (["run", "absent.toml"], 2, "absent.toml"),
    (["run", "."], 2, "."),
    (["run", "tiny.toml", "--frobnicate"], 2, "--frobnicate"),
    (["run", "tiny.toml", "--n", "ten"], 2, "--n"),
    (["run", "tiny.toml", "--n", "0"], 2, "--n"),
    (["run", "tiny.toml", "--n", ""], 2, "--n"),
    (["run", "tiny.toml", "--budget", "soon"], 2, "--budget"),
    (["run", "tiny.toml", "--budget", "-3s"], 2, "--budget"),
    (["run", "tiny.toml", "--arm", "httpx"], 2, "--arm"),
    (["run", "tiny.toml", "--arm", "curl/asyncio"], 2, "--arm"),
    (["run", "tiny.toml", "--fail-if", "slope > 3"], 2, "slope_ms"),
    (["run", "tiny.toml", "--out", "tiny.toml"], 2, "tiny.toml"),
    (["run", "typo.toml"], 2, "did you mean"),
    (["run", "type.toml"], 2, "sweep.repetitions"),
    (["run", "syntax.toml"], 2, "syntax.toml"),
    (["run", "arm.toml"], 2, "httpx"),
    (["run", "loop.toml"], 2, "asyncio"),
    (["run", "table.toml"], 2, "target"),
    (["run", "path.toml"], 2, "target.path"),
    (["run", "open.toml"], 2, "rate_per_s"),
    (["run", "n.toml"], 2, "sweep.n"),
    (["run", "zero.toml"], 2, "sweep.n"),
    (["run", "empty.toml"], 2, "arms"),
    (["run", "noarms.toml"], 2, "arms"),
    (["run", "h2.toml"], 2, "HTTP/2"),
    (["run", "live.toml"], 2, "--live"),
    (["run", "secret.toml"], 2, "target.url"),
    (["run", "bytes.toml"], 2, "UTF-8"),
    (["serve", "tiny.toml", "--port", "x"], 2, "65535"),
    (["serve", "tiny.toml", "--port", "70000"], 2, "port"),
    (["diagnose", "absent"], 2, "absent"),
    (["diagnose", "."], 2, "run.json"),
    (["report", "absent"], 2, "absent"),
    (["report", ".", "--format", "pdf"], 2, "pdf"),
    (["report", ".", "-o", "answer.docx"], 2, "answer.docx"),
    (["list", "planets"], 2, "planets"),
    (["exec", "--json", ".", "--", "python", "x.py", "{n}"], 2, "is a folder"),
    (["exec", "--json", "absent/it.json", "--", "python", "x.py", "{n}"], 2, "no folder absent"),
    (["compare", "a", "b", "--json", "absent/it.json"], 2, "no folder absent"),
]


@pytest.mark.parametrize(("argv", "code", "said"), WRONG, ids=[" ".join(argv) or "nothing" for argv, _, _ in WRONG])
def test_wrong_input_is_told_in_a_line(here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, said: str) -> None:
    # a user's mistake gives its exit code, at most a few lines that name it, no traceback, and nothing on stdout
    for name, text in SCENARIOS.items():
        (here / name).write_bytes(text.encode("latin-1"))
    assert main(argv) == code
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert "hunter2" not in err
    assert out == ""
    assert 1 <= err.count("\n") <= 3
    assert not (here / "reports").exists()


def test_all_faults_come_at_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # a scenario with three faults gets three lines
    (here / "three.toml").write_text('arms = ["fake/virtual"]\nqestion = 1\n[sweep]\nrepetitions = 0\n[target]\ntls = "on"\n')
    assert main(["run", "three.toml"]) == 2
    assert capsys.readouterr().err.count("\n") == 3


def test_run_answers_and_leaves_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # the whole pipeline on the fake client: the known slope within its interval, every file of the contract, the path told last
    assert main(["run", "tiny.toml", "-q"]) == 0
    out = capsys.readouterr().out
    (folder,) = (here / "reports").iterdir()
    assert f"report: reports/{folder.name}/report.html" in out
    assert out.isascii() or "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) <= 80
    for name in ("run.json", "diagnosis.json", "report.html", "figures/scaling.svg", "figures/scaling.png"):
        assert (folder / name).stat().st_size > 0, name
    answer = json.loads((folder / "diagnosis.json").read_text())
    (arm,) = answer["arms"]
    assert arm["law"]["form"] == "a + b*N"
    assert abs(arm["slope_ms"]["value"] - 0.5) < 0.02
    assert answer["partial"] is False


def test_a_gate_that_holds_exits_4(here: Path, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # --fail-if is told on stderr, and only a gate that holds changes the exit code
    del here
    assert main(["diagnose", str(recorded), "--fail-if", "slope_ms > 100"]) == 0
    assert main(["diagnose", str(recorded), "--fail-if", "slope_ms > 0.1"]) == 4
    assert "holds" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["html", "text", "json", "har", "trace-event", "svg"])
def test_every_format_can_be_printed(recorded: Path, capfdbinary: pytest.CaptureFixture[bytes], name: str) -> None:
    # `-o -` gives the bytes of the format and nothing else
    assert main(["report", str(recorded), "--format", name, "-o", "-"]) == 0
    out = capfdbinary.readouterr().out
    assert len(out) > 100
    if name in {"json", "har", "trace-event"}:
        json.loads(out)


def test_the_ending_picks_the_format(recorded: Path, tmp_path: Path) -> None:
    # -o answer.har is a HAR
    assert main(["report", str(recorded), "-o", str(tmp_path / "answer.har")]) == 0
    assert json.loads((tmp_path / "answer.har").read_text())["log"]["version"] == "1.2"


def test_an_unwritable_output_is_told(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # where -o cannot be written, one line says so
    assert main(["report", str(recorded), "--format", "json", "-o", "/proc/answer.json"]) == 2
    assert "/proc/answer.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["figures", "report.html", "diagnosis.json"])
def test_a_folder_that_cannot_be_written_is_told(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    # what stands in the way of a report is named in one line
    folder = tmp_path / "run"
    shutil.copytree(recorded, folder, ignore=shutil.ignore_patterns("figures", "diagnosis.json", "report.html"))
    if name == "figures":
        (folder / name).write_text("a file")
    else:
        (folder / name).mkdir()
    assert main(["report", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert "cannot be written" in line


def test_an_ascii_terminal_gets_ascii(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # where standard output knows no other characters the answer comes in those
    written = io.BytesIO()
    out = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["diagnose", str(recorded)]) == 0
    out.flush()
    assert "+/-" in written.getvalue().decode("ascii")


@pytest.mark.parametrize("kind", ["clients", "loops", "servers", "causes", "formats"])
def test_list_names_every_part(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    # list prints one part a line, as its registry has them
    from importlib import import_module

    from loopdiag.parts import REGISTRIES

    assert main(["list", kind]) == 0
    module, _, name = REGISTRIES[kind].partition(":")
    listed = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(getattr(import_module(module), name))


def test_list_names_every_instrument_and_profiler(capsys: pytest.CaptureFixture[str]) -> None:
    # the probes are the instruments that are injected, and the profilers
    from loopdiag.instruments.bootstrap import INSTRUMENTS
    from loopdiag.lab.probes import PROBES

    assert main(["list", "probes"]) == 0
    assert capsys.readouterr().out.splitlines() == [*(name for _, name, _level in INSTRUMENTS), *PROBES]


def test_check_tells_each_thing_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    # what is not right here has a remedy under it
    assert main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 8
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("no "):
            assert after.startswith("      "), line


def test_help_imports_nothing_heavy() -> None:
    # --help answers without numpy, matplotlib, rich, msgspec or any client
    code = "import sys, loopdiag.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(set(sys.modules) & set(sys.argv[1:])))"
    heavy = ["numpy", "matplotlib", "rich", "msgspec", "aiohttp", "httpx", "uvloop", "asyncio"]
    ended = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_output_pipes(recorded: Path) -> None:
    # a reader that goes away ends the command quietly
    command = [sys.executable, "-m", "loopdiag", "report", str(recorded), "--format", "html", "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_a_gate_is_judged_without_a_reader(recorded: Path) -> None:
    # whoever reads the answer may go away: the exit code is what it would have been
    command = [sys.executable, "-m", "loopdiag", "diagnose", str(recorded), "--fail-if", "slope_ms > 0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 4


def test_a_programs_output_may_have_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    # what it prints is then dropped, and it is measured all the same
    from loopdiag.cli import _pass_on

    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        _pass_on(1, b"one")
        _pass_on(1, b"two")
