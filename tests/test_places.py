"""The program's own lines: what is the program, what is not, and where the walk outwards ends."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from blocking_parts import run

from loopdiag.instruments.places import PLACES, Places

LIBRARY = Path(sys.modules["os"].__file__ or "").parent


def frames(*files: str, inner: "Callable[[FrameType], Any]", name: str = "program") -> Any:
    """What `inner` says of the innermost frame, where code of the first file calls code of the second one, and so on."""

    def here() -> Any:
        return inner(sys._getframe(1))

    call: Callable[[], Any] = here
    for file in reversed(files):
        space: dict[str, Any] = {"call": call, "__name__": name}
        exec(compile("\n\ndef step():\n    return call()\n", file, "exec"), space)
        call = space["step"]
    return call()


def placed(places: Places, number: int) -> "str | None":
    return f"{places.listed()[number][0]}:{places.listed()[number][1]}" if number else None


SITE = "/venv/lib/python3.11/site-packages"


# The place of a frame is the innermost line of the program's; libraries, the standard library and generated code are walked through.
@pytest.mark.parametrize(
    ("files", "found"),
    [
        (("/home/me/client.py",), "/home/me/client.py:4"),
        (("/home/me/client.py", f"{SITE}/aiohttp/client.py"), "/home/me/client.py:4"),
        (("/home/me/client.py", "/home/me/own.py", str(LIBRARY / "asyncio" / "locks.py")), "/home/me/own.py:4"),
        (("/home/me/client.py", "<frozen importlib._bootstrap>"), "/home/me/client.py:4"),
        (("/home/me/client.py", "<attrs generated init>"), "/home/me/client.py:4"),
        (("/usr/lib/python3/dist-packages/requests/api.py",), None),
        ((str(LIBRARY / "threading.py"),), None),
        (("/home/me/site-packages.py",), "/home/me/site-packages.py:4"),
        (("C:\\me\\client.py", "C:\\py\\Lib\\site-packages\\httpx\\a.py"), "C:\\me\\client.py:4"),
    ],
)
def test_innermost_line(files: tuple[str, ...], found: "str | None") -> None:
    places = Places()
    places.stop_at(test_innermost_line.__code__)
    places.stop_at(frames.__code__)
    assert placed(places, frames(*files, inner=places.of_frame)) == found


# What a client's library does for itself is not the program's, unless the program's code stands in between.
@pytest.mark.parametrize(
    ("files", "own"),
    [
        (("/home/me/client.py", f"{SITE}/httpcore/_async/pool.py", f"{SITE}/anyio/_core.py"), False),
        (("/home/me/client.py", f"{SITE}/aiolimiter/leaky.py"), True),
        (("/home/me/client.py", f"{SITE}/aiohttp/client.py", "/home/me/hook.py"), True),
    ],
)
def test_own(files: tuple[str, ...], *, own: bool) -> None:
    assert (frames(*files, inner=Places().of_own) > 0) is own


# Each line has one number, however often and by whatever instruction it is reached, and the numbers count from 1.
def test_numbers() -> None:
    places = Places()
    seen = [
        frames("/home/me/a.py", inner=places.of_frame),
        frames("/home/me/b.py", inner=places.of_frame),
        frames("/home/me/a.py", inner=places.of_frame),
    ]
    assert seen == [1, 2, 1]
    assert places.listed()[0][:4] == ["", 0, "", ""]
    assert len(places.listed()) == 3


# An interpreter that does not know where it is, as one inside of another program, has no scripts of its own.
@pytest.mark.parametrize("executable", [None, ""])
def test_without_an_executable(executable: "str | None", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    places = Places()
    assert placed(places, frames("client.py", inner=places.of_frame)) == "client.py:4"


# A text that was made on the way is the program's if it is its main one.
@pytest.mark.parametrize(("name", "number"), [("__main__", 1), ("template", 0)])
def test_text(name: str, number: int) -> None:
    places = Places()
    places.stop_at(frames.__code__)
    assert frames("<string>", inner=places.of_frame, name=name) == number


# Where the loop's run begins the walk ends: the line that started it is the place of nothing in it.
def test_stop() -> None:
    places = Places()
    places.stop_at(frames.__code__)
    assert frames(str(LIBRARY / "asyncio" / "events.py"), inner=places.of_frame) == 0


# A task's place is the line at which the program's innermost coroutine is suspended, also under a chain of a library's.
def test_of_task() -> None:
    class Task:
        def get_coro(self) -> Any:
            return outer

    space: dict[str, Any] = {"__name__": "program"}
    text = "async def inner():\n    await stop()\nasync def outer():\n    await inner()\n"
    exec(compile(text, "/home/me/chain.py", "exec"), space)

    library: dict[str, Any] = {}
    exec(compile("import types\n@types.coroutine\ndef stop():\n    yield\n", str(LIBRARY / "types.py"), "exec"), library)
    space["stop"] = library["stop"]
    outer = space["outer"]()
    outer.send(None)
    places = Places()
    number = places.of_task(Task())
    assert number
    assert places.listed()[number][:2] == ["/home/me/chain.py", 2]
    outer.close()


# A tool that is installed as a whole is the program, by its own package: with its console script, and by `python -m`.
@pytest.mark.parametrize("script", ["from tool.cli import main\nmain()\n", ""])
def test_installed_tool(script: str, tmp_path: Path) -> None:
    home = tmp_path / "lib" / "site-packages"
    for package, text in (
        ("tool", {"__init__": "", "cli": CLI, "__main__": "from tool.cli import main\nmain()\n"}),
        ("framework", {"__init__": "import asyncio\ndef start(main):\n    asyncio.run(main())\n"}),
    ):
        (home / package).mkdir(parents=True)
        for name, code in text.items():
            (home / package / f"{name}.py").write_text(code)
    entry = f"import sys\nsys.path.insert(0, {str(home)!r})\n"
    if script:
        places = _tool_places(tmp_path, entry, script)
    else:
        seen = run(
            tmp_path / "run", entry + "import runpy\nsys.argv = ['tool']\nrunpy.run_module('tool', run_name='__main__', alter_sys=True)\n"
        )
        places = seen.account["places"]
    lines = [place[3] for place in places]
    assert "await asyncio.sleep(0.001)  # at-sleep" in lines
    assert lines.count("asyncio.run(main())") == 0


CLI = """
import asyncio
import framework

async def work():
    await asyncio.sleep(0.001)  # at-sleep

def main():
    framework.start(work)
"""


def _tool_places(folder: Path, entry: str, script: str) -> Any:
    """The places of a console script, which lies beside its Python."""
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "bin" / "tool").write_text(entry + script)
    program = f"import runpy, sys\nsys.executable = {str(folder / 'bin' / 'python')!r}\nrunpy.run_path({str(folder / 'bin' / 'tool')!r}, run_name='__main__')\n"
    return run(folder / "run", program).account["places"]


# One list of places serves the whole process.
def test_shared() -> None:
    from loopdiag.instruments import places

    assert places.of_frame == PLACES.of_frame
