"""One run of a user's program: what it does is unchanged, what it took is measured, and what cannot be observed is told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from exec_parts import AIOHTTP, HTTP_CLIENT, STREAMS, job, python, script, target, tried

from loopdiag.errors import InputError, LoopdiagError
from loopdiag.lab import columns, program_run
from loopdiag.lab.injection import injected_environment
from loopdiag.lab.program_trial import ProgramBench
from loopdiag.model.recording import Tier
from loopdiag.model.scenario import Knobs


@pytest.mark.parametrize("text", [AIOHTTP, STREAMS, HTTP_CLIENT], ids=["aiohttp", "streams", "http.client"])
@pytest.mark.parametrize("tier", ["bare", "timeline", "profile"])
def test_a_program_does_the_same_under_observation(tmp_path: Path, text: str, tier: Tier) -> None:
    # output, exit code and the requests that the server counts are those of plain Python, in every tier
    heard: list[tuple[int, bytes]] = []
    client = script(tmp_path, text)
    with target() as server:
        plain = subprocess.run(python(client, 7, server.url), capture_output=True, check=True)
        before = server.collect(None)
        result = tried(tmp_path, python(client, "{n}", server.url), tier=tier, bench=ProgramBench(heard=lambda *piece: heard.append(piece)))
        after = server.collect(None)
    assert result.status == "ok", result
    assert result.exit_code == 0
    assert b"".join(piece for number, piece in heard if number == 1) == plain.stdout
    assert [number for number, _ in heard if number == 2] == []
    assert (after.requests, after.connections_opened) == (before.requests, before.connections_opened)
    assert result.span == ("process" if text is HTTP_CLIENT else "loop")
    assert result.total_s is not None
    assert result.process_s is not None
    assert 0 < result.total_s < result.process_s


@pytest.mark.parametrize(
    ("text", "status", "why"),
    [
        ("import sys; print('gone', file=sys.stderr); sys.exit(3)", "failed", "exit code 3: gone"),
        ("import sys; sys.exit(4)", "failed", "exit code 4: without a word on stderr"),
        ("raise ValueError('no such host')", "failed", "exit code 1: ValueError: no such host"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "crashed", "killed by SIGKILL"),
        ("import os, signal, sys; print('so', file=sys.stderr, flush=True); os.kill(os.getpid(), 11)", "crashed", "killed by SIGSEGV: so"),
        ("import os; os.kill(os.getpid(), 40)", "crashed", "killed by signal 40"),
        ("import time; time.sleep(60)", "timeout", "killed after 1 s"),
    ],
)
def test_a_program_that_fails_says_why(tmp_path: Path, text: str, status: str, why: str) -> None:
    # the status, the code or signal, and the last line of its stderr
    result = tried(tmp_path, python(script(tmp_path, text)), timeout_s=1 if status == "timeout" else 60)
    assert (result.status, result.why) == (status, why)
    assert not result.usable


@pytest.mark.parametrize("tier", ["bare", "timeline"])
def test_a_program_that_ends_at_once_is_measured_as_a_process(tmp_path: Path, tier: Tier) -> None:
    # without a loop T is the program's own time, and a timeline says that it saw no request
    result = tried(tmp_path, python("-c", "pass"), tier=tier)
    assert (result.status, result.span) == ("ok", "process")
    assert 0 < (result.total_s or 0) < (result.process_s or 0)
    assert any("made no HTTP request" in line for line in result.warnings) == (tier == "timeline")


def test_a_profile_without_anything_to_wait_for_says_so(tmp_path: Path) -> None:
    # a program that runs no loop and connects nowhere is not held, and not profiled
    result = tried(tmp_path, python("-c", "pass"), tier="profile")
    assert result.status == "ok"
    assert "neither ran an event loop nor made a connection" in result.not_observed["profile"]
    assert not list((tmp_path / "trial-0").glob("hold*"))


@pytest.mark.parametrize("flag", ["-I", "-E", "-S", "-IP", "-sE"])
@pytest.mark.parametrize("through", ["argv", "shebang", "env", "shell"])
def test_flags_that_keep_the_instruments_out_are_named(tmp_path: Path, flag: str, through: str) -> None:
    # one line that names the flag, however the interpreter was started; nothing is measured
    body = "import time; time.sleep(0.3)"
    if through == "argv":
        argv = python(flag, "-c", body)
    elif through in {"shebang", "env"}:
        tool = tmp_path / "tool"
        tool.write_text(f"#!{'/usr/bin/env -S ' * (through == 'env')}{sys.executable} {flag}\n{body}\n", encoding="utf-8")
        tool.chmod(0o755)
        argv = [str(tool)]
    else:
        argv = ["sh", "-c", f"{sys.executable} {flag} -c '{body}'; true"]
    with pytest.raises(LoopdiagError) as raised:
        tried(tmp_path, argv, tier="bare")
    (line,) = raised.value.faults
    assert line.startswith(f"cannot instrument {argv[0]}: python was started with -{next(c for c in flag if c in 'IES')}, which ")


@pytest.mark.parametrize("flags", [["-P"], ["-s"], ["-B", "-u"], ["-X", "dev"], ["-W", "ignore"], ["-O"]], ids=" ".join)
def test_other_flags_do_not_matter(tmp_path: Path, flags: list[str]) -> None:
    # a Python with these is observed like any
    result = tried(tmp_path, python(*flags, "-c", "import asyncio; asyncio.run(asyncio.sleep(0))"), tier="bare")
    assert (result.status, result.span) == ("ok", "loop")


def test_what_is_no_python_is_told(tmp_path: Path) -> None:
    # a program of another kind, and a binary that carries a Python of its own
    with pytest.raises(LoopdiagError, match=r"^cannot instrument true: true ran no Python that the instruments could get into"):
        tried(tmp_path, ["true"])
    frozen = tmp_path / "frozen"
    frozen.write_bytes(Path("/bin/true").read_bytes() + b"MEI\014\013\012\013\016")
    frozen.chmod(0o755)
    with pytest.raises(LoopdiagError, match=r"is a frozen binary with a Python of its own"):
        tried(tmp_path, [str(frozen)])


def test_a_file_that_the_kernel_does_not_run_is_the_users_mistake(tmp_path: Path) -> None:
    # no interpreter line, so no program
    text = script(tmp_path, "print()")
    text.chmod(0o755)
    with pytest.raises(InputError, match=r"cannot be run: Exec format error; it is neither a binary of this machine nor a script"):
        tried(tmp_path, [str(text)])


def test_a_trials_folder_that_cannot_be_written_is_no_fault_of_the_programs(tmp_path: Path) -> None:
    # what the system says of the trial's own file is not said of the program
    place = tmp_path / "trial"
    (place / "program.out").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        ProgramBench().run(job(place, python("-c", "pass")), place)


@pytest.mark.parametrize(
    ("implementation", "version", "told"),
    [
        ("pypy", "(3, 11)", "runs on pypy 3.11; the instruments know CPython alone"),
        ("cpython", "(3, 8)", "Python 3.8; the instruments need Python 3.10 or newer"),
    ],
)
def test_pythons_that_the_instruments_do_not_know_are_named(tmp_path: Path, implementation: str, version: str, told: str) -> None:
    # the interpreter itself says what it is; played by one that says so
    (tmp_path / "as.py").write_text(
        f"import os, runpy, sys, types\nsys.implementation = types.SimpleNamespace(**{{**vars(sys.implementation), 'name': '{implementation}'}})\n"
        f"sys.version_info = {version}\nsys.path.insert(0, os.environ['PYTHONPATH'].split(':')[0])\nsys.modules.pop('sitecustomize', None)\nimport sitecustomize\n"
    )
    with pytest.raises(LoopdiagError, match=told):
        tried(tmp_path, [*python("-S", "-c"), "exec(open('as.py').read())"], cwd=str(tmp_path))


def test_an_own_sitecustomize_and_usercustomize_run(tmp_path: Path) -> None:
    # the program's own ones run as without us, and its path is its own
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.mine = 1")
    (tmp_path / "usercustomize.py").write_text("import sys; sys.yours = 2")
    client = script(tmp_path, "import sys; print(sys.mine, [p for p in sys.path if 'instruments' in p])")
    heard: list[bytes] = []
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    plain = subprocess.run(python(client), env=env, capture_output=True, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        result = tried(tmp_path, python(client), bench=ProgramBench(heard=lambda _, piece: heard.append(piece)))
    assert result.status == "ok", result
    assert b"".join(heard) == plain.stdout == b"1 []\n"


LOOP = "import asyncio; asyncio.run(asyncio.sleep(0.01))"


@pytest.mark.parametrize(
    "line",
    [
        [sys.executable, "-m", "client"],
        ["sh", "-c", f"{sys.executable} client.py"],
        ["env", "REQUESTS={n}", sys.executable, "client.py"],
        ["./client.py"],
        [sys.executable, "-c", "import os, sys; os.execv(sys.executable, [sys.executable, 'client.py'])"],
        [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.call([sys.executable, 'client.py']))"],
        [sys.executable, "-c", "import os, runpy; runpy.run_path('client.py'); os._exit(0)"],
    ],
    ids=["-m", "shell", "env", "shebang", "exec", "child", "_exit"],
)
@pytest.mark.parametrize("tier", ["bare", "timeline"])
def test_a_loop_is_found_however_python_was_started(tmp_path: Path, line: list[str], tier: Tier) -> None:
    # modules, wrappers, scripts with an interpreter line, what a process becomes, children, and an end without Python's own
    client = script(tmp_path, f"#!{sys.executable}\n{LOOP}\n")
    client.chmod(0o755)
    result = tried(tmp_path, line, cwd=str(tmp_path), tier=tier)
    assert (result.status, result.span) == ("ok", "loop"), result
    assert (result.total_s or 0) >= 0.01
    assert "end" not in result.not_observed
    assert "instruments" not in result.not_observed


@pytest.mark.parametrize("end", ["os._exit(7)", "sys.exit(7)", "os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(7)'])"])
def test_an_account_that_cannot_be_written_does_not_keep_a_program_from_its_end(tmp_path: Path, end: str) -> None:
    # whatever goes wrong in the telling, the process ends as it would, and says nothing of it
    text = f"import asyncio, os, sys\nfrom loopdiag_instruments import marks\nasyncio.run(asyncio.sleep(0))\nmarks._rows.counters['x'] = object()\n{end}\n"
    result = tried(tmp_path, python(script(tmp_path, text)))
    assert result.exit_code == 7, result
    (place,) = tmp_path.glob("trial-*")
    assert not (place / "program.err").exists()


STARTS = {
    "run": "asyncio.run(main())",
    "Runner": "with asyncio.Runner() as runner: runner.run(main()); runner.run(main())",
    "run_until_complete": "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); loop.close()",
    "uvloop.run": "import uvloop; uvloop.run(main())",
    "uvloop policy": "import uvloop; asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); asyncio.run(main())",
    "anyio.run": "import anyio; anyio.run(main)",
    "anyio.run uvloop": "import anyio; anyio.run(main, backend_options={'use_uvloop': True})",
    "thread": "import threading; t = threading.Thread(target=lambda: asyncio.run(main())); t.start(); t.join()",
    "own loop": "class Own(asyncio.SelectorEventLoop): pass\nloop = Own(); loop.run_until_complete(main()); loop.close()",
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("tier", ["bare", "timeline"])
def test_every_way_to_start_a_loop_is_timed(tmp_path: Path, start: str, tier: Tier) -> None:
    # T is the loop's span: it holds the sleep in the loop, and not the one before it
    text = f"import asyncio, time, warnings\nwarnings.simplefilter('ignore')\nasync def main(): await asyncio.sleep(0.05)\ntime.sleep(0.3)\n{STARTS[start]}\n"
    result = tried(tmp_path, python(script(tmp_path, text)), tier=tier)
    assert (result.status, result.span) == ("ok", "loop"), result
    assert result.total_s is not None
    assert result.process_s is not None
    assert 0.05 <= result.total_s <= result.process_s - 0.3
    assert (result.cpu_s or 0) > 0


def test_children_are_told_and_the_ledger_is_of_the_one_with_most_requests(tmp_path: Path) -> None:
    # one child makes seven requests, the others two and one, the parent none: the trial is about the first
    script(tmp_path, AIOHTTP)
    parent = script(
        tmp_path,
        """
        import subprocess, sys
        for n in ("7", "2", "1"):
            subprocess.run([sys.executable, "client.py", n, sys.argv[1]], check=True)
        """,
        "parent.py",
    )
    with target() as server:
        result = tried(tmp_path, python(parent, server.url), cwd=str(tmp_path))
    assert result.succeeded == 7
    assert "2 other Python processes of the program made 3 requests: they are not in this ledger" in result.warnings
    (place,) = tmp_path.glob("trial-*")
    assert len(columns.load(place)["attempts"]) == 1 + 7  # the sink, and the main process's alone


FORK = """
    import asyncio, os
    child = os.fork()
    if not child:
        asyncio.run(asyncio.sleep(0.01))
        os._exit(0)
    os.waitpid(child, 0)
"""
POOL = """
    import multiprocessing, socket
    def connect(port):
        try:
            socket.create_connection(("127.0.0.1", port))
        except OSError as error:
            return type(error).__name__
    if __name__ == "__main__":
        with multiprocessing.get_context("{}").Pool(1) as pool:
            print(pool.map(connect, [1, 1]))
"""
BECOMES = """
    import os, subprocess
    subprocess.run(["true"], preexec_fn=os.getpid, check=True)
    os.spawnlp(os.P_WAIT, "true", "true")
"""


@pytest.mark.parametrize(("text", "told"), [(FORK, True), (POOL.format("fork"), True), (BECOMES, False)], ids=["fork", "pool", "becomes"])
@pytest.mark.parametrize("tier", ["bare", "timeline"])
def test_forked_children_are_left_alone_and_told(tmp_path: Path, text: str, tier: Tier, told: bool) -> None:
    # what they inherit writes nowhere; those that become another program are none
    result = tried(tmp_path, python(script(tmp_path, text)), tier=tier)
    assert (result.status, result.span) == ("ok", "process"), result
    line = "the program forked 1 child that connected or ran a loop: what came of it is not observed"
    assert (line in result.warnings) == told, result.warnings
    assert not any("failed" in warning for warning in result.warnings), result.warnings  # no table of the parent's was opened in the child
    (place,) = tmp_path.glob("trial-*")
    assert {path.suffix for path in place.iterdir()} <= {".npy", ".json", ".out", ".err"}
    assert not any(path.is_dir() for path in place.iterdir())


def test_spawned_children_are_observed_like_any(tmp_path: Path) -> None:
    # their processes are Pythons of their own, and the standard library's own tracker is none of the program's
    result = tried(tmp_path, python(script(tmp_path, POOL.format("spawn"))), tier="timeline")
    assert (result.status, result.span) == ("ok", "process"), result
    assert not any("fork" in line for line in result.warnings)


def test_everything_that_a_program_started_is_gone(tmp_path: Path) -> None:
    # children in its group, and those that have left it
    text = """
        import subprocess, sys
        for new in (False, True):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=new)
            print(child.pid, flush=True)
    """
    result = tried(tmp_path, python(script(tmp_path, text)), tier="bare")
    assert result.status == "ok"
    (place,) = tmp_path.glob("trial-*")
    for pid in map(int, (place / "program.out").read_text().split()):
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize("knobs", [Knobs(), Knobs(null_server=True)], ids=["trial", "null server"])
def test_an_interrupt_while_a_program_is_started_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knobs: Knobs) -> None:
    # a signal that comes then is raised when the program is there: it is killed, in a trial and in the run that fills the null server
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self)

    @contextmanager
    def held() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    monkeypatch.setattr(program_run.subprocess, "Popen", Noted)
    folder = tmp_path / "run" / "trials" / "one"
    folder.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        ProgramBench(held=held).run(job(folder, python("-c", "import time; time.sleep(600)"), tier="bare", knobs=knobs), folder)
    (one,) = started
    assert one.returncode == -9


def test_the_users_environment_is_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # nothing is cleaned away, and the number of requests stands in a variable, too
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    text = "import os; print(os.environ['HTTPS_PROXY'], os.environ['PYTHONHASHSEED'], os.environ['LOOPDIAG_N'])"
    tried(tmp_path, python("-c", text), n=12, tier="bare")
    (place,) = tmp_path.glob("trial-*")
    assert (place / "program.out").read_text() == "http://proxy.invalid 5 12\n"
    assert not (place / "program.err").exists()


def test_children_of_a_scenarios_process_are_no_fault(tmp_path: Path) -> None:
    # they inherit the environment, find the tables taken, and leave no word of failure
    text = f"import subprocess; subprocess.run({python('-c', 'pass')!r}, check=True)"
    subprocess.run(python("-c", text), env=injected_environment(os.environ, tmp_path), check=True)
    assert not list(tmp_path.glob("*failed*"))
    assert (tmp_path / "instruments.json").exists()
