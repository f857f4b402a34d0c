"""Tasks of a program as they are made otherwise than by asyncio's own way; threads with loops of their own; and who makes a request."""

from pathlib import Path

import numpy as np
import pytest
from blocking_parts import ON_LOOP, PYTHONS, Seen, run
from exec_parts import target

from loopdiag.model.program import LIBRARIES
from loopdiag.model.program import WAITS as KINDS

EAGER = """
import asyncio, sys

async def leaf():
    return 1

async def child(number):
    inner = asyncio.create_task(leaf())  # made-leaf
    if number:
        await asyncio.sleep(0.001)  # at-sleep
    return await inner

async def main():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    tasks = [asyncio.create_task(child(number)) for number in range(2)]  # made-child
    print(await asyncio.gather(*tasks), tasks[0].done())
"""
FACTORY = """
import asyncio, sys

class Own(asyncio.Task):
    pass

async def child():
    await asyncio.sleep(0.001)

async def main():
    loop = asyncio.get_running_loop()
    factory = lambda loop, coro, **more: Own(coro, loop=loop, **more)
    loop.set_task_factory(factory)
    task = asyncio.create_task(child())  # made-child
    direct = Own(child(), loop=loop)
    print(type(task).__name__, loop.get_task_factory() is factory)
    await task
    await direct
"""
THREADS = """
import asyncio, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

async def other():
    lock = asyncio.Lock()
    async def guard():
        async with lock:  # at-lock
            await asyncio.sleep(0.002)
    await asyncio.gather(guard(), guard())

async def main():
    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    pool = ThreadPoolExecutor(2)  # made-pool
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, 0.002) for _ in range(4)), other())
    queue = asyncio.Queue()
    loop.call_soon_threadsafe(queue.put_nowait, 1)
    await queue.get()  # at-get
    await asyncio.to_thread(thread.join)
"""
BROKEN = """
import asyncio, sys
from loopdiag_instruments import marks
rows = marks._rows

def boom(*_, **__):
    raise RuntimeError("planted")

async def main():
    sem = asyncio.Semaphore(1)
    rows.{table}.reserved, rows.{table}.room = -1, boom
    async def hold():
        async with sem:
            await asyncio.sleep(0.001)
    print(await asyncio.gather(*(asyncio.create_task(hold()) for _ in range(3))))
"""
REQUESTS = """
import asyncio, sys
import aiohttp, httpx

async def fetch(url, session, client):
    for path in ("refused", "fine"):
        try:
            async with session.get(url[path]) as answer:  # at-aiohttp
                await answer.read()
        except aiohttp.ClientConnectorError:
            pass
    async with session.get(url["fine"]) as answer:  # at-again
        await answer.read()
    await client.get(url["fine"])  # at-httpx

async def main():
    url = {"refused": "http://127.0.0.1:9/", "fine": sys.argv[2]}
    async with aiohttp.ClientSession() as session, httpx.AsyncClient(trust_env=False) as client:
        await asyncio.gather(*(fetch(url, session, client) for _ in range(2)))  # made-fetch
"""
IN_THREADS = """
import asyncio, sys
import urllib.request

def fetch(url):
    return urllib.request.urlopen(url + "/1").read()  # at-urlopen

async def main():
    await asyncio.gather(*(asyncio.to_thread(fetch, sys.argv[2]) for _ in range(3)))
    fetch(sys.argv[2])
"""

EAGER_PYTHONS = (
    [name for name in PYTHONS if tuple(map(int, name.removeprefix("python").split("."))) >= (3, 12)] if "this" not in PYTHONS else []
)


def by_mark(seen: Seen, mark: str) -> "list[np.void]":
    return [row for row in seen.rows("tasks") if mark in seen.text(row["place"])]


# An eager task runs while it is made: it is one task, made by the one that called, run at once, and done at once unless it waits.
@pytest.mark.parametrize("python", EAGER_PYTHONS)
def test_eager(python: str, tmp_path: Path) -> None:
    seen = run(tmp_path / "run", EAGER + ON_LOOP, "asyncio", python=PYTHONS[python])
    assert seen.output == "[1, 1] True\n"
    children, leaves = by_mark(seen, "made-child"), by_mark(seen, "made-leaf")
    assert [len(children), len(leaves)] == [2, 2]
    assert {int(row["parent"]) for row in children} == {1}
    numbers = [number for number, row in enumerate(seen.tables["tasks"]) if "made-child" in seen.text(row["place"])]
    assert [int(row["parent"]) for row in leaves] == numbers
    assert all(row["first_run"] and row["done"] for row in (*children, *leaves))
    (slept,) = (row for row in seen.rows("waits") if KINDS[row["kind"]] == "sleep")
    assert slept["task"] == numbers[1]


# A program's own task factory makes its tasks, and they are told as any: what was made beside the loop, from where it is first seen.
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_own_factory(loop: str, tmp_path: Path) -> None:
    seen = run(tmp_path / "run", FACTORY + ON_LOOP, loop)
    assert seen.output == "Own True\n"
    (child,) = by_mark(seen, "made-child")
    assert child["first_run"]
    assert child["done"]
    sleepers = {int(row["task"]) for row in seen.rows("waits") if KINDS[row["kind"]] == "sleep"}
    assert len(sleepers) == 2
    assert all(seen.tables["tasks"][number]["done"] for number in sleepers)


# Loops in several threads are told apart, calls of an executor are named by their rows, and what a foreign thread brings has no waker.
def test_threads(tmp_path: Path) -> None:
    seen = run(tmp_path / "run", THREADS + ON_LOOP, "asyncio")
    assert {int(row["loop"]) for row in seen.rows("tasks")} == {1, 2}
    locks = [row for row in seen.rows("waits") if KINDS[row["kind"]] == "lock"]
    tasks = seen.tables["tasks"]
    assert sorted(int(tasks[row["task"]]["loop"]) for row in locks) == [1, 2]
    assert all(tasks[row["task"]]["loop"] == tasks[row["waker"]]["loop"] for row in locks)
    (got,) = (row for row in seen.rows("waits") if KINDS[row["kind"]] == "queue-get")
    assert (got["waker"], seen.text(got["place"])) == (0, "await queue.get()  # at-get")
    assert next((seen.text(one["place"]), one["value"]) for one in seen.account["made"] if one["what"] == "executor") == (
        "pool = ThreadPoolExecutor(2)  # made-pool",
        2,
    )


# Where a probe fails, it is dropped with its reason and the program runs on.
@pytest.mark.parametrize("table", ["waits", "tasks"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_dropped(table: str, loop: str, tmp_path: Path) -> None:
    seen = run(tmp_path / "run", BROKEN.format(table=table) + ON_LOOP, loop)
    assert seen.output == "[None, None, None]\n"
    assert any("planted" in reason for reason in seen.account["not_observed"].values())


# Each call of a client is a request of the task that made it, with its line and its library; one after a failed one is no retry of it.
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_requests(loop: str, tmp_path: Path) -> None:
    with target() as server:
        seen = run(tmp_path / "run", REQUESTS + ON_LOOP, loop, server.url)
    makers = sorted((LIBRARIES[row["library"]], seen.text(row["place"]).partition("# ")[2]) for row in seen.rows("requests"))
    assert makers == [("aiohttp", "at-again")] * 2 + [("aiohttp", "at-aiohttp")] * 4 + [("httpx", "at-httpx")] * 2
    assert sorted(int(row["request"]) for row in seen.rows("requests")) == list(range(1, 9))
    tasks = seen.tables["tasks"]
    assert {seen.text(tasks[row["task"]]["place"]).partition("# ")[2] for row in seen.rows("requests")} == {"made-fetch"}
    assert not any(row["thread"] or row["job"] for row in seen.rows("requests"))
    assert len({attempt.request for attempt in seen.attempts}) == len(seen.attempts) == 8


# A request that is made in a thread names the thread and the executor's call; one on the loop's thread its task.
def test_requests_in_threads(tmp_path: Path) -> None:
    with target() as server:
        seen = run(tmp_path / "run", IN_THREADS + ON_LOOP, "asyncio", server.url)
    rows = list(seen.rows("requests"))
    assert [(bool(row["task"]), bool(row["thread"])) for row in rows] == [(False, True)] * 3 + [(True, False)]
    assert sorted(int(row["job"]) for row in rows) == [0, 1, 2, 3]
    assert {seen.text(row["place"]).partition("# ")[2] for row in rows} == {"at-urlopen"}


# An installed Python of every supported version is tried, or this one is.
def test_pythons() -> None:
    assert PYTHONS
