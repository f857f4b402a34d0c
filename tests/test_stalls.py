"""Looks at a loop's thread while one iteration takes long, in real processes: where it was, whether it ran or slept, and that nothing is seen where nothing is long."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from blocking_parts import MS, ON_LOOP, PYTHONS, Seen, run

from loopdiag.instruments.context import Rows
from loopdiag.instruments.schema import STALL, TICK_NS, words
from loopdiag.instruments.stalls import LONG_NS, Monitor, most_seen

LOOPS = ("asyncio", "uvloop")
each = pytest.mark.parametrize("loop", LOOPS)

HEAD = "import asyncio, sys, time\n"
SLEEPS = """
async def fetch():
    time.sleep(0.08)
"""
COMPUTES = """
def parse():
    end = time.thread_time() + 0.08
    while time.thread_time() < end:
        sum(range(100))
async def fetch():
    parse()
"""
IN_C = """
pattern, text = __import__("re").compile("(a+)+$"), "a" * 21 + "b"
async def fetch():
    end = time.thread_time() + 0.08
    while time.thread_time() < end:
        pattern.match(text)
"""
WAITS = """
import socket
one, other = socket.socketpair()
one.settimeout(0.08)
async def fetch():
    try:
        one.recv(1)
    except TimeoutError:
        pass
"""
MAIN = """
async def main():
    for _ in range(4):
        await fetch()
        await asyncio.sleep(0.001)
"""


def longest(seen: Seen) -> "list[Any]":
    """The four longest stalls, in the order in which they came."""
    rows = sorted(seen.rows("stalls"), key=lambda row: -int(row["length"]))[:4]
    return sorted(rows, key=lambda row: int(row["t0"]))


@each
@pytest.mark.parametrize(
    ("fetch", "runs", "place"),
    [
        (SLEEPS, False, {"time.sleep(0.08)"}),
        (COMPUTES, True, {"while time.thread_time() < end:", "sum(range(100))"}),
        (WAITS, False, {"one.recv(1)"}),
    ],
    ids=["sleeps", "computes", "waits"],
)
def test_the_line_and_the_state(tmp_path: Path, loop: str, fetch: str, runs: bool, place: set[str]) -> None:
    # four stalls of 80 ms each: each is a row of that length at least, the line is the one that blocks, and most looks agree whether it runs
    seen = run(tmp_path, HEAD + fetch + MAIN + ON_LOOP, loop)
    rows = longest(seen)
    assert len(rows) == 4
    assert all(row["length"] * TICK_NS >= 79 * MS for row in rows)
    assert {int(row["loop"]) for row in rows} == {1}
    looks, running = (sum(int(row[name]) for row in rows) for name in ("looks", "running"))
    assert looks >= 4
    assert running * 2 > looks if runs else running * 2 < looks
    assert {seen.text(row["place"]) for row in rows if row["looks"]} <= place
    begun = [int(row["t0"]) for row in rows]
    assert all(later - earlier >= 80 * MS for earlier, later in pairwise(begun))


@each
def test_c_code_that_keeps_the_lock_is_seen_late_but_at_its_line(tmp_path: Path, loop: str) -> None:
    # a match of a regular expression lets nobody look before it is over: the look that waited for it still finds the line, and says that it ran
    rows = longest(seen := run(tmp_path, HEAD + IN_C + MAIN + ON_LOOP, loop))
    seen_at = {seen.text(row["place"]) for row in rows if row["looks"]}
    assert seen_at <= {"pattern.match(text)", "while time.thread_time() < end:"}
    assert seen_at
    assert sum(int(row["running"]) for row in rows) * 2 > sum(int(row["looks"]) for row in rows)


@each
def test_only_long_iterations_have_a_row(tmp_path: Path, loop: str) -> None:
    # a loop that waits 60 times for 5 ms has no row but those of iterations that were long, on whatever machine; and the looking states its cost
    quiet = "async def main():\n    for _ in range(60): await asyncio.sleep(0.005)\n"
    seen = run(tmp_path, HEAD + quiet + ON_LOOP, loop)
    assert all(row["length"] * TICK_NS >= LONG_NS - TICK_NS for row in seen.rows("stalls"))
    assert len(seen.rows("stalls")) < 60
    assert "stalls" in seen.account["installed"]
    assert seen.account["costs_ns"]["stalls"] > 0


RUNS = """
import threading
def work(k):
    asyncio.run(several())
async def several():
    time.sleep(0.04)
threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for _ in range(3): asyncio.run(several())
print(threading.active_count(), len(threading.enumerate()))
"""


def test_loops_in_several_threads_and_one_after_the_other(tmp_path: Path) -> None:
    # each loop has rows of its own, and the thread that looks is none of the program's
    seen = run(tmp_path, HEAD + RUNS)
    assert seen.output == "1 1\n"
    rows = [row for row in seen.rows("stalls") if row["length"] * TICK_NS >= 39 * MS]
    assert {int(row["loop"]) for row in rows} == {1, 2, 3, 4, 5, 6}


FORKS = """
import os
async def main():
    time.sleep(0.05)
    child = os.fork()
    if not child:
        asyncio.events._set_running_loop(None)
        asyncio.new_event_loop().run_until_complete(inside())
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
async def inside():
    time.sleep(0.02)
asyncio.run(main())
"""


def test_a_forked_child_runs_its_loops_without_it(tmp_path: Path) -> None:
    # the thread and whoever held its lock are not in the child, and it neither waits for them nor writes rows
    assert run(tmp_path, HEAD + FORKS).output == "7\n"


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_that_is_there(tmp_path: Path, python: str) -> None:
    # the line is found in each version
    seen = run(tmp_path, HEAD + SLEEPS + MAIN + ON_LOOP, "asyncio", python=PYTHONS[python])
    rows = longest(seen)
    assert {seen.text(row["place"]) for row in rows if row["looks"]} == {"time.sleep(0.08)"}
    assert "stalls" not in seen.account["not_observed"]


class Growing(dict[tuple[int, int, int], int]):
    """What was seen, while whoever looks notes one more."""

    def items(self) -> Any:
        raise RuntimeError("dictionary changed size during iteration")


@pytest.mark.parametrize(("sights", "place"), [(Growing({(3, 4, 0): 1}), 3), ({}, 0)], ids=["one more is noted", "the next look begins"])
def test_a_look_in_the_midst_of_the_writing_harms_nothing(tmp_path: Path, sights: dict[tuple[int, int, int], int], place: int) -> None:
    # the loop writes its row while the other thread looks on: what was seen by then stands in it
    rows = Rows(str(tmp_path), program=True)
    monitor = Monitor(rows, pytest.fail)
    monitor._watches[1] = SimpleNamespace(looks=1, running=0, began=5, sights=sights, begin=lambda _: None)  # type: ignore[assignment] # as far as it is asked
    monitor.stalled(1, 5, 5 + 2 * LONG_NS)
    at, row = rows.stalls.words, rows.stalls.row_words
    assert (at[row + words(STALL)["looks"]], at[row + words(STALL)["place"]]) == (1, place)


def test_most_seen() -> None:
    # the place that most looks saw wins, however they differ in what was innermost; and of it, what most saw innermost
    assert most_seen({(1, 5, 0): 3, (2, 6, 0): 2, (2, 7, 9): 2}) == (2, 6, 0)
    assert most_seen({(0, 4, 2): 2, (3, 4, 2): 1}) == (0, 4, 2)
