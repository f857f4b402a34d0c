"""A program that is watched does what it does when nobody watches: its output, its exit code and its requests, in every tier, for scripts of every client."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from exec_parts import script, tried
from msgspec.structs import replace

from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.recording import Tier
from loopdiag.selftest.program_rows import PROGRAMS
from loopdiag.selftest.program_run import SCRIPTS
from loopdiag.selftest.row import Effort, Row, scenario

TIERS: tuple[Tier, ...] = ("bare", "timeline", "profile")
#: one or two for each client, both loops, and what the instruments reach deepest into: primitives, threads, forks of the flow, redirects, HTTP/2, TLS
SCRIPTS_TRIED = (
    "sem_queue_workers", "batch_taskgroup", "pool_httpx2_export", "server_busy_httpcore", "threads_requests", "healthy_urllib3", "threads_anyio",
    "block_subprocess", "debug_loop", "redirects_old_links", "h2_streams", "context_bundle",
)  # fmt: skip

#: what one run did: output, exit code, its requests by number, status and size
Did = tuple[bytes, int, list[tuple[int, ...]]]


@contextmanager
def served(row: Row) -> Iterator[tuple[TargetServer, list[str]]]:
    """The row's server, and the command line of its script."""
    made = scenario(row, Effort())
    with TargetServer.start(replace(made, program=None)) as server:
        filled = {"{url}": server.url, "{ca}": str(server.ca_file)}
        yield server, [sys.executable, str(SCRIPTS / f"{row.script}.py"), *(filled.get(argument, argument) for argument in row.arguments)]


def requests(server: TargetServer, folder: Path) -> list[tuple[int, ...]]:
    """Number, status and octets of the answer to each request since the last time, sorted."""
    server.collect(folder)
    rows = np.load(folder / "server_requests.npy")
    return sorted(tuple(int(row[name]) for name in ("request", "status", "body_bytes")) for row in rows)


def plainly(folder: Path, server: TargetServer, argv: list[str], n: int) -> Did:
    """One run of the script by itself."""
    ended = subprocess.run([argument.replace("{n}", str(n)) for argument in argv], capture_output=True, check=False, timeout=60)
    return ended.stdout, ended.returncode, requests(server, folder)


def watched(folder: Path, server: TargetServer, argv: list[str], n: int, tier: Tier) -> Did:
    """One run of it under the instruments."""
    known = set(folder.iterdir())
    result = tried(folder, argv, n=n, tier=tier)
    (place,) = set(folder.iterdir()) - known
    written = (place / "program.out").read_bytes() if (place / "program.out").exists() else b""
    assert result.exit_code is not None, result
    return written, result.exit_code, requests(server, folder)


@pytest.mark.parametrize("name", SCRIPTS_TRIED)
def test_a_watched_script_does_the_same(tmp_path: Path, name: str) -> None:
    # what it writes to stdout, how it ends, and what its server was asked for, in plain Python and in each tier
    row = next(row for row in PROGRAMS if row.script == name)
    (tmp_path / "trials").mkdir()
    with served(row) as (server, argv):
        plain = plainly(tmp_path, server, argv, row.n[0])
        assert plain[0]
        assert plain[1] == 0
        assert len(plain[2]) >= row.n[0]
        for tier in TIERS:
            assert watched(tmp_path / "trials", server, argv, row.n[0], tier) == plain, tier


ENDS = {
    "exit": "import asyncio, sys\nasync def main(): sys.exit(3)\nasyncio.run(main())",
    "error": "import asyncio\nasync def main():\n    async with asyncio.TaskGroup() as group: group.create_task(asyncio.wait_for(asyncio.sleep(1), 0.001))\nasyncio.run(main())",
    "signal": "import asyncio, os, signal\nasync def main(): os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(1)\nasyncio.run(main())",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("tier", TIERS)
def test_it_ends_the_same_way(tmp_path: Path, end: str, tier: Tier) -> None:
    # an exit from a task, an exception out of a group, and an interrupt: the same code, and the same last word
    client = script(tmp_path, ENDS[end])
    plain = subprocess.run([sys.executable, str(client)], capture_output=True, check=False)
    result = tried(tmp_path, [sys.executable, str(client)], tier=tier)
    (place,) = tmp_path.glob("trial-*")
    last = (place / "program.err").read_bytes().splitlines()[-1:] if (place / "program.err").exists() else []
    assert (result.exit_code, last) == (plain.returncode, plain.stderr.splitlines()[-1:])


CHECKS = """
    import asyncio, inspect, sys

    async def leaf():
        await asyncio.sleep(0)
        return 1

    class Own(asyncio.Task):
        pass

    async def main():
        loop = asyncio.get_running_loop()
        made = [asyncio.create_task(leaf(), name="leaf"), loop.create_task(leaf()), asyncio.ensure_future(leaf()), asyncio.Task(leaf(), loop=loop)]
        own = Own(leaf(), loop=loop)
        print([type(task) is asyncio.Task for task in made], all(isinstance(task, asyncio.Future) for task in made), type(own).__mro__[-3:])
        print(asyncio.Task, made[0].get_name(), loop.get_task_factory(), len(asyncio.all_tasks()), inspect.iscoroutine(made[0].get_coro()))
        print(await asyncio.gather(*made, own), asyncio.Task.__doc__, hasattr(made[0], "__dict__"))
        if sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
            eager = asyncio.create_task(asyncio.sleep(0))
            print(type(eager) is asyncio.Task, loop.get_task_factory() is asyncio.eager_task_factory, asyncio.tasks.eager_task_factory is asyncio.eager_task_factory)
            loop.set_task_factory(None)
        loop.set_debug(True)
        task = asyncio.create_task(leaf())
        print([line.name for line in task._source_traceback][-2:])
        await task

    if sys.argv[1] == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tasks_are_what_a_program_may_check(tmp_path: Path, loop: str) -> None:
    # by their class, its name, their loop's factory, their names, attributes and where debug mode says that they were made
    client = script(tmp_path, CHECKS)
    plain = subprocess.run([sys.executable, str(client), loop], capture_output=True, check=True)
    for tier in TIERS[:2]:
        tried(tmp_path, [sys.executable, str(client), loop], tier=tier)
    assert [(place / "program.out").read_bytes() for place in tmp_path.glob("trial-*")] == [plain.stdout] * 2
    assert plain.stdout.startswith(b"[True, True, True, True] True")
