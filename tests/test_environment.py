"""The machine as it is recorded: real readings here, and every reading absent elsewhere."""

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loopdiag.lab import machine
from loopdiag.lab.environment import client_and_server_cores, environment, steal_share, steal_ticks, versions
from loopdiag.model.recording import Environment
from loopdiag.model.scenario import Arm, Scenario, Sweep, Target

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree in the place of /proc and /sys."""
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    return tmp_path


def scenario(*arms: str, n: tuple[int, ...] = (1, 2), url: str | None = None) -> Scenario:
    split = [arm.split("/") for arm in arms or ("httpx/asyncio",)]
    return Scenario(name="x", arms=tuple(Arm(client=c, loop=loop) for c, loop in split), sweep=Sweep(n=n), target=Target(url=url))


@LINUX
def test_this_machine_is_described() -> None:
    # every figure is there, and agrees with what the system tells by other ways
    here = environment()
    assert here.system.startswith(platform.system())
    assert here.python == f"{platform.python_implementation()} {platform.python_version()}"
    assert here.cores == len(os.sched_getaffinity(0))
    assert here.memory_mib == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    assert here.clock_resolution_ns > 0
    assert here.clock_cost_ns > 0
    assert here.cpu
    assert here.versions["aiohttp"] == metadata.version("aiohttp")
    assert msgspec.json.decode(msgspec.json.encode(here), type=Environment) == here


def test_versions_come_without_imports_and_without_what_only_development_needs() -> None:
    # loopdiag, its dependencies and what they rest on; no linter
    found = versions()
    assert {"loopdiag", "aiohttp", "httpx", "httpcore", "uvloop", "granian", "numpy", "py-spy", "openssl"} <= found.keys()
    assert not {"ruff", "mypy", "pytest"} & found.keys()
    assert all(re.match(r"\d+\.", version) for version in found.values())


def test_a_machine_that_tells_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # off Linux a reading that is absent is None, with a note, and nothing is pinned
    assert not list(tree.iterdir())
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    monkeypatch.delattr(os, "getloadavg", raising=False)
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    there = environment(scenario())
    assert (there.memory_mib, there.descriptor_limit, there.load_1min, there.steal_share) == (None, None, None, None)
    assert (there.cores, there.client_cores, there.server_cores) == (1, (), ())
    assert there.cpu
    assert there.notes == (
        "one core only: client and server share it, and the server's work is in every total",
        "the limit of open files is not known here",
        "the memory's size is not known here",
        "the load is not known here",
        "the share of stolen CPU time is not known here",
    )


CALM = {
    "proc/meminfo": "MemTotal:        2048000 kB\nMemAvailable:    1024000 kB\n",
    "proc/stat": "cpu  100 0 50 800 10 5 5 30 0 0\ncpu0 1 2 3\n",
    "proc/cpuinfo": "processor : 0\nmodel name\t: A Processor\nflags\t\t: fpu sse\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
}
NOTES = [
    ({}, {}, []),
    (
        {"proc/cpuinfo": "flags\t: fpu hypervisor sse\n"},
        {},
        ["a virtual machine: other guests may take CPU time (see the share of stolen time)"],
    ),
    (
        {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n"},
        {},
        ["the CPU's frequency is not fixed (governor powersave): short trials may run slower than long ones"],
    ),
    (
        {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"},
        {},
        ["the clock source is hpet, which is slow to read; tsc is quick"],
    ),
    ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, {}, ["the control group allows the time of 1.5 CPUs"]),
    ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, {}, []),
    ({}, {"load_1min": 3.0}, ["the machine was busy at the start: load 3.0 on 4 cores"]),
    ({}, {"descriptor_limits": (256, 4096)}, ["the limit of 256 open files may be too low for N = 400"]),
    (
        {"sys/devices/system/cpu/cpu3/topology/thread_siblings_list": "0-3\n"},
        {},
        ["client and server run on two threads of one physical core"],
    ),
    ({}, {"allowed_cores": (2,)}, ["one core only: client and server share it, and the server's work is in every total"]),
]


@pytest.mark.parametrize(("files", "readings", "notes"), NOTES)
def test_what_may_bend_the_figures_is_noted(
    tree: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], readings: dict[str, Any], notes: list[str]
) -> None:
    # each circumstance has its note, and a calm machine has none
    plant(tree, CALM | files)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)
    for name, value in ({"load_1min": 0.1, "descriptor_limits": (4096, 4096), "allowed_cores": (0, 1, 2, 3)} | readings).items():
        monkeypatch.setattr(machine, name, lambda value=value: value)
    there = environment(scenario(n=(50, 400)))
    assert list(there.notes) == notes
    assert there.memory_mib == 2000


@pytest.mark.parametrize(
    ("cores", "siblings", "expected"),
    [
        ((0,), {}, ((), ())),
        ((0, 1), {}, ((1,), (0,))),
        ((0, 1), {1: "0-1"}, ((1,), (0,))),
        ((0, 1, 2, 3), {}, ((3,), (2,))),
        ((0, 1, 2, 3), {3: "2-3"}, ((3,), (1,))),
        ((0, 1, 2, 3), {3: "1,3"}, ((3,), (2,))),
        ((2, 5), {5: "1,5"}, ((5,), (2,))),
        ((0, 1), {1: "no numbers"}, ((1,), (0,))),
    ],
)
def test_client_and_server_get_cores_of_their_own(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    cores: tuple[int, ...],
    siblings: dict[int, str],
    expected: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    # two cores where there are two, of different physical cores where there is a choice, and only allowed ones
    plant(tree, {f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list": text for core, text in siblings.items()})
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)
    monkeypatch.setattr(machine, "allowed_cores", lambda: cores)
    assert client_and_server_cores() == expected


@pytest.mark.parametrize(
    ("what", "pinned"), [(scenario(), True), (scenario(url="http://h"), False), (scenario("fake/virtual"), False), (None, True)]
)
def test_only_an_embedded_server_pins(monkeypatch: pytest.MonkeyPatch, what: Scenario | None, pinned: bool) -> None:
    # with a live target, or none, there is nothing to keep the client apart from
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)
    monkeypatch.setattr(machine, "allowed_cores", lambda: (0, 1))
    here = environment(what)
    assert (here.client_cores, here.server_cores) == (((1,), (0,)) if pinned else ((), ()))


def test_stolen_time_is_a_share_of_all_time(tree: Path) -> None:
    # guest time stands in user time already and is not counted twice; nothing is made up where nothing is known
    plant(tree, {"proc/stat": "cpu  100 0 50 800 10 5 5 30 70 0\n"})
    assert steal_ticks() == (30, 1000)
    plant(tree, {"proc/stat": "cpu  100 0 50 800\n"})
    assert steal_ticks() is None
    assert steal_share((30, 1000), (40, 1200)) == pytest.approx(0.05)
    assert steal_share((30, 1000), (30, 1000)) is None
    assert steal_share(None, (1, 2)) is None
    assert steal_share((1, 2), None) is None


@LINUX
def test_stolen_time_of_this_machine() -> None:
    # the kernel's counters only grow
    first, second = steal_ticks(), steal_ticks()
    assert first is not None
    assert second is not None
    assert 0 <= first[0] <= first[1] <= second[1]
