"""Who waits on whom: each wait of a program's tasks, by its kind, its bound, its line and whoever ended it, on both loops and every Python there is."""

import subprocess
import sys
from pathlib import Path

import pytest
from blocking_parts import ON_LOOP, PYTHONS, Seen, run
from primitives_programs import ANYIO, DRIVEN, LOOKS, WAITS

from loopdiag.instruments.schema import TICK_NS
from loopdiag.model.program import WAITS as KINDS

HERE = ["asyncio", "uvloop"]
RUNS = [*HERE, *PYTHONS]

#: mark of the line that waits, kind, bound or length, mark of the line that made the task which ended the wait; None: no task did
WAITED = [
    ("at-semaphore", "semaphore", 2, "at-gather"),
    ("at-sleep", "sleep", 4000, None),
    ("at-gather", "gather", 4, "at-gather"),
    ("at-get", "queue-get", 1, "main()"),
    ("at-put", "queue-put", 1, "made-consumer"),
    ("at-join", "event", 0, "made-consumer"),
    ("at-task", "task", 0, "made-held"),
    ("at-wait", "wait", 2, "at-wait"),
    ("at-lock", "lock", 0, "at-wait"),
    ("at-completed", "as-completed", 0, "for done in"),
    ("at-thread", "executor", 0, None),
    ("at-executor", "executor", 0, None),
    ("at-event", "event", 0, None),
    ("at-condition", "condition", 0, "made-notifier"),
    ("at-future", "future", 0, None),
    ("at-shield", "task", 0, "made-shielded"),
    ("at-called-back", "future", 0, "made-last"),
]
SINCE_311 = [("at-group", "gather", 2, "made-last-of-group"), ("at-barrier", "barrier", 2, "made-met")]
ANYIO_WAITED = [
    ("at-semaphore", "semaphore", 2, "made-work"),
    ("at-sleep", "sleep", 4000, None),
    ("at-limiter", "limiter", 2, "made-work"),
    ("at-lock", "lock", 0, "made-work"),
    ("at-thread", "executor", 0, None),
    ("made-waiting", "event", 0, "main"),
]

UNEVEN = """import asyncio

async def main():
    slow = asyncio.create_task(asyncio.sleep(0.05))
    quick = asyncio.create_task(asyncio.sleep(0.001))
    await asyncio.gather(slow, quick)  # at-uneven

asyncio.run(main())
"""


def python_of(name: str) -> str:
    return PYTHONS.get(name, sys.executable)


def loop_of(name: str) -> str:
    return name if name in HERE else "asyncio"


@pytest.fixture(scope="module", params=RUNS)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    name = request.param
    return run(tmp_path_factory.mktemp("waits") / name, WAITS + ON_LOOP, loop_of(name), python=python_of(name))


@pytest.fixture(scope="module", params=HERE)
def anyio_seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return run(tmp_path_factory.mktemp("anyio") / "run", ANYIO, request.param)


def waits(seen: Seen, mark: str) -> list[tuple[str, int, str | None]]:
    """Kind, value and the waker's making of each wait at a line."""
    tasks = seen.tables["tasks"]
    return [
        (KINDS[row["kind"]], int(row["value"]), seen.text(tasks[row["waker"]]["place"]) if row["waker"] else None)
        for row in seen.rows("waits")
        if mark in seen.text(row["place"])
    ]


def assert_waited(seen: Seen, mark: str, kind: str, value: int, waker: str | None) -> None:
    found = waits(seen, mark)
    assert found, f"no wait {mark}"
    assert {(each, length) for each, length, _ in found} == {(kind, value)}
    if waker is None:
        assert {by for *_, by in found} == {None}
    else:
        assert all(by is not None for *_, by in found), found
        assert any(waker in str(by) for *_, by in found), found


# Every wait is told by what is waited on, its bound, the line that waits and the task that ended it.
@pytest.mark.parametrize(("mark", "kind", "value", "waker"), WAITED)
def test_wait(seen: Seen, mark: str, kind: str, value: int, waker: str | None) -> None:
    assert_waited(seen, mark, kind, value, waker)


# So are those of what came with 3.11.
@pytest.mark.parametrize(("mark", "kind", "value", "waker"), SINCE_311)
def test_wait_since_311(seen: Seen, mark: str, kind: str, value: int, waker: str | None) -> None:
    if seen.account["python"].startswith("3.10"):
        assert not waits(seen, mark)
    else:
        assert_waited(seen, mark, kind, value, waker)


# AnyIO's primitives are waited on as asyncio's are.
@pytest.mark.parametrize(("mark", "kind", "value", "waker"), ANYIO_WAITED)
def test_anyio_wait(anyio_seen: Seen, mark: str, kind: str, value: int, waker: str | None) -> None:
    assert_waited(anyio_seen, mark, kind, value, waker)


# A gather is ended by the task that was done last, whatever its place among the arguments.  (uvloop's callbacks do not show it: the path asks the tasks.)
def test_a_gather_is_ended_by_its_slowest(tmp_path: Path) -> None:
    seen = run(tmp_path / "uneven", UNEVEN, "asyncio")
    assert waits(seen, "at-uneven") == [("gather", 2, "slow = asyncio.create_task(asyncio.sleep(0.05))")]


# What never suspends its task is no wait, and what does is one wait each time.
def test_only_what_suspends(seen: Seen) -> None:
    number = {
        mark: len(waits(seen, mark))
        for mark in ("at-semaphore", "at-lock", "at-task", "at-event", "at-gather", "async with sem:", "await lock")
    }
    assert number == {"at-semaphore": 2, "at-lock": 1, "at-task": 1, "at-event": 1, "at-gather": 1, "async with sem:": 2, "await lock": 0}


# A wait begins, is ended, and its task runs on, in this order; an unfinished one is a worker's that the program left waiting.
def test_order(seen: Seen) -> None:
    assert not seen.account["lost"]
    for row in seen.rows("waits"):
        since = int(row["t0"]) // TICK_NS
        woken, end = (((int(row[name]) - since) + (1 << 31)) % (1 << 32) - (1 << 31) for name in ("woken", "end"))
        assert row["woken"], row
        assert row["end"], row
        assert 0 <= woken <= end, row
        assert 0 < row["task"] < len(seen.tables["tasks"])


# Each task is told once: who made it, where, when it ran first and when it was done.
def test_tasks(seen: Seen) -> None:
    rows = seen.rows("tasks")
    by_line = [seen.text(row["place"]) for row in rows]
    assert sum("at-gather" in line for line in by_line) == 4
    assert sum("made-held" in line for line in by_line) == 1
    for row in rows:
        since = int(row["t0"]) // TICK_NS
        first, done = (((int(row[name]) - since) + (1 << 31)) % (1 << 32) - (1 << 31) for name in ("first_run", "done"))
        assert row["loop"] == 1
        assert row["first_run"], row
        assert row["done"], row
        assert 0 <= first <= done, row
    assert {int(row["parent"]) for row, line in zip(rows, by_line, strict=True) if "# " in line} == {1}


# A wait for a call in an executor names the call's row, and one for a task the task's number.
def test_numbers(seen: Seen) -> None:
    jobs, tasks = [], []
    for row in seen.rows("waits"):
        if KINDS[row["kind"]] == "executor":
            jobs.append(int(row["number"]))
        if KINDS[row["kind"]] == "task":
            tasks.append(seen.text(seen.tables["tasks"][row["number"]]["place"]))
    assert jobs == [1, 2]
    assert [line.partition("# ")[2] for line in tasks] == ["made-held", "made-shielded"]


# What the program makes is counted by its line, with its bound.
def test_made(seen: Seen) -> None:
    made = {(one["what"], seen.text(one["place"]).partition(" =")[0], one["count"], one["value"]) for one in seen.account["made"]}
    assert {("semaphore", "sem", 1, 2), ("queue", "queue", 1, 1), ("lock", "lock", 1, 0)} <= made
    assert sum(what == "queue" for what, *_ in made) == 1  # as_completed's own is not the program's


# AnyIO's are counted once each, although its adapters make them twice.
def test_anyio_made(anyio_seen: Seen) -> None:
    made = {(one["what"], one["count"], one["value"]) for one in anyio_seen.account["made"]}
    assert {("semaphore", 1, 2), ("limiter", 1, 2), ("limiter", 1, 3), ("lock", 1, 0)} <= made


# Who enters a semaphore of AnyIO's without a task is let in, and no wait is told.
@pytest.mark.parametrize("loop", HERE)
def test_anyio_without_a_task(loop: str, tmp_path: Path) -> None:
    seen = run(tmp_path / "run", DRIVEN + ON_LOOP, loop)
    assert seen.output == "entered 1\n"
    assert {KINDS[row["kind"]] for row in seen.rows("waits")} == {"sleep"}
    assert not seen.account["warnings"]


# A program sees the same objects, answers, cancellations, contexts and tracebacks with the instruments as without.
@pytest.mark.parametrize("name", RUNS)
def test_unchanged(name: str, tmp_path: Path) -> None:
    with_instruments = run(tmp_path / "with", LOOKS + ON_LOOP, loop_of(name), python=python_of(name))
    (tmp_path / "client.py").write_text(LOOKS + ON_LOOP)
    plain = subprocess.run(
        [python_of(name), str(tmp_path / "client.py"), loop_of(name)], capture_output=True, text=True, check=True, timeout=60
    )
    assert with_instruments.output == plain.stdout
    assert not with_instruments.account["warnings"]
