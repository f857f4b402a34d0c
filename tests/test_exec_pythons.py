"""Programs in environments of their own: other Pythons, and virtual environments that have nothing of ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from exec_parts import HTTP_CLIENT, STREAMS, script, target, tried

from loopdiag.errors import LoopdiagError
from loopdiag.instruments.primitives import _codes
from loopdiag.model.recording import Tier

NEWEST = 15


def pythons() -> list[str]:
    """The Pythons that there are, one a version: by their names on the PATH, and where pyenv keeps them."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = {}
    for minor in range(10, NEWEST):
        there = [*sorted(root.glob(f"3.{minor}.*/bin/python3")), shutil.which(f"python3.{minor}")]
        if path := next((str(path) for path in there if path and works(str(path), minor)), None):
            found[minor] = path
    return list(found.values())


def works(path: str, minor: int) -> bool:
    """Whether it is a Python of that version."""
    asked = subprocess.run([path, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() == str(minor)


PYTHONS = pythons() or [sys.executable]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("tier", ["bare", "timeline"])
@pytest.mark.parametrize("text", [STREAMS, HTTP_CLIENT], ids=["streams", "http.client"])
def test_a_python_without_anything_of_ours_is_observed(tmp_path: Path, python: str, tier: Tier, text: str) -> None:
    # it has the standard library alone; output and requests are those of plain Python
    client = script(tmp_path, text)
    with target() as server:
        plain = subprocess.run([python, str(client), "7", server.url], capture_output=True, check=True)
        asked = server.collect(None).requests
        result = tried(tmp_path, [python, str(client), "{n}", server.url], tier=tier)
        assert server.collect(None).requests == asked == 7
    assert (result.status, result.exit_code) == ("ok", 0), result
    assert result.span == ("loop" if text is STREAMS else "process")
    (place,) = tmp_path.glob("trial-*")
    assert (place / "program.out").read_bytes() == plain.stdout
    assert not (place / "program.err").exists()
    assert result.versions["python"] == subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tier == "timeline":
        assert "everything" not in result.not_observed
        assert not [line for line in result.warnings if "failed" in line]


def test_a_python_without_its_lock_is_named(tmp_path: Path) -> None:
    # the interpreter itself says that it runs free-threaded; played by one that says so
    (tmp_path / "as.py").write_text(
        "import os, sys\nsys._is_gil_enabled = lambda: False\nsys.path.insert(0, os.environ['PYTHONPATH'].split(':')[0])\nimport sitecustomize\n"
    )
    with pytest.raises(
        LoopdiagError, match=r"runs on a free-threaded Python 3\.\d+; the instruments count on its lock, which PYTHON_GIL=1 switches on"
    ):
        tried(tmp_path, [sys.executable, "-S", "-c", "exec(open('as.py').read())"], cwd=str(tmp_path))


def test_a_group_is_known_by_where_it_waits() -> None:
    # newer releases moved the waiting of a task group into a method of its own
    from asyncio import TaskGroup

    async def _aexit(self: TaskGroup, kind: object, error: object) -> None:
        """Stands where a newer release waits."""

    missing: dict[str, str] = {}
    assert _codes(missing)[id(getattr(TaskGroup, "_aexit", TaskGroup.__aexit__).__code__)] == "gather"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskGroup, "_aexit", _aexit, raising=False)
        assert _codes(missing)[id(_aexit.__code__)] == "gather"
    assert not missing


def test_a_virtual_environment_is_the_programs_own(tmp_path: Path) -> None:
    # the program sees its environment's packages and no others, run by the environment's python, a console script and -m
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "fetching.py").write_text(
        "import asyncio, sys\ndef main():\n    asyncio.run(asyncio.sleep(0))\n    print(sys.prefix, 'msgspec' in sys.modules)\n"
    )
    (packages / "sitecustomize.py").write_text("import sys; sys.theirs = True")
    python = tmp_path / "venv" / "bin" / "python"
    tool = tmp_path / "venv" / "bin" / "fetch"
    tool.write_text(f"#!{python}\nimport sys\nfrom fetching import main\nassert sys.theirs\nsys.exit(main())\n")
    tool.chmod(0o755)
    for line in (
        [str(tool)],
        [str(python), "-c", "import fetching; fetching.main()"],
        ["sh", "-c", f". {tmp_path}/venv/bin/activate; fetch"],
    ):
        result = tried(tmp_path, line)
        assert (result.status, result.span) == ("ok", "loop"), result
        assert (tmp_path / f"trial-{len(list(tmp_path.iterdir())) - 1}" / "program.out").read_text() == f"{tmp_path / 'venv'} False\n"
