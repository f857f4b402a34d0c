"""Environments of the arms' own: an interpreter and packages that an arm names, built once by venv and pip and kept in the user's cache.

A build that was cut short left no mark, and is begun anew; of two runs that want the same one, the second waits for the first.
"""

import errno
import fcntl
import json
import os
import platform
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

import msgspec

from loopdiag.errors import InputError
from loopdiag.lab import interpreters, plain
from loopdiag.lab.interpreters import Interpreter
from loopdiag.lab.plain import TOOLS
from loopdiag.model.recording import Tier
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.value import Value

Note = Callable[[str], object]

MARK = "loopdiag.json"  # in an environment that is whole
OLDEST = (3, 8)  # that the plain worker runs on
OBSERVED = (3, 10)  # the oldest that the instruments run on
BUILD_S = 1_800.0  # a package without a wheel may be compiled
PATHS = frozenset({"PYTHONPATH", "PYTHONHOME"})  # what would put other packages into it
LIST = "import importlib.metadata as m, json; print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
#: this folder's parent is on the path only while the worker is imported
START = "import sys; sys.path[0] = sys.argv.pop(); from plain.worker import main; del sys.path[0]; main()"
LOCAL = re.compile(r"(?:^|@\s*)(file:\S+|/\S+)$")  # a requirement that is, or names, a file of this machine


class Built(Value, frozen=True, kw_only=True):
    """An environment that is whole."""

    python: str  # path of its interpreter
    version: str  # of that
    packages: dict[str, str]  # name → version


def refused(arm: Arm) -> dict[Tier, str]:
    """Return the tiers that an arm cannot be run in, each with why."""
    if not arm.apart:
        return {}
    why: dict[Tier, str] = {"calls": "calls are counted in loopdiag's own environment alone"}
    if arm.python is not None and interpreters.numbers(arm.python)[:2] < OBSERVED:
        why["timeline"] = (
            f"it runs on Python {arm.python}, and the instruments need 3.10 or newer: totals and profiles are all there is of it"
        )
    return why


def faults(arm: Arm) -> list[str]:
    """Say why an arm's environment cannot be built here, as far as that can be told without building it; nothing where it is loopdiag's own."""
    if not arm.apart or interpreters.find(arm.python) is not None:
        return []
    where = f"no Python {arm.python} on this machine: looked on the PATH, among pyenv's and among uv's"
    return [f"arm {arm.name}: {where}; install one, such as by: uv python install {arm.python}"]


def prepare(scenario: Scenario, note: Note) -> None:
    """Build the environments of all arms that have one of their own, as far as they are not there yet.

    Args:
        scenario: whose arms.
        note: gets a line where something takes long.

    Raises:
        InputError: one cannot be built; one line an arm.
    """
    failed: list[str] = []
    for arm in scenario.arms:
        if arm.apart:
            try:
                build(arm, note)
            except InputError as fault:
                failed += fault.faults
    if failed:
        raise InputError(*dict.fromkeys(failed))


def build(arm: Arm, note: Note) -> Built:
    """Return the arm's environment, built now where it was not built before.

    Raises:
        InputError: there is no such interpreter, pip cannot install the requirements, or they install no client for the arm.
    """
    if lacking := faults(arm):
        raise InputError(*lacking)
    found = interpreters.find(arm.python)
    assert found is not None
    folder = _folder(arm, found)
    try:
        made = _built(folder) or _locked(arm, found, folder, note)
    except OSError as error:
        raise InputError(f"arm {arm.name}: its environment cannot be kept in {folder.parent}: {error.strerror or error}") from None
    except subprocess.SubprocessError as error:
        raise InputError(f"arm {arm.name}: its environment in {folder} cannot be asked what it holds: {error}") from None
    there = {_plain(name) for name in made.packages}
    missing = [name for name in (arm.client, arm.loop) if name != "asyncio" and _plain(name) not in there]
    if missing:
        raise InputError(f"arm {arm.name}: its requirements ({', '.join(arm.requirements)}) install no {' and no '.join(missing)}")
    return made


def command(arm: Arm) -> tuple[str, ...]:
    """Return the command line of the arm's worker.

    Raises:
        FileNotFoundError: its environment is not there (any more).
    """
    found = interpreters.find(arm.python)
    made = None if found is None else _built(_folder(arm, found))
    if made is None:
        raise FileNotFoundError(errno.ENOENT, "its environment was not built, or is gone; run it again")
    return made.python, "-c", START, str(Path(plain.__file__).parent.parent)


def without_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment (of a process) without what would put packages of another interpreter on the path."""
    return {name: value for name, value in environment.items() if name not in PATHS}


def cache_folder() -> Path:
    """Return where environments are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or f"{os.environ.get('HOME', '')}/.cache"
    return Path(home) / "loopdiag" / "environments"


# -- one environment


def _folder(arm: Arm, found: Interpreter) -> Path:
    """Where the environment of these requirements for this interpreter is; a file that they name counts with its content."""
    key = [found.path, found.version, platform.machine(), sorted(map(_pinned, arm.requirements))]
    return cache_folder() / f"{found.version}-{sha256(json.dumps(key).encode()).hexdigest()[:16]}"


def _pinned(requirement: str) -> tuple[str, str]:
    """A requirement, and the digest of the file that it names."""
    match = LOCAL.search(requirement.strip())
    if match is None:
        return requirement, ""
    path = Path(unquote(urlsplit(match[1]).path))
    try:
        return requirement, sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except OSError:
        return requirement, ""


def _built(folder: Path) -> Built | None:
    """The environment there, where it is whole."""
    try:
        made = msgspec.json.decode((folder / MARK).read_bytes(), type=Built)
    except (OSError, msgspec.DecodeError):
        return None
    return made if os.access(made.python, os.X_OK) else None


def _locked(arm: Arm, found: Interpreter, folder: Path, note: Note) -> Built:
    folder.parent.mkdir(parents=True, exist_ok=True)
    what = f"the environment of {arm.name} (Python {found.version}; {', '.join(arm.requirements)})"
    with _lock(folder.with_name(f"{folder.name}.lock"), lambda: note(f"waiting for another run that builds {what}")) as lock:
        if (made := _built(folder)) is not None:  # meanwhile, by the other one
            return made
        note(f"building {what}: once, it may take a minute or two")
        return _make(arm, found, folder, lock)


@contextmanager
def _lock(path: Path, waiting: Callable[[], object]) -> Iterator[int]:
    """Hold the lock at `path`; the kernel gives it back when all who have its descriptor have ended, however that is."""
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _make(arm: Arm, found: Interpreter, folder: Path, lock: int) -> Built:
    if folder.exists():
        shutil.rmtree(folder)
    log, python = folder.with_name(f"{folder.name}.log"), str(folder / "bin" / "python")
    install = [python, "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--retries", "2", "--", *arm.requirements]
    with log.open("wb") as output:
        for step in ([found.path, "-I", "-m", "venv", str(folder)], *([install] if arm.requirements else ())):
            if (code := _ended(step, output, lock)) != 0:
                why = f"it took longer than {BUILD_S / 60:.0f} minutes" if code is None else _why(log)
                raise InputError(
                    f"arm {arm.name}: its environment (Python {found.version}; {', '.join(arm.requirements)}) cannot be built: "
                    f"{why}; all that was said stands in {log}"
                )
    listed = subprocess.run([python, "-I", "-c", LIST], capture_output=True, check=True, timeout=BUILD_S).stdout
    packages = {name: version for name, version in json.loads(listed).items() if name and _plain(name) not in TOOLS}
    made = Built(python=python, version=found.version, packages=dict(sorted(packages.items())))
    draft = folder / f"{MARK}.tmp"
    draft.write_bytes(msgspec.json.encode(made))
    draft.replace(folder / MARK)
    return made


def _ended(step: list[str], output: IO[bytes], lock: int) -> int | None:
    """Run one step of a build; how it ended, None: not in time.

    What it starts, a compiler such as pip's, ends with it.  Where this process is killed, it goes on, and keeps the lock until it ends: nobody else writes there.
    """
    env = without_paths(os.environ)
    running = subprocess.Popen(
        step, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, pass_fds=(lock,), start_new_session=True
    )
    try:
        return running.wait(BUILD_S)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if running.returncode is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def _why(log: Path) -> str:
    """What a failed build said, in one line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if any("Retrying (" in line for line in lines):
        return "pip cannot reach the package index (is this machine offline?)"
    if "No module named venv" in " ".join(lines) or any("ensurepip is not" in line for line in lines):
        return "that Python has no venv or no pip of its own (on Debian and Ubuntu: apt install python3-venv)"
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    return f"pip: {said[-1]}" if said else "it says nothing"


def _plain(name: str) -> str:
    """A package's name as all its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()
