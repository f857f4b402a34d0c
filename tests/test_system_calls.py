"""System calls are named by the numbers of the machine that recorded them."""

import os
import platform
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace as narrowed
from pathlib import Path

import pytest
from documents import ENVIRONMENT, small
from msgspec.structs import replace
from program_truths import blocked, evidence

from loopdiag.analysis.gather import evidence_of
from loopdiag.causes.lines import blocking_line
from loopdiag.causes.system_calls import CALLS, NUMBERED, SHOWN, SLEEP, named
from loopdiag.instruments import stalls
from loopdiag.model.program import Activity

HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}
#: what 3264 calls are called on a machine of 64 bits
RENAMED = {"fstatat": "newfstatat"}


@pytest.mark.parametrize(
    ("number", "architecture", "said"),
    [
        (230, "x86_64", SLEEP),
        (115, "aarch64", SLEEP),
        (202, "x86_64", "futex"),
        (202, "aarch64", "accept"),
        (63, "aarch64", "read"),
        (63, "x86_64", "system call 63 (x86_64)"),  # uname, which never sleeps
        (202, "riscv64", "system call 202 (riscv64)"),
        (230, None, "system call 230 (architecture not known)"),
        (-1, "x86_64", ""),
        (-1, None, ""),
    ],
)
def test_a_number_means_what_it_means_where_it_was_recorded(number: int, architecture: str | None, said: str) -> None:
    # never another architecture's name, nor one where the architecture is not known
    assert named(number, architecture) == said


def test_each_number_has_one_name() -> None:
    # no two calls of a machine share a number, and what is shown for one is a call of the table
    for at, architecture in enumerate(NUMBERED):
        assert len(NUMBERED[architecture]) == sum(numbers[at] is not None for numbers in CALLS.values())
    assert set(SHOWN) <= set(CALLS)


@pytest.mark.parametrize("architecture", HEADERS)
def test_the_numbers_are_the_kernels(architecture: str) -> None:
    # every number of the table is in the kernel's header, and every call of the table that the header has is in the architecture's part
    header = next((Path(path) for path in HEADERS[architecture] if Path(path).exists()), None)
    if header is None:
        pytest.skip("no kernel headers here")
    rows = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text(encoding="utf-8"), re.MULTILINE)
    real = {RENAMED.get(name, name): int(number) for name, number in rows}
    assert {name: number for name, number in real.items() if name in CALLS} == {
        name: number for number, name in NUMBERED[architecture].items()
    }


def test_the_lines_call_is_named_by_the_recordings_machine() -> None:
    # number 230 is a sleep on x86-64 alone, and nobody knows what it is where the recording does not say where it ran
    unnamed = evidence(blocked)
    lines = tuple(replace(each, activity=_without_texts(each.activity)) for each in unnamed.timelines if each.activity is not None)
    found = {
        architecture: blocking_line(narrowed(unnamed, timelines=lines, architecture=architecture))[1]
        for architecture in ("x86_64", "aarch64", None)
    }
    assert found == {"x86_64": SLEEP, "aarch64": "system call 230 (aarch64)", None: "system call 230 (architecture not known)"}


def _without_texts(activity: Activity) -> Activity:
    return replace(activity, places=tuple(replace(place, text="") for place in activity.places))


@pytest.mark.parametrize(
    ("system", "architecture"),
    [
        ("Linux 6.1.0-13-arm64 aarch64", "aarch64"),
        ("Linux 6.18.44 x86_64", "x86_64"),
        ("Linux 6.18.44 ", None),
        ("Linux", None),
        ("", None),
    ],
)
def test_the_recording_tells_the_architecture(system: str, architecture: str | None) -> None:
    # by the system that it ran on, as it was recorded; else it is not known
    assert replace(ENVIRONMENT, system=system).architecture == architecture
    recording = small().recording
    found = evidence_of(replace(recording, environment=replace(ENVIRONMENT, system=system)))
    assert found
    assert all(each.architecture == architecture for each in found.values())


def _sleep(ended: threading.Event, _pair: tuple[socket.socket, socket.socket]) -> None:
    while not ended.is_set():
        time.sleep(0.05)


def _read(_ended: threading.Event, pair: tuple[socket.socket, socket.socket]) -> None:
    os.read(pair[0].fileno(), 1)


def _receive(_ended: threading.Event, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].recv(1)


def _wait(ended: threading.Event, _pair: tuple[socket.socket, socket.socket]) -> None:
    ended.wait()


@pytest.mark.skipif(platform.machine() not in NUMBERED, reason="a machine whose calls have no names")
@pytest.mark.parametrize(("call", "names"), [(_sleep, {SLEEP, "select"}), (_read, {"read"}), (_receive, {"recv"}), (_wait, {"futex"})])
def test_a_thread_that_sleeps_in_a_call_is_seen_in_it(call: Callable[..., None], names: set[str]) -> None:
    # the number that the kernel tells of a real thread, as the instrument reads it, has that call's name here
    ended, seen = threading.Event(), ""
    one, other = socket.socketpair()
    with one, other:
        thread = threading.Thread(target=call, args=(ended, (one, other)))
        thread.start()
        folder = f"/proc/self/task/{thread.native_id}/"
        if not Path(folder, "syscall").exists():
            names = {""}  # a kernel that does not tell
        deadline = time.monotonic() + 60
        while seen not in names and time.monotonic() < deadline:
            runs, number = stalls._told_by_kernel(folder)
            seen = named(number - 1, platform.machine()) if not runs else "runs"
        ended.set()
        other.send(b"x")
        thread.join()
    assert seen in names


def test_a_program_of_32_bits_has_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    # its calls have other numbers, and the machine's name does not say so
    monkeypatch.setattr(stalls, "WIDE", False)
    monkeypatch.setattr(stalls, "_read", lambda _: b"162 0x0 0x0\n")
    assert stalls._told_by_kernel("") == (False, 0)
