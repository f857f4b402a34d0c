"""Why nothing of a program could be observed, in one line with what to do: read off its command line, its files, and the Pythons that it ran."""

import re
import shutil
from collections.abc import Iterable, Mapping
from os import SEEK_END
from pathlib import Path

PYTHON = re.compile(r"(python|pypy)[\d.]*t?d?$")
FROZEN = (b"MEI\014\013\012\013\016", b"pyi-runtime-tmpdir", b"__nuitka", b"PYAPP")  # marks that packers leave
TAKES_VALUE, ENDS = frozenset("WX"), frozenset("cm")
ENV_TAKES_VALUE = frozenset({"-u", "--unset", "-C", "--chdir"})
HEAD_BYTES, TAIL_BYTES = 1 << 16, 1 << 16

WHY = {
    "I": "which ignores PYTHONPATH, and so the instruments; run it without -I (-s and -P do the rest of what -I does)",
    "E": "which ignores PYTHONPATH, and so the instruments; run it without -E",
    "S": "which does not import site, and so not the instruments; run it without -S",
}


def why_unseen(command: list[str], env: Mapping[str, str], seen: Iterable[list[str]] = (), folder: Path | None = None) -> str:
    """The reason, as the end of "cannot instrument …: ".

    Args:
        command: as the program was started.
        env: its environment.
        seen: command lines of processes that were seen running below it.
        folder: where it ran.
    """
    lines = [_behind_env(line) for line in (*_expanded(command, env, folder), *seen)]
    for line in lines:
        if reason := _of_python(line):
            return reason
    for line in lines:
        if line and _frozen(found_program(line[0], env, folder)):
            return (
                f"{line[0]} is a frozen binary with a Python of its own, which reads no PYTHONPATH; "
                "run the program's source with its Python instead, as in: loopdiag exec -- python client.py {n} URL"
            )
    if found_program(command[0], env, folder) is not None and not any(PYTHON.match(Path(line[0]).name) for line in lines if line):
        return f"{command[0]} ran no Python that the instruments could get into (CPython 3.10 or newer, not frozen); they know no other programs"
    return "its Python did not import the instruments from PYTHONPATH; does it, or a wrapper around it, clear its environment?"


def _of_python(line: list[str]) -> str | None:
    """Why a Python that was started so does not import the instruments; None where it does, or where it is none."""
    if not line or not PYTHON.match(Path(line[0]).name):
        return None
    words = iter(line[1:])
    for word in words:
        if not word.startswith("-") or word in {"-", "--"} or word.startswith("--"):
            return None
        for at, letter in enumerate(word[1:], start=2):
            if letter in WHY:
                return f"python was started with -{letter}, {WHY[letter]}"
            if letter in ENDS:
                return None  # what follows is the program's
            if letter in TAKES_VALUE:
                if not word[at:]:
                    next(words, None)
                break
    return None


def _behind_env(line: list[str]) -> list[str]:
    """The command that `env` runs, without its own options and assignments; any other line as it is."""
    if not line or Path(line[0]).name != "env":
        return line
    words = line[1:]
    while words and (words[0].startswith("-") or "=" in words[0]):
        words = words[2:] if words[0] in ENV_TAKES_VALUE else words[1:]
    return words


def _expanded(command: list[str], env: Mapping[str, str], folder: Path | None) -> Iterable[list[str]]:
    """The command line, and what a script's first line makes of it."""
    yield command
    if line := interpreter_line(found_program(command[0], env, folder)).split():
        yield line


def interpreter_line(path: Path | None) -> str:
    """What stands behind the #! of a script's first line; empty where there is none."""
    try:
        with open(path or "", "rb") as file:  # noqa: PTH123 - an empty name is no file
            first = file.readline(256)
    except OSError:
        return ""
    return first[2:].decode("utf-8", "replace").strip(" \t\n") if first.startswith(b"#!") else ""


def found_program(name: str, env: Mapping[str, str], folder: Path | None) -> Path | None:
    """The file that a command's first word names; None where the PATH knows none."""
    if "/" in name:
        return (folder or Path()) / name
    path = shutil.which(name, path=env.get("PATH"))
    return Path(path) if path else None


def _frozen(path: Path | None) -> bool:
    """Whether the file is an executable that carries the marks of a packer of Python programs."""
    try:
        with open(path or "", "rb") as file:  # noqa: PTH123 - as above
            head = file.read(HEAD_BYTES)
            if not head.startswith(b"\x7fELF"):
                return False
            file.seek(max(0, file.seek(0, SEEK_END) - TAIL_BYTES))
            content = head + file.read()
            return any(mark in content for mark in FROZEN)
    except OSError:
        return False
