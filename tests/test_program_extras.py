"""Small instruments of programs: what ran out, where debug mode is switched on, and the block around a line; in real interpreters."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from raw_tables import BASE, MS, table, tick, trial

from loopdiag.analysis.timelines import resolve
from loopdiag.instruments import exhaustion, made_leaks
from loopdiag.instruments.context import Rows
from loopdiag.instruments.places import _block
from loopdiag.model.program import WAITS, Place


class Failing:
    """A socket that fails as it is told."""

    def __init__(self, number: int = 0) -> None:
        if number:
            raise OSError(number, "told so")

    def connect(self, number: int) -> None:
        if number:
            raise OSError(number, "told so")


@pytest.mark.parametrize(
    ("at", "number", "counted"),
    [
        ("make", errno.EMFILE, {"exhausted.descriptors": 1}),
        ("make", errno.ENFILE, {"exhausted.descriptors": 1}),
        ("connect", errno.EADDRNOTAVAIL, {"exhausted.ports": 1}),
        ("connect", errno.ECONNREFUSED, {}),
        ("connect", 0, {}),
    ],
)
def test_what_ran_out_is_counted_and_raised(at: str, number: int, counted: dict[str, int]) -> None:
    # only errors that say that something ran out are counted, and every error goes on to the program
    class Own(Failing):
        pass

    module: Any = ModuleType("sockets")
    module.socket = Own
    rows: Any = SimpleNamespace(counters={})
    exhaustion.install(rows, module)

    def run() -> None:
        made = Own(number if at == "make" else 0)
        made.connect(number)

    if number:
        with pytest.raises(OSError, match="told so"):
            run()
    else:
        run()
    assert rows.counters == counted


def test_a_real_socket_is_as_ever() -> None:
    # what is watched still makes and connects sockets, under their own names
    class Own(socket.socket):
        pass

    module: Any = ModuleType("sockets")
    module.socket = Own
    rows: Any = SimpleNamespace(counters={})
    exhaustion.install(rows, module)
    with socket.create_server(("127.0.0.1", 0)) as server, Own() as made:
        made.connect(server.getsockname())
        assert made.getpeername() == server.getsockname()
    assert rows.counters == {}


CODE = """async def main():
    while not task.done():  # look
        # why
        await sleep(1)
    value = [
        f(
    1),
    ]
    if value and (
        True
    ):
        go()
top()
"""


@pytest.mark.parametrize(
    ("line", "block"),
    [
        (4, (2, "while not task.done():  # look")),
        (2, (1, "async def main():")),
        (6, (0, "")),  # the inside of a bracket: no block begins there
        (12, (0, "")),  # a header of several lines is not told
        (13, (0, "")),  # the module's own
        (99, (0, "")),  # no such line
    ],
)
def test_the_block_around_a_line(line: int, block: tuple[int, str]) -> None:
    # the line that opens the innermost block, where one line does
    assert _block(CODE.splitlines(keepends=True), line) == block


def test_debug_mode_is_told_by_its_line(tmp_path: Path) -> None:
    # asyncio.run(…, debug=True) and set_debug(True) are each counted at the line that says so
    script = tmp_path / "client.py"
    script.write_text(
        "import asyncio, json, sys\n"
        f"sys.path.insert(0, {os.fspath(Path(exhaustion.__file__).parents[2])!r})\n"
        "from types import SimpleNamespace\n"
        "from loopdiag.instruments import made_debug, places\n"
        "rows = SimpleNamespace(made={}, told={}, counters={})\n"
        "import asyncio.selector_events\n"
        "made_debug.install(rows, asyncio.selector_events)\n"
        "async def main():\n"
        "    asyncio.get_running_loop().set_debug(False)\n"
        "    asyncio.get_running_loop().set_debug(True)\n"
        "asyncio.run(main(), debug=True)\n"
        "listed = places.PLACES.listed()\n"
        "print(json.dumps(sorted([what, listed[place][1], count[0]] for (what, place, _), count in rows.made.items())))\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.strip() == '[["debug", 10, 1], ["debug", 11, 1]]'


def test_the_last_look_never_keeps_the_interpreter_from_its_end(tmp_path: Path) -> None:
    # it is called where the interpreter is about to wait for the program's threads: what goes wrong is noted, and it waits all the same
    class Failing:
        def look(self) -> None:
            raise RuntimeError("planted")

    rows = Rows(str(tmp_path), program=True)
    made_leaks._last_look(rows, Failing())  # type: ignore[arg-type] # as far as it is asked
    assert rows.dropped == {"made_leaks": "RuntimeError: planted"}


def test_an_instrument_of_the_same_name_that_was_off_hides_no_table() -> None:
    # scenarios have an instrument `tasks`, programs a table `tasks`: that the first was not on says nothing of the second
    tables = {
        "attempts": table("attempts", [{"t0": 1, "request": 1}]),
        "tasks": table("tasks", [{"t0": 0}, {"t0": 1, "parent": 1}]),
        "waits": table("waits", [{"t0": 2, "task": 1, "kind": WAITS.index("lock"), "number": 1, "end": tick(BASE + 9 * MS)}]),
    }
    places = (Place(file="", line=0),)
    resolved = resolve(tables, trial(places=places, not_observed={"tasks": "watched from level 'detailed' on"}))
    assert resolved.activity is not None
    assert len(resolved.activity.tasks.created_ns) == 2
    assert len(resolved.activity.waits.kind) == 1
