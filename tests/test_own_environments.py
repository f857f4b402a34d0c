"""Environments of the arms' own: how they are asked for, built once and kept, and what becomes of a build that fails."""

import contextlib
import fcntl
import json
import os
import select
import ssl
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from documents import small
from lab_parts import scenario, serving, spec
from msgspec.structs import replace

from loopdiag.errors import InputError
from loopdiag.gate import parse_gate
from loopdiag.lab import campaign, interpreters, own_environments
from loopdiag.lab.job import Job
from loopdiag.lab.plan import Plan
from loopdiag.lab.scenario_file import apply_overrides, parse_scenario, to_toml
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import Skipped, TrialResult
from loopdiag.model.scenario import Arm, Scenario, Sweep, Target
from loopdiag.report import html, text
from loopdiag.report.palette import client_index

STAND_IN = (Path(__file__).parent / "stand_in_httpx.py").read_text(encoding="utf-8")
OLD = Arm(client="httpx", requirements=("httpx==0.21.1",), python="3.9", label="httpx-2021")


def wheel(folder: Path, name: str = "httpx", version: str = "0.21.1", code: str = STAND_IN) -> Path:
    """A wheel of one module, made by hand: pip installs it without any network."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    parts = {
        f"{name}.py": code,
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{part},,\n" for part in [*parts, f"{name}-{version}.dist-info/RECORD"])
    with zipfile.ZipFile(path, "w") as file:
        for part, text in {**parts, f"{name}-{version}.dist-info/RECORD": record}.items():
            file.writestr(part, text)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "loopdiag" / "environments"


def parse(text: str) -> Scenario:
    return parse_scenario(text, source="x.toml", folder=Path(), default_name="x")


def test_an_environment_is_built_once_and_kept(tmp_path: Path, cache: Path) -> None:
    # The first run builds it, the next ones find it, a half-built one is built anew, and trials run in it with its versions.
    arm = Arm(client="httpx", requirements=(f"httpx @ {wheel(tmp_path).as_uri()}",), label="old")
    said: list[str] = []
    with pytest.raises(FileNotFoundError):
        own_environments.command(arm)
    made = own_environments.build(arm, said.append)
    assert made.packages == {"httpx": "0.21.1"}
    assert said == [f"building the environment of old (Python {made.version}; {arm.requirements[0]}): once, it may take a minute or two"]
    stamp = Path(made.python).parent.parent / own_environments.MARK
    before = stamp.stat().st_mtime_ns
    assert own_environments.build(arm, said.append) == made
    assert (len(said), stamp.stat().st_mtime_ns) == (1, before)
    assert [path.suffix for path in sorted(cache.iterdir()) if path.is_file()] == [".lock", ".log"]
    with serving() as server:
        job = Job(scenario=scenario(arm), spec=spec(arm), url=server.url, folder=str(tmp_path), warm_up=True)
        result = Bench(None).run(job, tmp_path)
    assert (result.status, result.why, result.succeeded) == ("ok", None, 8)
    assert result.versions == {"python": made.version, "openssl": ssl.OPENSSL_VERSION.split()[1], "httpx": "0.21.1"}
    stamp.unlink()  # as where a build was cut short
    (stamp.parent / "left").write_text("over")
    assert own_environments.build(arm, said.append) == made
    assert len(said) == 2
    assert not (stamp.parent / "left").exists()


def test_two_runs_build_it_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who comes second waits, says so, and takes what the first has built.
    arm = Arm(client="httpx", requirements=("httpx==1",), label="old")
    found = interpreters.find(None)
    assert found is not None
    folder = own_environments._folder(arm, found)
    made = own_environments.Built(python=sys.executable, version=found.version, packages={"httpx": "1"})
    monkeypatch.setattr(own_environments, "_make", None)  # is not called
    cache.mkdir(parents=True)
    said, waits = list[str](), threading.Event()

    def note(line: str) -> None:
        said.append(line)
        waits.set()

    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built: list[own_environments.Built] = []
        second = threading.Thread(target=lambda: built.append(own_environments.build(arm, note)))
        second.start()
        assert waits.wait(10)
        folder.mkdir()
        (folder / own_environments.MARK).write_text(json.dumps({"python": made.python, "version": made.version, "packages": made.packages}))
    second.join(10)
    assert built == [made]
    assert said == [f"waiting for another run that builds the environment of old (Python {found.version}; httpx==1)"]


def test_a_file_counts_with_its_content(tmp_path: Path) -> None:
    # A wheel that was made anew under its old name is another environment.
    found = interpreters.find(None)
    assert found is not None
    path = wheel(tmp_path)
    arms = [Arm(client="httpx", requirements=(text,)) for text in (str(path), f"httpx @ {path.as_uri()}", "httpx==0.21.1")]
    before = [own_environments._folder(arm, found) for arm in arms]
    assert len(set(before)) == 3
    wheel(tmp_path, code="x = 1")
    assert [own_environments._folder(arm, found) == old for arm, old in zip(arms, before, strict=True)] == [False, False, True]


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (
            "WARNING: Retrying (Retry(total=1)) after connection broken\nERROR: Could not find a version that satisfies the requirement x==1\nERROR: No matching distribution found for x==1\n",
            "pip cannot reach the package index (is this machine offline?)",
        ),
        ("Looking\nERROR: No matching distribution found for x==1\n", "pip: No matching distribution found for x==1"),
        (
            "The virtual environment was not created successfully because ensurepip is not available.\nFailing command\n",
            "that Python has no venv",
        ),
        ("Traceback\nMemoryError\n", "pip: MemoryError"),
        ("", "it says nothing"),
    ],
)
def test_a_failed_build_says_why_in_one_line(tmp_path: Path, log: str, why: str) -> None:
    # pip's last word, or what it comes from.
    (tmp_path / "x.log").write_text(log)
    assert own_environments._why(tmp_path / "x.log").startswith(why)


def test_a_build_that_fails_is_a_fault_of_the_input(tmp_path: Path, cache: Path) -> None:
    # One line an arm, before anything is measured: pip's own reason and where its output is; nothing half-built counts.
    arms = [
        Arm(client="httpx", requirements=(str(tmp_path / name),), label=name) for name in ("a-1-py3-none-any.whl", "b-1-py3-none-any.whl")
    ]
    with pytest.raises(InputError) as caught:
        own_environments.prepare(scenario(*arms[:1]), lambda _: None)
    (line,) = caught.value.faults
    assert line.startswith("arm a-1-py3-none-any.whl: its environment (Python 3.")
    assert "a-1-py3-none-any.whl" in line.partition("cannot be built: ")[2]
    assert line.endswith(".log")
    assert Path(line.rpartition(" ")[2]).is_file()
    assert not list(cache.glob(f"*/{own_environments.MARK}"))


def test_a_build_that_takes_too_long_is_ended_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It says so, whatever was said last, and what the build had started is gone, too.
    slow = tmp_path / "bin" / "python3.77"
    slow.parent.mkdir()
    slow.write_text(
        f'#!/bin/sh\nif [ "$2" = -c ]; then echo CPython 3.77.1; else sleep 600 & echo $! > {tmp_path}/child; echo Building; wait; fi\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(own_environments, "BUILD_S", 2.0)
    with pytest.raises(InputError, match="cannot be built: it took longer than"):
        own_environments.build(Arm(client="httpx", requirements=("httpx",), python="3.77"), lambda _: None)
    with contextlib.suppress(ProcessLookupError):
        child = os.pidfd_open(int((tmp_path / "child").read_text()))
        try:
            assert select.select([child], [], [], 10)[0]
        finally:
            os.close(child)


def test_what_builds_holds_the_lock(tmp_path: Path) -> None:
    # Whoever kills a run kills no pip: until that has ended, nobody else builds in its folder.
    code = "import fcntl, sys; fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with (tmp_path / "log").open("wb") as log, own_environments._lock(tmp_path / "lock", lambda: None) as lock:
        assert own_environments._ended([sys.executable, "-c", code, str(lock)], log, lock) == 0


def test_requirements_must_hold_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    # What installs no client, or no uvloop, is told as that; names are compared as pip does.
    made = own_environments.Built(python=sys.executable, version="3.11.7", packages={"AioHTTP": "3"})
    monkeypatch.setattr(own_environments, "_built", lambda _: made)
    assert own_environments.build(Arm(client="aiohttp", requirements=("x",)), print) == made
    with pytest.raises(InputError, match=r"^arm httpx/uvloop: its requirements \(x\) install no httpx and no uvloop$"):
        own_environments.build(Arm(client="httpx", loop="uvloop", requirements=("x",)), print)


def test_an_interpreter_is_found_or_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On the PATH, among pyenv's and uv's; what does not run, or is of another version than its name says, is passed over.
    def executable(path: Path, says: str) -> Path:
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{says}\n")
        path.chmod(0o755)
        return path

    for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    dead = executable(tmp_path / "shims/python3.77", "echo no such command; exit 127")
    monkeypatch.setenv("PATH", f"{dead.parent}:/nowhere")
    assert interpreters.find("3.77") is None
    assert own_environments.faults(Arm(client="httpx", requirements=("x",), python="3.77")) == [
        "arm httpx/asyncio: no Python 3.77 on this machine: looked on the PATH, among pyenv's and among uv's; install one, such as by: uv python install 3.77"
    ]
    executable(tmp_path / ".local/share/uv/python/cpython-3.77.1-linux/bin/python3.77", "echo CPython 3.77.1")
    executable(tmp_path / ".pyenv/versions/3.77.9/bin/python3.77", "echo CPython 3.77.9")
    newest = executable(tmp_path / ".pyenv/versions/3.77.10/bin/python3.77", "echo CPython 3.77.10")
    executable(tmp_path / ".pyenv/versions/3.77.11/bin/python3.77", "echo PyPy 3.77.11")
    assert interpreters.find("3.77") == interpreters.Interpreter(path=str(newest), version="3.77.10")
    found = interpreters.find("3.77.1")
    assert found is not None
    assert "/uv/" in found.path
    own = interpreters.find(None)
    assert own == interpreters.Interpreter(path=sys.executable, version=sys.version.split()[0])
    with pytest.raises(InputError, match=r"no Python 3\.78 on this machine"):
        campaign.check(scenario(Arm(client="httpx", requirements=("x",), python="3.78")), live_allowed=False)


TABLE = '[[arms]]\nclient = "httpx"\nrequirements = ["httpx==0.21.1"]\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[arms]]\nclient = "httpx"\npython = "3.9"', '1: arms[0].requirements: missing; Python 3.9 has no httpx of its own: say which, such as ["httpx==1.2.3"]'),
        (TABLE + 'python = "3.7"', '4: arms[0].python: expected a version from 3.8 on, such as "3.9", got "3.7"'),
        (TABLE + 'python = "python3"', '4: arms[0].python: expected a version from 3.8 on, such as "3.9", got "python3"'),
        (TABLE + "python = 3.9", "4: arms[0].python: expected text in quotes, got 3.9"),
        (TABLE + 'label = "a b"', "4: arms[0].label: expected at most 40 letters, digits, '-', '_' and '.', perhaps twice with a '/' between, got \"a b\""),
        (TABLE + 'loop = "virtual"', '1: arms[0]: the loop virtual is for the client fake only; expected "httpx/asyncio" or the like, got "httpx/virtual"'),
        (
            '[[arms]]\nclient = "fake"\nloop = "virtual"\nrequirements = ["x"]',
            '2: arms[0].client: with requirements of its own an arm\'s client is one of aiohttp, httpx, httpx2, got "fake"',
        ),
        (
            '[[arms]]\nclient = "httpx"\nrequirements = ["-r x"]',
            '3: arms[0].requirements: expected requirements as pip reads them, such as "httpx==0.21.1", got "-r x"',
        ),
        ('[[arms]]\nclient = "httpx"\n' + TABLE, '3: arms[1]: another arm is called "httpx/asyncio", too; give one of them a label of its own'),
        (TABLE + TABLE, '4: arms[1]: "httpx/asyncio" stands in the list twice'),
        (
            TABLE + '[workload]\nkind = "open"\nrate_per_s = 5',
            "5: workload.kind: the worker of an arm with requirements of its own cannot do this; remove the key, or those arms",
        ),
        (
            TABLE + "[workload.plant]\ncpu_us = 5",
            "5: workload.plant.cpu_us: the worker of an arm with requirements of its own cannot do this; remove the key, or those arms",
        ),
    ],
)  # fmt: skip
def test_faults_of_such_arms(text: str, fault: str) -> None:
    # Each has its line, its key and what would be right.
    with pytest.raises(InputError) as caught:
        parse(text)
    assert f"x.toml:{fault}" in caught.value.faults


def test_such_arms_are_written_and_chosen_by_name() -> None:
    # A scenario's text reads back as the same; --arm and --fail-if take a label.
    made = parse(
        'arms = ["httpx/uvloop", { client = "httpx", requirements = ["httpx==0.21.1"], python = "3.9", label = "httpx-2021" }]\n[sweep]\nn = [1, 2]\n'
    )
    assert made.arms == (Arm(client="httpx", loop="uvloop"), OLD)
    assert parse(to_toml(made)).arms == made.arms
    assert [arm.name for arm in made.arms] == ["httpx/uvloop", "httpx-2021"]
    assert apply_overrides(made, n=None, arms=["httpx-2021", "aiohttp/asyncio"], budget=None).arms == (OLD, Arm(client="aiohttp"))
    with pytest.raises(InputError, match=r'got "httpx-2022" \(labels here: httpx-2021\)$'):
        apply_overrides(made, n=None, arms=["httpx-2022"], budget=None)
    assert parse_gate("httpx-2021.slope_ms > 5").arm == "httpx-2021"
    assert parse_gate("aiohttp-3.8/uvloop.causes.gc_pauses.share > 5").arm == "aiohttp-3.8/uvloop"


def test_what_cannot_be_observed_there_is_not_planned() -> None:
    # On a Python that the instruments do not know there are bare and profiled trials alone, and the plan says why.
    arms = (OLD, Arm(client="httpx", requirements=("httpx",), python="3.10", label="new"))
    plan = Plan(
        scenario(*arms, sweep=Sweep(n=(1, 2, 4), repetitions=1, max_repetitions=3, warmups=0)),
        predict=lambda _, n: n / 1e3,
        half_width=lambda _: 0.01,
    )
    ran, skipped = set(), []
    while (item := plan.next_trial()) is not None:
        if isinstance(item, Skipped):
            skipped.append(item)
            continue
        ran.add((item.arm.name, item.tier))
        assert item.id.split("-", 1)[1].startswith(f"{item.arm.name}-n{item.n}")
        plan.observe(TrialResult(spec=item, status="ok", total_s=item.n / 1e3, cpu_s=0.001), 0.01)
    assert ran == {("httpx-2021", "bare"), ("httpx-2021", "profile"), ("new", "bare"), ("new", "timeline"), ("new", "profile")}
    assert {(cell.arm, cell.n, cell.tier) for cell in skipped} == {("httpx-2021", n, "timeline") for n in (1, 2, 4)}
    assert "the instruments need 3.10 or newer" in skipped[0].why


def test_nothing_of_this_environment_leads_into_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Their workers see no PYTHONPATH of the user's, which would put this Python's packages before theirs.
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    arm = Arm(client="httpx", requirements=("httpx==0",))
    script = "import json, os, sys; open(os.path.join(json.loads(sys.stdin.readline())['folder'], 'seen'), 'w').write(str('PYTHONPATH' in os.environ))"
    for one, seen in ((arm, "False"), (Arm(client="httpx"), "True")):
        job = Job(scenario=scenario(one, target=Target()), spec=spec(one), url="fake:", folder=str(tmp_path))
        Bench(None, command=(sys.executable, "-c", script)).run(job, tmp_path)
        assert (tmp_path / "seen").read_text() == seen


def test_the_report_tells_what_was_installed_there() -> None:
    # Each such arm's versions stand in the page and in the text; beside an arm of the same client and loop it has a colour of its own.
    document = small()
    run, diagnosis = document.recording, document.diagnosis
    there = {"python": "3.9.18", "httpx": "0.21.1"}
    arms = (*diagnosis.arms, replace(diagnosis.arms[0], arm=OLD.name, versions=there))
    assert (arms[0].client, arms[0].loop) == (OLD.client, OLD.loop)
    told = replace(
        document,
        recording=replace(run, scenario=replace(run.scenario, arms=(*run.scenario.arms, OLD))),
        diagnosis=replace(diagnosis, arms=arms),
    )
    line = "Versions of httpx-2021"
    assert f"{line}: python 3.9.18, httpx 0.21.1" in text.render(told)
    assert line in html.render(told)
    assert line not in text.render(document)
    assert client_index(arms, arms[-1]) not in {client_index(arms, arm) for arm in diagnosis.arms}
    assert [client_index(arms, arm) for arm in diagnosis.arms] == [client_index(diagnosis.arms, arm) for arm in diagnosis.arms]
