"""What `loopdiag check` says: tried for real here, and on machines that forbid."""

import os
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from loopdiag.lab import checks as checks_module
from loopdiag.lab import environment, machine, sampling
from loopdiag.lab.checks import Check, checks

NAMES = [
    "open files",
    "local ports",
    "listen backlog",
    "localhost",
    "cores",
    "clock",
    "memory",
    "reports",
    "py-spy",
    "uvloop",
    "h2",
    "aiodns",
]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree in the place of /proc and /sys."""
    monkeypatch.setattr(machine, "ROOT", tmp_path / "root")
    return tmp_path / "root"


def plant(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def look(name: str) -> Check:
    """The one check of this name, alone."""
    step = {"open files": "_descriptors", "local ports": "_ports", "listen backlog": "_backlog"}.get(name, f"_{name}")
    (found,) = [check for check in getattr(checks_module, step)() if check.name == name]
    return found


def test_everything_is_looked_at_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # each check says one line of what it found; one that is not ok says one line of what to do, one that is ok says none
    monkeypatch.chdir(tmp_path)
    found = checks()
    assert [check.name for check in found] == NAMES
    for check in found:
        assert check.found
        assert "\n" not in check.found + check.remedy
        assert not (check.ok is True and check.remedy)
        assert check.ok is not False or check.remedy
    assert not list(tmp_path.iterdir()), "a look leaves nothing behind"


def test_a_machine_that_tells_nothing_is_unknown_not_ok(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what cannot be read is neither allowed nor forbidden
    assert not tree.exists()
    monkeypatch.setattr(machine, "descriptor_limits", lambda: None)
    assert [look(name).ok for name in ("open files", "local ports", "listen backlog", "memory")] == [None] * 4


@pytest.mark.parametrize(
    ("limits", "ok", "found", "remedy"),
    [
        ((1024, 4096), True, "soft limit 1024, hard limit 4096: enough for N ≤ 960 connections at once", ""),
        ((None, None), True, "soft limit unlimited, hard limit unlimited: enough for any N", ""),
        ((256, 65536), False, "soft limit 256, hard limit 65536: enough for N ≤ 192 connections at once", "ulimit -n 4096"),
        ((256, 1000), False, "soft limit 256, hard limit 1000: enough for N ≤ 192 connections at once", "ulimit -n 1000"),
        ((256, None), False, "soft limit 256, hard limit unlimited: enough for N ≤ 192 connections at once", "ulimit -n 864"),
        (
            (64, 64),
            False,
            "soft limit 64, hard limit 64: enough for N ≤ 0 connections at once",
            "raise the hard limit to 864 or more (limits.conf, or ulimit as root)",
        ),
    ],
)
def test_open_files(monkeypatch: pytest.MonkeyPatch, limits: tuple[int | None, int | None], ok: bool, found: str, remedy: str) -> None:
    # the limit is put in terms of N, and the remedy is one that the hard limit allows
    monkeypatch.setattr(machine, "descriptor_limits", lambda: limits)
    assert look("open files") == Check(name="open files", ok=ok, found=found, remedy=remedy)


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of Linux")
def test_the_real_limit_of_open_files_is_read() -> None:
    # a process with a lowered limit sees it
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100));"
        "from loopdiag.lab import machine; print(machine.descriptor_limits())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "(100, 100)"


@pytest.mark.parametrize(
    ("name", "path", "text", "ok", "words"),
    [
        ("local ports", "proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n", True, "28232 (32768 to 60999)"),
        ("local ports", "proc/sys/net/ipv4/ip_local_port_range", "60000\t60999\n", False, "1000 (60000 to 60999)"),
        ("local ports", "proc/sys/net/ipv4/ip_local_port_range", "nonsense\n", None, "does not tell"),
        ("listen backlog", "proc/sys/net/core/somaxconn", "4096\n", True, "somaxconn is 4096"),
        ("listen backlog", "proc/sys/net/core/somaxconn", "128\n", False, "somaxconn is 128"),
        ("memory", "proc/meminfo", "MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n", True, "1000 MiB free of 2000 MiB"),
        ("memory", "proc/meminfo", "MemTotal: 2048000 kB\nMemAvailable: 102400 kB\n", False, "100 MiB free of 2000 MiB"),
    ],
)
def test_kernel_limits(tree: Path, *, name: str, path: str, text: str, ok: bool | None, words: str) -> None:
    # each limit that is too low has a remedy
    plant(tree, path, text)
    check = look(name)
    assert check.ok is ok
    assert words in check.found
    assert bool(check.remedy) is (ok is False)


@pytest.mark.parametrize(
    ("cores", "quota", "ok", "words"),
    [
        ((0, 1), None, True, "2; the client runs on core 1, the embedded server on core 0"),
        ((0,), None, False, "1; client and embedded server are not kept apart"),
        ((0, 1), "100000 100000", False, "2, but the control group allows the time of 1 CPUs"),
    ],
)
def test_cores(tree: Path, monkeypatch: pytest.MonkeyPatch, *, cores: tuple[int, ...], quota: str | None, ok: bool, words: str) -> None:
    # two cores' time is what it takes
    if quota:
        plant(tree, "sys/fs/cgroup/cpu.max", quota)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)
    monkeypatch.setattr(machine, "allowed_cores", lambda: cores)
    assert (look("cores").ok, look("cores").found) == (ok, words)


@pytest.mark.parametrize(("cost", "ok"), [(50.0, True), (900.0, False)])
def test_a_slow_clock_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch, cost: float, ok: bool) -> None:
    # what counts is what a reading costs
    plant(tree, "sys/devices/system/clocksource/clocksource0/current_clocksource", "acpi_pm\n")
    monkeypatch.setattr(machine, "clock_cost_ns", lambda: cost)
    check = look("clock")
    assert check.ok is ok
    assert check.found.startswith(f"source acpi_pm, {cost:.0f} ns a reading")


def test_parts_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    # each optional part says what it is for and how to get it
    monkeypatch.setattr(environment.metadata, "version", _nothing_installed)
    assert [(check.name, check.ok, check.remedy) for check in checks_module._parts()] == [
        ("uvloop", False, "pip install uvloop"),
        ("h2", False, 'pip install "loopdiag[http2]"'),
        ("aiodns", False, "pip install aiodns"),
    ]


def _nothing_installed(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


def test_where_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the folder is tried, not guessed at; where there is none yet, the one it would be made in
    monkeypatch.chdir(tmp_path)
    assert look("reports").found.startswith(f"reports/ (to be made in {tmp_path}) can be written, ")
    (tmp_path / "reports").mkdir()
    assert look("reports").found.startswith("reports/ can be written, ")
    monkeypatch.setattr(checks_module.tempfile, "TemporaryFile", _read_only)
    assert look("reports") == Check(
        name="reports",
        ok=False,
        found="reports/ cannot be written: read-only file system",
        remedy="loopdiag run … --out DIR, with a folder of yours",
    )


def test_a_file_in_the_place_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # it cannot be written into, and the line says so
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").write_text("")
    assert look("reports").ok is False


def _read_only(**_: Any) -> None:
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize(
    ("addresses", "ok", "words"),
    [
        (["127.0.0.1"], True, "resolves to 127.0.0.1"),
        (["::1", "127.0.0.1"], True, "resolves to 127.0.0.1 and ::1"),
        (["::1"], False, "resolves to ::1"),
        (None, False, "Name or service not known"),
    ],
)
def test_localhost(monkeypatch: pytest.MonkeyPatch, addresses: list[str] | None, ok: bool, words: str) -> None:
    # the name must lead to 127.0.0.1, where the embedded target listens
    def resolve(*_: Any, **__: Any) -> list[Any]:
        if addresses is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert (look("localhost").ok, look("localhost").found) == (ok, words)


# py-spy


def spy(tmp_path: Path, script: str) -> str:
    """A program in the place of py-spy."""
    path = tmp_path / "py-spy"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "ok", "words"),
    [
        ("exit 0", True, "may look into processes of ours"),
        ("echo 'Error: Permission Denied: Try running again with elevated permissions' >&2; exit 1", False, "Permission Denied"),
        ("exit 3", False, "it says nothing"),
        ("exec sleep 60", None, "could not be tried: TimeoutExpired"),
    ],
)
def test_py_spy_is_really_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, ok: bool | None, words: str) -> None:
    # the answer is the program's own, and the child that it looked at is gone whatever came of it
    started = []
    real = subprocess.Popen

    class Noted(real):  # type: ignore[type-arg,misc,valid-type]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(sampling, "py_spy", lambda: spy(tmp_path, script))
    monkeypatch.setattr(sampling, "TRY_S", 5.0 if ok is not None else 0.2)
    monkeypatch.setattr(subprocess, "Popen", Noted)
    found, text, remedy = sampling.sampling()
    assert found is ok
    assert words in text
    assert bool(remedy) is (ok is not True)
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_without_py_spy(monkeypatch: pytest.MonkeyPatch) -> None:
    # an absent program is told with how to get it
    monkeypatch.setattr(sampling, "py_spy", lambda: None)
    assert sampling.sampling() == (False, "not installed: no profile tier", "pip install py-spy")


@pytest.mark.parametrize(
    ("scope", "capabilities", "permission", "remedy"),
    [
        (None, None, "no Yama", "run as root"),
        ("0\n", "0000000000000000", "ptrace_scope 0, without CAP_SYS_PTRACE", "run as root"),
        ("1\n", "0000000000080000", "ptrace_scope 1, with CAP_SYS_PTRACE", "sudo sysctl kernel.yama.ptrace_scope=0"),
        ("3\n", "000001ffffffffff", "ptrace_scope 3, with CAP_SYS_PTRACE", "ptrace_scope 3 holds until the next boot"),
    ],
)
def test_the_remedy_fits_the_rule(tree: Path, scope: str | None, capabilities: str | None, permission: str, remedy: str) -> None:
    # what to do depends on what forbids
    if scope:
        plant(tree, "proc/sys/kernel/yama/ptrace_scope", scope)
    if capabilities:
        plant(tree, "proc/self/status", f"Name:\tx\nCapEff:\t{capabilities}\n")
    assert sampling.permission() == permission
    assert sampling.remedy().startswith(remedy)
