"""Programs in one piece: what PyInstaller froze, which nothing can be injected into, and archives that a Python runs, which are observed like any."""

import os
import shutil
import subprocess
import sys
import zipapp
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_config_var

import pytest
from exec_parts import HTTP_CLIENT, STREAMS, script, target, tried, typed
from required import missing

from loopdiag.errors import LoopdiagError

SAID = (
    "is a frozen binary with a Python of its own, which reads no PYTHONPATH; "
    "run the program's source with its Python instead, as in: loopdiag exec -- python client.py {n} URL"
)


#: what PyInstaller makes of one analysis: a folder with the program in it, and a single file that unpacks itself and starts a child
SPEC = """
seen = Analysis(["client.py"])
code = PYZ(seen.pure)
COLLECT(EXE(code, seen.scripts, exclude_binaries=True, name="client"), seen.binaries, seen.datas, name="folder")
EXE(code, seen.scripts, seen.binaries, seen.datas, name="single", strip=True)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where PyInstaller has frozen a program."""
    if find_spec("PyInstaller") is None:
        missing("PyInstaller is not installed; the dev extra brings it")
    if not get_config_var("Py_ENABLE_SHARED") or shutil.which("objcopy") is None:
        pytest.skip("PyInstaller needs a Python that was built with --enable-shared, and objcopy")
    folder = tmp_path_factory.mktemp("frozen")
    script(folder, HTTP_CLIENT)
    (folder / "client.spec").write_text(SPEC)
    command = [sys.executable, "-m", "PyInstaller", "--log-level=ERROR", "client.spec"]
    subprocess.run(command, cwd=folder, env=os.environ | {"PYINSTALLER_CONFIG_DIR": str(folder / "cache")}, check=True)
    return folder / "dist"


@pytest.fixture(params=["folder/client", "single"])
def frozen(request: pytest.FixtureRequest, built: Path) -> Path:
    """A frozen program."""
    return built / request.param


def test_a_frozen_program_is_told_in_one_line(frozen: Path, tmp_path: Path) -> None:
    # it runs once, as it does without us, and the line says what it is and what would be right
    with target() as server:
        plain = subprocess.run([frozen, "2", server.url], capture_output=True, check=True)
        done = typed("--n", "2,4,8", "-q", "--out", "run", "--", str(frozen), "{n}", server.url, cwd=tmp_path)
    assert done.stderr.decode().splitlines() == [f"cannot instrument {frozen}: {frozen} {SAID}"]
    assert done.stdout == plain.stdout
    assert done.returncode == 3


@pytest.mark.parametrize("wrapper", [["env", "A=1"], ["sh", "-c", 'sleep 0; "$0" "$@"; exit $?']], ids=["env", "shell"])
def test_a_frozen_program_behind_another_is_named(frozen: Path, tmp_path: Path, wrapper: list[str]) -> None:
    # not the wrapper is at fault
    with target(mean_ms=400) as server, pytest.raises(LoopdiagError) as raised:
        tried(tmp_path, [*wrapper, str(frozen), "{n}", server.url], n=4)  # long enough to be seen below a shell
    assert raised.value.faults == (f"cannot instrument {wrapper[0]}: {frozen} {SAID}",)


@pytest.mark.parametrize("interpreter", [sys.executable, f"/usr/bin/env {sys.executable}", None], ids=["first line", "env", "argument"])
def test_an_archive_is_a_program_like_any(tmp_path: Path, interpreter: str | None) -> None:
    # zipapp's files are run by the Python that their first line, or the command line, names
    (tmp_path / "app").mkdir()
    script(tmp_path / "app", STREAMS, "__main__.py")
    zipapp.create_archive(tmp_path / "app", tmp_path / "client.pyz", interpreter)
    with target() as server:
        result = tried(tmp_path, [*([] if interpreter else [sys.executable]), "./client.pyz", "{n}", server.url], cwd=str(tmp_path))
        assert server.collect(None).requests == 7
    assert (result.status, result.span) == ("ok", "loop"), result
