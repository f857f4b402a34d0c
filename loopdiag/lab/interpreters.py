"""Finding a Python interpreter of a wanted version: loopdiag's own, on the PATH, among pyenv's, among uv's."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from loopdiag.model.value import Value

ASK = "import platform as p; print(p.python_implementation(), p.python_version())"
ANSWER_S = 20.0


class Interpreter(Value, frozen=True, kw_only=True):
    """One that was started and answered."""

    path: str
    version: str  # such as "3.9.18"


def find(wanted: str | None) -> Interpreter | None:
    """Return a CPython of the version `wanted` ("3.9" or "3.9.18"; None: loopdiag's own), or None where there is none."""
    for path in _candidates(wanted):
        version = _version(str(path))
        if version is not None and (wanted is None or fits(version, wanted)):
            return Interpreter(path=str(path), version=version)
    return None


def fits(version: str, wanted: str) -> bool:
    """Whether `version` ("3.9.18") is a `wanted` one ("3.9" or "3.9.18")."""
    return version == wanted or version.startswith(f"{wanted}.")


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, to compare it: (3, 9, 18)."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _candidates(wanted: str | None) -> Iterator[Path]:
    """Yield where one may be, the likeliest first; what stands there may be of another version, or not run at all, as pyenv's shims."""
    if wanted is None or fits(platform.python_version(), wanted):
        yield Path(sys.executable)
    if wanted is None:
        return
    minor = ".".join(wanted.split(".")[:2])
    yield from (Path(folder) / f"python{minor}" for folder in os.environ.get("PATH", "").split(os.pathsep))
    home = os.environ.get("HOME", "")
    pyenv = Path(os.environ.get("PYENV_ROOT") or f"{home}/.pyenv") / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or f"{os.environ.get('XDG_DATA_HOME') or f'{home}/.local/share'}/uv/python")
    for root, pattern in ((pyenv, f"{minor}*"), (uv, f"cpython-{minor}*")):
        for folder in sorted(root.glob(pattern), key=lambda found: numbers(found.name), reverse=True):
            yield folder / "bin" / f"python{minor}"


@cache
def _version(path: str) -> str | None:
    """Return the version of the CPython at `path`; None where there is none that runs."""
    try:
        done = subprocess.run([path, "-I", "-c", ASK], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    return words[1] if done.returncode == 0 and len(words) == 2 and words[0] == "CPython" else None
