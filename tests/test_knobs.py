"""Knobs of the standard library's part, in real programs of every Python that there is and on both loops."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from knob_parts import run

from loopdiag.instruments.knobs import FAMILIES
from loopdiag.model.scenario import Knobs

PROJECT = Path(__file__).parent.parent

#: other Pythons that are installed beside this one; where there are none, this one is tested alone
PYTHONS = {
    found.name: str(found)
    for minor in (10, 12, 13, 14)
    for found in [
        *Path(sys.base_prefix).parent.glob(f"3.{minor}*/bin/python3.{minor}"),
        *map(Path, filter(None, [shutil.which(f"python3.{minor}")])),
    ][:1]
}

MOST = """
import asyncio, sys
def most(make):
    inside = most = 0
    async def one(gate):
        nonlocal inside, most
        async with gate:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
    async def main():
        gate = make()
        await asyncio.gather(*(one(gate) for _ in range(20)))
    asyncio.run(main())
    return most
"""

#: what is changed → the program, what it prints with the knobs as they are, and with them turned
STANDARD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "semaphore": ({"semaphore": 0}, MOST + "print(most(lambda: asyncio.Semaphore(3)))", "3", "20"),
    "semaphore-value": ({"semaphore": 7}, MOST + "print(most(lambda: asyncio.BoundedSemaphore(3)))", "3", "7"),
    "semaphore-of-one": ({"semaphore": 0}, MOST + "print(most(lambda: asyncio.Semaphore(1)))", "1", "1"),
    "lock": ({"lock": False}, MOST + "print(most(asyncio.Lock), most(lambda: asyncio.Semaphore(1)), most(lambda: asyncio.Semaphore(2)))", "1 1 2", "20 20 2"),
    "semaphore-made-there": (
        {"semaphore": 0, "semaphore_place": "client.py:18"},
        MOST + "first = lambda: asyncio.Semaphore(2)\nsecond = lambda: asyncio.Semaphore(3)\nprint(most(first), most(second))",
        "2 3",
        "2 20",
    ),
    "semaphore-entered-there": ({"semaphore": 9, "semaphore_place": "client.py:7"}, MOST + "print(most(lambda: asyncio.BoundedSemaphore(3)))", "3", "9"),
    "semaphore-of-threads": ({"semaphore": 9}, "import threading\ns = threading.BoundedSemaphore(3)\nprint(s._value, s._initial_value)", "3 3", "9 9"),
    "executor": (
        {"executor": 3},
        ("import asyncio, concurrent.futures as c\nasync def main():\n    await asyncio.to_thread(int)\n"
        "    return asyncio.get_running_loop()._default_executor._max_workers\n"
        "print(asyncio.run(main()), c.ThreadPoolExecutor(7)._max_workers, c.ThreadPoolExecutor(max_workers=8)._max_workers)"),
        "",
        "3 3 3",
    ),
    "debug_off": ({"debug_off": True}, "import asyncio\nasync def main():\n    print(asyncio.get_running_loop().get_debug())\nasyncio.run(main(), debug=True)", "True", "False"),
    "sleep": (
        {"sleep": 0},
        ("import asyncio, inspect\nasync def main():\n    loop = asyncio.get_running_loop()\n    t = loop.time()\n"
        "    r = await asyncio.gather(asyncio.sleep(0.2, 1), asyncio.create_task(asyncio.sleep(0.2, 2)))\n"
        "    print(r, asyncio.iscoroutinefunction(asyncio.sleep), loop.time() - t >= 0.2)\n"
        "import warnings; warnings.simplefilter('ignore')\nasyncio.run(main())"),
        "[1, 2] True True",
        "[1, 2] True False",
    ),
    "blocking_sleep": (
        {"blocking_sleep": 0.0},
        ("import asyncio, time\nasync def main():\n    t = time.perf_counter()\n    time.sleep(0.2)\n    print(time.perf_counter() - t >= 0.2)\n"
        "asyncio.run(main())\nt = time.perf_counter()\ntime.sleep(0.1)\nprint(time.perf_counter() - t >= 0.1)"),
        "True\nTrue",
        "False\nTrue",
    ),
    "switch_interval_ms": ({"switch_interval_ms": 0.5}, "import sys\nsys.setswitchinterval(0.1)\nprint(round(sys.getswitchinterval(), 5))", "0.1", "0.0005"),
    "gc_frozen": (
        {"gc_frozen": True},
        ("import asyncio, gc\ngc.set_threshold(1, 1, 1)\nasync def main():\n    before = gc.get_stats()[2]['collections']\n    kept = [[] for _ in range(5000)]\n"
        "    gc.collect()\n    print(gc.get_stats()[2]['collections'] > before, gc.get_freeze_count() > 0)\nasyncio.run(main())"),
        "True False",
        "False True",
    ),
    "nodelay": (
        {"nodelay": True},
        ("import socket\nserver = socket.create_server(('127.0.0.1', 0))\ns = socket.socket()\ns.connect(server.getsockname())\n"
        "s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)\nprint(bool(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))\ns.close(); server.close()"),
        "False",
        "True",
    ),
    "shared_tls": (
        {"shared_tls": True},
        ("import ssl\ndef make(weak=False):\n    c = ssl.create_default_context()\n    if weak:\n        c.check_hostname = False\n    return c\n"
        "a, b, c, d = (make(weak) for weak in (False, False, True, False))\n"
        "print(a is b, d is a, b.verify_mode == ssl.CERT_REQUIRED, d.check_hostname)"),
        "False False True True",
        "True False True True",
    ),
    "delay-function": (
        {"delay": {"seam": "function", "ms": 100, "place": "client.py:parse"}},
        "import time\ndef parse(): return 1\ndef other(): return 1\nt = time.perf_counter()\nparse(); other(); parse()\nprint(time.perf_counter() - t >= 0.2)",
        "False",
        "True",
    ),
    "delay-line": (
        {"delay": {"seam": "blocking_call", "ms": 100, "place": "client.py:4"}},
        "import time\nt = time.perf_counter()\ndef work():\n    x = 1\n    return x\nwork(); work()\nprint(time.perf_counter() - t >= 0.2)",
        "False",
        "True",
    ),
    "cached_dns": (
        {"cached_dns": True},
        ("import asyncio, socket\nasync def main():\n    loop = asyncio.get_running_loop()\n"
        "    return [await loop.getaddrinfo('localhost', 80, type=socket.SOCK_STREAM) for _ in range(3)]\n"
        "a, b, c = asyncio.run(main())\nprint(a == b == c and bool(a), socket.getaddrinfo('127.0.0.1', 80) == socket.getaddrinfo('127.0.0.1', 80))"),
        "True True",
        "True True",
    ),
    "ipv4_only": (
        {"ipv4_only": True},
        ("import asyncio, socket\nasync def main():\n    return await asyncio.get_running_loop().getaddrinfo('localhost', 80)\n"
        "found = asyncio.run(main()) + socket.getaddrinfo('localhost', 80)\nprint({f[0] for f in found} == {socket.AF_INET}, socket.getaddrinfo('::1', 80)[0][4][0])"),
        "",
        "True ::1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STANDARD)
def test_a_knob_changes_what_the_program_sees(name: str, tmp_path: Path) -> None:
    # a program that is run with a knob turned behaves as if its code said so, the knob says that it acted, and without it nothing is changed
    knobs, program, before, after = STANDARD[name]
    (tmp_path / "plain").mkdir()
    plain = run(tmp_path / "plain", program, {})
    assert not before or plain.out == before
    assert not plain.acted
    ran = run(tmp_path, program, knobs)
    assert ran.out == after
    idle = {"semaphore_place"} | ({"semaphore"} if before == after and name.startswith("semaphore") else set())
    assert set(ran.acted) == set(knobs) - idle
    assert set(ran.cannot) == ({"shared_tls"} if name == "shared_tls" else set())  # one of its contexts is weakened


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("python", PYTHONS)
def test_other_pythons(name: str, python: str, tmp_path: Path) -> None:
    # every version from 3.10 on gives the same
    if subprocess.run([PYTHONS[python], "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("it does not run here")
    knobs, program, _, after = STANDARD[name]
    assert run(tmp_path, program, knobs, python=PYTHONS[python]).out == after


ON_UVLOOP = "import uvloop, asyncio\nasyncio.run = uvloop.run\n"


@pytest.mark.parametrize("name", ["semaphore", "lock", "sleep", "blocking_sleep", "debug_off", "cached_dns", "ipv4_only", "gc_frozen"])
def test_knobs_on_uvloop(name: str, tmp_path: Path) -> None:
    # a loop of uvloop's makes no difference to a knob
    knobs, program, _, after = STANDARD[name]
    program = program.replace("asyncio.run(", "uvloop.run(")
    changed = run(tmp_path, "import uvloop\n" + program, knobs)
    assert changed.out == after
    assert set(changed.acted) == set(knobs)


def test_uvloop_in_the_place_of_asyncio(tmp_path: Path) -> None:
    # a program that asks for asyncio's loop by any of the usual ways gets uvloop's
    program = (
        "import asyncio\nasync def main():\n    return type(asyncio.get_running_loop()).__module__\n"
        "with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as r:\n    print(asyncio.run(main()), r.run(main()), asyncio.new_event_loop().__module__)"
    )
    ran = run(tmp_path, program, {"uvloop": True})
    assert ran.out == "uvloop uvloop uvloop"
    assert ran.acted == {"uvloop": 3}


@pytest.mark.skipif(not PYTHONS, reason="no other Python here")
@pytest.mark.parametrize(("knob", "why"), [("uvloop", "no uvloop in"), ("fast_json", "no orjson, msgspec or ujson in")])
def test_what_is_not_there_is_told(knob: str, why: str, tmp_path: Path) -> None:
    # a knob that needs a library which the program's environment lacks leaves the program as it is, and says so
    ran = run(
        tmp_path,
        "import asyncio, json\nasync def main():\n    return json.loads('[1]')\nprint(asyncio.run(main()))",
        {knob: True},
        python=next(iter(PYTHONS.values())),
    )
    assert ran.out == "[1]"
    assert not ran.acted
    assert why in ran.cannot[knob]


def test_a_quicker_decoder_says_what_the_standard_one_says(tmp_path: Path) -> None:
    # answers, errors and what only the standard decoder takes are the same
    program = (
        "import json\nfor text in ('{\"a\": [1, 2.5, null]}', b'[1]', '[NaN]', '[1', '[1]'.encode('utf-16')):\n"
        "    try:\n        print(json.loads(text))\n    except ValueError as e:\n        print(type(e).__name__, e)\n"
        "print(json.loads('{\"a\": 1}', object_pairs_hook=list))"
    )
    (tmp_path / "plain").mkdir()
    ran = run(tmp_path, program, {"fast_json": True})
    assert ran.out == run(tmp_path / "plain", program, {}).out
    assert ran.acted == {"fast_json": 2}


def test_a_bad_setting_leaves_the_program_alone(tmp_path: Path) -> None:
    # what no knob is called is told, and the program runs on
    ran = run(tmp_path, "print(1)", {"colour": 3, "delay": {"seam": "function"}})
    assert ran.out == "1"
    assert ran.cannot == {"colour": "there is no such knob", "delay": "no place is given"}


def test_every_knob_of_the_model_is_turned_by_a_file_and_told_in_the_docs() -> None:
    # what the model can ask for is what the instruments know, and what its page says
    names = set(Knobs.__struct_fields__)
    assert set(FAMILIES) == names
    assert names == set(
        re.findall(
            r"`([a-z0-9_]+)`", "".join(re.findall(r"^\| (.*?) \|", (PROJECT / "docs/knobs.md").read_text(encoding="utf-8"), re.MULTILINE))
        )
    )
