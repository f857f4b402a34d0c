"""The loop's and the process's probes: what they see, that they leave the program alone, and that each fails by itself."""

import gc
import re
import selectors
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from probe_parts import BREAK, LOOPS, ROWS, RUN, TICK_NS, program

from loopdiag.instruments import accounts, asyncio_loop, calibration, collector, scheduling
from loopdiag.instruments.context import Rows
from loopdiag.instruments.loops import Watched
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Payload, Scenario, Service, Target

both_loops = pytest.mark.parametrize("loop", sorted(LOOPS))


class TestIterations:
    """Poll and run of every iteration, on both loops."""

    @both_loops
    def test_they_fill_the_run(self, tmp_path: Path, loop: str) -> None:
        # poll and run of all iterations add up to the time from the first one's begin to the last one's end, in which the whole program ran
        code = LOOPS[loop] + (
            "import time\n"
            "async def main():\n"
            "    begun = time.perf_counter_ns()\n"
            "    for _ in range(5): await asyncio.sleep(.02); time.sleep(.02)\n"
            "    print(begun, time.perf_counter_ns())\n"
            "loop = new_loop(); loop.run_until_complete(main()); loop.close()\n"
        )
        ended = program(code, tmp_path)
        begun, until = (int(word) for word in ended.out.split())
        rows = ended.rows("iterations")
        polled, ran = int(rows["poll"].sum()) * TICK_NS, int(rows["run"].sum()) * TICK_NS
        first, last = int(rows["t0"][0]), int(rows["t0"][-1]) + (int(rows["poll"][-1]) + int(rows["run"][-1])) * TICK_NS
        assert first <= begun
        assert last >= until - 2 * TICK_NS
        assert 0.98 * (last - first) <= polled + ran <= last - first
        assert polled >= 0.09e9
        assert ran >= 0.1e9

    @both_loops
    def test_the_first_callbacks_count(self, tmp_path: Path, loop: str) -> None:
        # what runs before the loop's first poll is in an iteration, too
        code = LOOPS[loop] + "import time\nasync def main(): time.sleep(.05)\n" + RUN
        assert program(code, tmp_path).rows("iterations")["run"].max() * TICK_NS >= 0.05e9

    @both_loops
    def test_time_between_runs_is_nobodys(self, tmp_path: Path, loop: str) -> None:
        # a loop that is run twice is not charged with what the program did between
        code = LOOPS[loop] + (
            "import time\n"
            "loop = new_loop(); loop.run_until_complete(asyncio.sleep(.001)); print(time.perf_counter_ns())\n"
            "time.sleep(.05); print(time.perf_counter_ns()); loop.run_until_complete(asyncio.sleep(.001)); loop.close()"
        )
        ended = program(code, tmp_path)
        first, second = (int(line) for line in ended.out.split())
        rows = ended.rows("iterations")
        start = rows["t0"].astype(np.int64)
        end = start + (rows["poll"].astype(np.int64) + rows["run"]) * TICK_NS
        assert ((end <= first) | (start >= second)).all()
        assert (start < first).any()
        assert (start > second).any()

    @both_loops
    def test_events_and_ready(self, tmp_path: Path, loop: str) -> None:
        # readable sockets are events, on uvloop from level detailed on; queued callbacks are ready where the loop shows its queue
        code = LOOPS[loop] + (
            "import socket\n"
            "async def main():\n"
            "    loop = asyncio.get_running_loop(); pairs = [socket.socketpair() for _ in range(20)]; seen = []\n"
            "    for mine, _ in pairs: mine.setblocking(False); loop.add_reader(mine, lambda s=mine: seen.append(s.recv(1)))\n"
            "    await asyncio.sleep(.01)\n"
            "    for _, peer in pairs: peer.send(b'x')\n"
            "    for _ in range(7): loop.call_soon(lambda: None)\n"
            "    await asyncio.sleep(.01); assert len(seen) == 20\n"
            "    for mine, peer in pairs: loop.remove_reader(mine); mine.close(); peer.close()\n"
        )
        ended = program(code + RUN, tmp_path, "detailed")
        assert ended.code == 0, ended.err
        assert ended.rows("iterations")["events"].max() >= 20
        assert (ended.rows("iterations")["ready"].max() >= 7) == (loop == "asyncio")
        assert ("iterations.ready" in ended.account["not_observed"]) == (loop == "uvloop")

    def test_loops_in_threads_are_numbered(self, tmp_path: Path) -> None:
        # each loop has a number of its own, whichever thread and library it is of, and its rows are in order
        code = (
            "import asyncio, threading, uvloop\n"
            "def work(new_loop):\n"
            "    loop = new_loop()\n"
            "    async def main():\n"
            "        for _ in range(20): await asyncio.sleep(.001)\n"
            "    loop.run_until_complete(main()); loop.close()\n"
            "threads = [threading.Thread(target=work, args=(new,)) for new in [asyncio.SelectorEventLoop, uvloop.new_event_loop] * 3]\n"
            "for thread in threads: thread.start()\n"
            "for thread in threads: thread.join()\n"
        )
        ended = program(code, tmp_path)
        assert ended.code == 0, ended.err
        rows = ended.rows("iterations")
        assert sorted(set(rows["thread"].tolist())) == [1, 2, 3, 4, 5, 6]
        for number in range(1, 7):
            mine = rows[rows["thread"] == number]
            start = mine["t0"].astype(np.int64)
            assert len(mine) >= 20
            assert (start[:-1] + mine["poll"][:-1].astype(np.int64) * TICK_NS <= start[1:]).all()

    @both_loops
    @pytest.mark.parametrize("level", ["light", "deep"])
    def test_closed_loops_are_forgotten(self, tmp_path: Path, loop: str, level: str) -> None:
        # a closed loop is freed as without instruments, and keeps nothing of ours
        code = LOOPS[loop] + (
            "import gc, weakref\n"
            "loop = new_loop(); loop.run_until_complete(asyncio.sleep(0)); loop.close()\n"
            "print(sorted(name for name in vars(loop) if name in ('call_soon', 'create_task')))\n"
            "kept = weakref.ref(loop); del loop; gc.collect(); print(kept())"
        )
        assert program(code, tmp_path, level).out.split("\n")[:2] == ["[]", "None"]

    def test_virtual_time_is_not_watched(self, tmp_path: Path) -> None:
        # a loop whose time is virtual leaves no rows of real time, and the reason
        code = (
            "import asyncio, time\n"
            "class Virtual(asyncio.SelectorEventLoop):\n"
            "    def now_ns(self): return 1\n"
            "import gc; loop = Virtual(); loop.run_until_complete(asyncio.sleep(0)); gc.collect(); loop.close()"
        )
        ended = program(code, tmp_path, "deep")
        assert ended.code == 0, ended.err
        for table in ("iterations", "samples", "pauses"):
            assert len(ended.rows(table)) == 0
            assert ended.account["not_observed"][table] == "virtual time"
        assert sum(ended.account["histograms"]["scheduled_to_run_ns"]) == 0


#: how a program may leave its loop: code after `LOOPS`, and the exit code that it has without instruments
ENDINGS = {
    "never closed": ("loop = new_loop(); loop.run_until_complete(asyncio.sleep(.001))", 0),
    "never run": ("loop = new_loop(); loop.close()", 0),
    "closed twice": ("loop = new_loop(); loop.run_until_complete(asyncio.sleep(0)); loop.close(); loop.close()", 0),
    "run after closing": ("loop = new_loop(); loop.run_until_complete(asyncio.sleep(0)); loop.close(); loop.run_forever()", 1),
    "run inside itself": (
        (
            "loop = new_loop()\n"
            "async def main():\n"
            "    try: loop.run_forever()\n"
            "    except RuntimeError: print('refused')\n"
            "loop.run_until_complete(main()); loop.run_until_complete(asyncio.sleep(0)); loop.close()"
        ),
        0,
    ),
    "closed while running": (
        (
            "loop = new_loop()\n"
            "async def main():\n"
            "    try: loop.close()\n"
            "    except RuntimeError: await asyncio.sleep(.001); print('refused')\n"
            "loop.run_until_complete(main()); loop.close()"
        ),
        0,
    ),
    "closed while an exception flies": (
        (
            "async def main(): await asyncio.sleep(.001); raise ValueError('mine')\n"
            "loop = new_loop()\ntry: loop.run_until_complete(main())\nfinally: loop.close()"
        ),
        1,
    ),
    "exit inside a callback": (
        "import sys\nloop = new_loop(); loop.call_later(.001, sys.exit, 7)\ntry: loop.run_forever()\nfinally: loop.close()",
        7,
    ),
    "exit and never closed": ("import sys\nloop = new_loop(); loop.call_soon(sys.exit, 7); loop.run_forever()", 7),
    "a daemon thread's": (
        (
            "import threading, time\n"
            "def work(): new_loop().run_until_complete(tick())\n"
            "async def tick():\n    while True: await asyncio.sleep(.0005)\n"
            "threading.Thread(target=work, daemon=True).start(); time.sleep(.05)"
        ),
        0,
    ),
    "a forked child's own": (
        (
            "import os\n"
            "loop = new_loop(); loop.run_until_complete(asyncio.sleep(.001))\n"
            "child = os.fork()\n"
            "if not child:\n    other = new_loop(); other.run_until_complete(asyncio.sleep(.001)); other.close(); os._exit(0)\n"
            "assert os.waitpid(child, 0)[1] == 0; loop.run_until_complete(asyncio.sleep(.001)); loop.close()"
        ),
        0,
    ),
    "forked while running": (
        (
            "import os\n"
            "async def main():\n"
            "    child = os.fork()\n    if not child: os._exit(0)\n"
            "    assert os.waitpid(child, 0)[1] == 0; await asyncio.sleep(.001)\n"
            "loop = new_loop(); loop.run_until_complete(main()); loop.close()"
        ),
        0,
    ),
    "very many": ("for _ in range(300): loop = new_loop(); loop.run_until_complete(asyncio.sleep(0)); loop.close()", 0),
    "garbage in a cycle": (
        (
            "import gc, warnings; warnings.simplefilter('ignore')\n"
            "for _ in range(5): loop = new_loop(); loop.run_until_complete(asyncio.sleep(0)); loop.me = loop; del loop; gc.collect()"
        ),
        0,
    ),
}


@both_loops
@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_however_a_loop_ends_the_program_is_as_it_was(tmp_path: Path, loop: str, ending: str) -> None:
    # the same exit code with every probe as with none, and nothing of ours in what it says
    code, expected = ENDINGS[ending]
    ended = program(LOOPS[loop] + code, tmp_path, "deep")
    assert ended.code == expected, ended.err
    assert "Exception ignored" not in ended.err
    assert "loopdiag" not in re.sub(r'File "[^"]*"', "", ended.err)  # but for the place of the frame that passes the error on
    assert ended.account["warnings"] == []


@both_loops
def test_ctrl_c_inside_a_probe_is_the_programs(tmp_path: Path, loop: str) -> None:
    # a KeyboardInterrupt that arrives while a probe runs ends the program's run, as it would have
    code = (
        LOOPS[loop]
        + ROWS
        + (
            "import signal\n"
            "async def main():\n"
            "    real, left = rows.iterations.room, [3]\n"
            "    def grow():\n"
            "        left[0] -= 1\n"
            "        if not left[0]: raise KeyboardInterrupt\n"
            "        return False\n"
            "    rows.iterations.reserved, rows.iterations.room = -1, grow\n"
            "    for _ in range(1000): await asyncio.sleep(.001)\n"
            "loop = new_loop()\n"
            "try: loop.run_until_complete(main())\n"
            "except KeyboardInterrupt: print('interrupted')\n"
        )
    )
    ended = program(code, tmp_path)
    assert ended.out == "interrupted\n", ended.err
    assert "Exception ignored" not in ended.err


def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    # what a child does after a fork is not in its parent's tables
    code = (
        "import asyncio, gc, os\n"
        "gc.collect(); gc.disable()\n"
        "if not os.fork():\n"
        "    gc.collect(); asyncio.run(asyncio.sleep(.001)); os._exit(0)\n"
        "os.wait()"
    )
    ended = program(code, tmp_path)
    assert len(ended.rows("iterations")) == len(ended.rows("samples")) == 0
    assert len(ended.rows("pauses")) > 0


class TestScheduling:
    """Delays of callbacks and tasks, at level detailed."""

    @both_loops
    def test_a_callback_that_waits_is_seen_to_wait(self, tmp_path: Path, loop: str) -> None:
        # ten callbacks behind one that blocks for 40 ms waited for 32 ms and more
        code = LOOPS[loop] + (
            "import time\n"
            "async def main():\n"
            "    loop = asyncio.get_running_loop(); loop.call_soon(time.sleep, .04)\n"
            "    for _ in range(10): loop.call_soon(lambda: None)\n"
            "    await asyncio.sleep(.01)\n"
        )
        counts = program(code + RUN, tmp_path, "detailed").account["histograms"]["scheduled_to_run_ns"]
        assert sum(counts[26:]) >= 10  # 2**25 ns = 33.6 ms
        assert sum(counts) >= 11

    @both_loops
    def test_every_task_is_counted_once(self, tmp_path: Path, loop: str) -> None:
        # a task's delay runs from its creation to its first step, however many steps follow
        code = LOOPS[loop] + (
            "import time\n"
            "async def work():\n"
            "    for _ in range(5): await asyncio.sleep(0)\n"
            "async def main():\n"
            "    tasks = [asyncio.create_task(work()) for _ in range(50)]; time.sleep(.04)\n"
            "    await asyncio.gather(*tasks); await asyncio.gather(work(), asyncio.create_task(work(), name='n'))\n"
        )
        counts = program(code + RUN, tmp_path, "detailed").account["histograms"]["task_start_ns"]
        # 50 that waited, 2 more, main, and at the end the Runner's two: asynchronous generators and the executor
        assert sum(counts[26:]) == 50
        assert sum(counts) == 55

    @both_loops
    def test_the_programs_task_factory_stays(self, tmp_path: Path, loop: str) -> None:
        # a factory that the program sets makes its tasks, and is what get_task_factory returns
        code = LOOPS[loop] + (
            "import contextvars\n"
            "made = []\n"
            "def factory(loop, coro, **kwargs): made.append(kwargs); return asyncio.Task(coro, loop=loop, **kwargs)\n"
            "async def work(): await asyncio.sleep(0); return 5\n"
            "async def main():\n"
            "    loop = asyncio.get_running_loop(); print(loop.get_task_factory()); loop.set_task_factory(factory)\n"
            "    task = asyncio.create_task(work(), name='mine', context=contextvars.copy_context())\n"
            "    print(await task, task.get_name(), len(made), loop.get_task_factory() is factory)\n"
        )
        ended = program(code + RUN, tmp_path, "detailed")
        assert ended.out.split("\n")[:2] == ["None", "5 mine 1 True"], ended.err

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks come with Python 3.12")
    def test_eager_tasks_have_no_delay(self, tmp_path: Path) -> None:
        # an eager task runs inside its creation: counted, with a delay of 0, and its attempt is flagged
        code = (
            LOOPS["asyncio"]
            + ROWS
            + (
                "from loopdiag_instruments import marks\n"
                "async def work(i): marks.begin(i, 1, 1); await asyncio.sleep(0); marks.end()\n"
                "async def main():\n"
                "    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)\n"
                "    await asyncio.gather(*[asyncio.create_task(work(i)) for i in range(1, 11)])\n"
            )
        )
        ended = program(code + RUN, tmp_path, "detailed")
        assert ended.account["counters"]["eager_tasks"] >= 10
        assert ended.account["histograms"]["task_start_ns"][0] >= 10
        assert (ended.rows("attempts")["flags"] & 1 << 9).all()

    @both_loops
    def test_callbacks_are_named_and_names_are_bounded(self, tmp_path: Path, loop: str) -> None:
        # one callback in 64 is timed, under its own or its coroutine's name, and beyond 64 names under "others"
        code = LOOPS[loop] + (
            "import time\n"
            "async def fetch():\n"
            "    for _ in range(640): await asyncio.sleep(0)\n"
            "def named(i):\n    def call(): pass\n    call.__qualname__ = f'call{i}'; return call\n"
            "async def main():\n"
            "    await fetch()\n"
            "    for i in range(64 * 100): asyncio.get_running_loop().call_soon(named(i))\n"
            "    await asyncio.sleep(0)\n"
        )
        ended = program(code + RUN, tmp_path, "deep")
        assert ended.code == 0, ended.err
        named = {name: sum(counts) for name, counts in ended.account["histograms"].items() if name.startswith("callback_ns ")}
        assert named["callback_ns task main"] >= 9
        assert len(named) == 65
        assert named["callback_ns others"] >= 30
        assert 108 <= sum(named.values()) <= 112

    @both_loops
    def test_exceptions_and_cancelled_handles_pass(self, tmp_path: Path, loop: str) -> None:
        # a callback's exception reaches the loop's handler, a cancelled one does not run, and a context is kept
        code = LOOPS[loop] + (
            "import contextvars\n"
            "var = contextvars.ContextVar('v', default=0); seen = []\n"
            "async def main():\n"
            "    loop = asyncio.get_running_loop(); loop.set_exception_handler(lambda l, c: seen.append(repr(c['exception'])))\n"
            "    for _ in range(130):\n"
            "        loop.call_soon(int, 'x'); loop.call_soon(seen.append, 'never').cancel()\n"
            "    other = contextvars.copy_context(); other.run(var.set, 3)\n"
            "    loop.call_soon(lambda: seen.append(var.get()), context=other)\n"
            "    await asyncio.sleep(.001); print(len(seen), seen[-1], 'never' in seen)\n"
        )
        ended = program(code + RUN, tmp_path, "deep")
        assert ended.out == "131 3 False\n", ended.err


class TestCollector:
    """Pauses of the garbage collector."""

    def test_collections_are_rows(self, tmp_path: Path) -> None:
        # each collection: its generation, what it freed, its thread, and a length between its own two times
        code = (
            "import gc, threading, time\n"
            "gc.disable(); gc.collect(); first = time.perf_counter_ns()\n"
            "for _ in range(500): a = []; a.append(a)\n"
            "del a; begun = time.perf_counter_ns(); gc.collect(1); ended = time.perf_counter_ns()\n"
            "print(begun, ended, threading.get_native_id())"
        )
        ended = program(code, tmp_path)
        begun, until, thread = (int(word) for word in ended.out.split())
        rows = ended.rows("pauses")
        (row,) = rows[(rows["t0"] >= begun) & (rows["t0"] <= until)]
        assert (row["generation"], row["thread"]) == (1, thread)
        assert row["collected"] >= 500
        assert begun <= row["t0"] <= row["t0"] + row["length"] * TICK_NS <= until

    def test_a_collection_allocates_nothing(self, tmp_path: Path) -> None:
        # recording a collection leaves the collector's own count where it was
        hook = collector.recorder(Rows(str(tmp_path)).pauses, calibration.ignore)
        assert _grown(lambda: (hook("start", {}), hook("stop", _WHAT))) <= 20


_WHAT = {"generation": 0, "collected": 0}


def _grown(call: object) -> int:
    """By how much a thousand calls grow the collector's count."""
    assert callable(call)
    gc.collect()
    gc.disable()
    try:
        before = gc.get_count()[0]
        for _ in range(1000):
            call()
        return gc.get_count()[0] - before
    finally:
        gc.enable()


def test_loop_probes_allocate_nothing_that_the_collector_tracks(tmp_path: Path) -> None:
    # a thousand iterations, and a thousand callbacks, leave the collector's count where it was
    watched, found = Watched(), []  # type: ignore[var-annotated] # never filled
    select, _ = asyncio_loop.timed(Rows(str(tmp_path)).iterations, lambda _: found, found, watched, calibration.ignore)
    assert _grown(lambda: select(0)) <= 20
    queue = scheduling.ready_queue(deque(), scheduling.Schedule([0] * 64, [0] * 64), calibration.ignore)
    assert _grown(lambda: (queue.append(found), queue.popleft())) <= 20


class TestExecutors:
    """Calls in thread pools."""

    def test_calls_wait_in_the_queue(self, tmp_path: Path) -> None:
        # two threads are held for 30 ms while four more calls wait: queue, threads, busy, and the times of each
        code = (
            "import threading, time\nfrom concurrent.futures import ThreadPoolExecutor\n"
            "both, hold = threading.Barrier(3), threading.Event()\n"
            "def held(): both.wait(); hold.wait()\n"
            "with ThreadPoolExecutor(2) as pool:\n"
            "    for call in (held, held, int, int, int, int): pool.submit(call)\n"
            "    both.wait(); time.sleep(.03); hold.set()\n"
            "with ThreadPoolExecutor(1) as other: other.submit(int).result()\n"
        )
        rows = program(code, tmp_path).rows("executor")
        assert rows["executor"].tolist() == [1] * 6 + [2]
        pool = rows[:6]
        base = pool["t0"].astype(np.int64) // TICK_NS
        started = (pool["started"] - base) % 2**32
        ended = (pool["ended"] - base) % 2**32
        assert (started <= ended).all()
        assert ((ended - started)[:2] * TICK_NS >= 0.0299e9).all()
        assert (started[2:] * TICK_NS >= 0.0299e9).all()
        assert pool["queued"][0] == 1
        assert (pool["queued"][2:] >= np.arange(1, 5)).all()
        assert pool["threads"].tolist() == [0, 1, 2, 2, 2, 2]
        assert sorted(pool["busy"][:2].tolist()) == [1, 2]
        assert pool["busy"].max() == 2

    @both_loops
    def test_asyncios_own_executor_is_one(self, tmp_path: Path, loop: str) -> None:
        # to_thread and run_in_executor are rows, with their context and result as ever
        code = LOOPS[loop] + (
            "import contextvars\nvar = contextvars.ContextVar('v')\n"
            "async def main():\n"
            "    var.set(4); print(await asyncio.to_thread(var.get))\n"
            "    print(await asyncio.get_running_loop().run_in_executor(None, int, '5'))\n"
        )
        ended = program(code + RUN, tmp_path)
        assert ended.out == "4\n5\n", ended.err
        assert len(ended.rows("executor")) == 2
        assert ("executor.libuv" in ended.account["not_observed"]) == (loop == "uvloop")

    def test_executors_behave_as_ever(self, tmp_path: Path) -> None:
        # exceptions, cancellation, shutdown and weak references; what was never run has no start
        code = (
            "import gc, threading, weakref\nfrom concurrent.futures import ThreadPoolExecutor\n"
            "gc.collect(); gc.disable()\n"
            "class Mine(ValueError): pass\n"
            "def fail(): raise Mine('mine')\n"
            "pool = ThreadPoolExecutor(1); failed = pool.submit(fail)\n"
            "try: failed.result()\n"
            "except Mine as error: print(error)\n"
            "gone = weakref.ref(failed.exception()); del failed; pool.submit(int).result(); print(gone())\n"
            "hold = threading.Event(); running = pool.submit(hold.wait); waiting = pool.submit(int); print(waiting.cancel())\n"
            "last = pool.submit(int); hold.set(); last.result()\n"
            "kept = weakref.ref(pool); threads = list(pool._threads); del pool; print(kept())\n"
            "[thread.join(5) for thread in threads]; print([thread.is_alive() for thread in threads])\n"
            "pool = ThreadPoolExecutor(1); pool.shutdown()\n"
            "try: pool.submit(int)\n"
            "except RuntimeError: print('refused')\n"
        )
        ended = program(code, tmp_path)
        assert ended.out == "mine\nNone\nTrue\nNone\n[False]\nrefused\n", ended.err
        assert (ended.rows("executor")["started"] == 0).tolist() == [False, False, False, True, False]


class TestSamples:
    """What the system counts for the loop's thread."""

    @both_loops
    def test_they_are_taken_at_the_ends_and_every_100_ms(self, tmp_path: Path, loop: str) -> None:
        # CPU that was spent and threads that were started show between two samples, which are 100 ms apart or at a run's end
        code = LOOPS[loop] + (
            "import time, threading\n"
            "async def main():\n"
            "    stop = threading.Event(); threads = [threading.Thread(target=stop.wait) for _ in range(5)]\n"
            "    files = [open('/dev/null') for _ in range(30)]\n"
            "    for thread in threads: thread.start()\n"
            "    until = time.thread_time() + .05\n"
            "    while time.thread_time() < until: pass\n"
            "    for _ in range(30): await asyncio.sleep(.01)\n"
            "    stop.set()\n"
            "    for file in files: file.close()\n"
        )
        rows = program(code + RUN, tmp_path).rows("samples")
        assert 4 <= len(rows) <= 8
        at = rows["t0"].astype(np.int64)
        assert (np.diff(at)[1:-2] >= 0.1e9).all()
        assert (rows["loop"] == 1).all()
        assert int(rows["cpu_ns"][-1]) - int(rows["cpu_ns"][0]) >= 0.05e9
        assert (np.diff(rows["run_queue_ns"].astype(np.int64)) >= 0).all()
        assert int(rows["waits"][-1]) - int(rows["waits"][0]) >= 20
        assert int(rows["threads"].max()) == 6
        assert int(rows["descriptors"].max()) - int(rows["descriptors"][0]) >= 30

    def test_short_runs_share_a_sample(self, tmp_path: Path) -> None:
        # a thousand runs do not take two thousand samples
        code = LOOPS["asyncio"] + "loop = new_loop()\nfor _ in range(1000): loop.run_until_complete(asyncio.sleep(0))\nloop.close()"
        ended = program(code, tmp_path)
        span = np.ptp(ended.rows("iterations")["t0"].astype(np.int64))
        assert len(ended.rows("samples")) <= span / accounts.SHORT_NS + 2

    def test_descriptors_are_counted_where_the_kernel_does_not_tell(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # before Linux 6.2 they are listed, and not again before that has taken a thousandth of the time
        rows = Rows(str(tmp_path))
        sampler = accounts.Sampler(rows.samples, 1, rows.dropped, calibration.ignore)
        sampler.take()
        told = rows.samples.words[rows.samples.row_words + accounts.DESCRIPTORS]
        monkeypatch.setattr(accounts.os, "stat", lambda _: SimpleNamespace(st_size=0))
        sampler.take()
        sampler.take()
        listed, again = (rows.samples.words[row * rows.samples.row_words + accounts.DESCRIPTORS] for row in (2, 3))
        sampler.close()
        assert listed == told > 0 or told == 0 < listed  # where the kernel is older, it tells nothing
        assert again == 0
        assert rows.dropped == {}

    @pytest.mark.parametrize(
        ("plant", "column"),
        [
            ("accounts.SCHEDSTAT = '/absent'", "run_queue_ns"),
            ("accounts.DESCRIPTOR_FOLDER = '/absent'", "descriptors"),
            ("import resource; resource.getrusage = None", "waits"),
            ("import threading; threading.active_count = None", "threads"),
        ],
    )
    def test_a_source_that_fails_is_not_observed(self, tmp_path: Path, plant: str, column: str) -> None:
        # one source fails: its columns stay 0, the reason is told, and the others go on
        code = LOOPS["asyncio"] + f"from loopdiag_instruments import accounts\n{plant}\nasync def main(): await asyncio.sleep(.15)\n" + RUN
        ended = program(code, tmp_path)
        assert ended.code == 0, ended.err
        rows = ended.rows("samples")
        assert "samples." + column in ended.account["not_observed"]
        assert not rows[column].any()
        others = {"cpu_ns", "run_queue_ns"} if column == "run_queue_ns" else {column}
        for other in {"cpu_ns", "descriptors", "threads"} - others:
            assert rows[other].all()


#: two requests over TLS on one connection, by each client
CLIENTS = {
    "aiohttp": "import aiohttp\nasync def main():\n"
    "    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:\n"
    "        for _ in range(2):\n"
    "            async with session.get(URL) as response: print(len(await response.read()))\n",
    "httpx": "import httpx\nasync def main():\n"
    "    async with httpx.AsyncClient(verify=context) as client:\n"
    "        for _ in range(2): print(len((await client.get(URL)).content))\n",
}


@pytest.fixture(scope="module")
def secure() -> Iterator[str]:
    """The head of a program that has the target's address and a context that trusts it."""
    target = Target(path="/x/{i}", tls="ecdsa-p256", service=Service(mean_ms=1), payload=Payload(mean_bytes=200_000))
    with TargetServer.start(Scenario(name="s", arms=(Arm(client="aiohttp"),), target=target)) as server:
        yield f"import ssl\nURL = {server.url + '/x/1'!r}\ncontext = ssl.create_default_context(cafile={str(server.ca_file)!r})\n"


class TestTLS:
    """Handshakes and records over a real connection."""

    @both_loops
    @pytest.mark.parametrize("client", sorted(CLIENTS))
    @pytest.mark.parametrize("level", ["light", "detailed"])
    def test_cpu_belongs_to_the_connection(self, tmp_path: Path, secure: str, client: str, loop: str, level: str) -> None:
        # handshake and records are charged to their connection, apart; records from level detailed on, else not observed
        ended = program(LOOPS[loop] + secure + CLIENTS[client] + RUN, tmp_path, level)
        assert ended.code == 0, ended.err
        assert len(set(ended.out.split())) == 1
        (row,) = ended.rows("connections")
        assert row["tls_cpu_ns"] > 0
        assert row["tls_steps"] >= 2
        assert (row["record_cpu_ns"] > 0) == (level == "detailed")
        assert ("connections.record_cpu_ns" in ended.account["not_observed"]) == (level == "light")
        assert ("tls.records" in ended.account["costs_ns"]) == (level == "detailed")

    @both_loops
    def test_it_fails_alone(self, tmp_path: Path, secure: str, loop: str) -> None:
        # the handshake's probe breaks: dropped once, the requests are answered
        plant = "from loopdiag_instruments import tls\ntls.LINK = None\n"
        ended = program(LOOPS[loop] + secure + plant + CLIENTS["aiohttp"] + RUN, tmp_path, "detailed")
        assert ended.code == 0, ended.err
        assert len(ended.out.split()) == 2
        assert [line for line in ended.account["warnings"] if "instrument tls failed" in line] == ended.account["warnings"]
        assert "tls" in ended.account["not_observed"]
        (row,) = ended.rows("connections")
        assert row["tls_steps"] == row["record_cpu_ns"] == 0


#: what a level watches: instrument → from which level on
SINCE = {"asyncio_loop": 0, "accounts": 0, "collector": 0, "executors": 0, "scheduling": 1, "tasks": 1, "callbacks": 2}


@pytest.mark.parametrize(("number", "level"), list(enumerate(("light", "detailed", "deep"))))
def test_levels(tmp_path: Path, number: int, level: str) -> None:
    # each level contains the ones before it; what it leaves out is not observed, and says from which level on it is
    code = LOOPS["asyncio"] + "async def main(): await asyncio.to_thread(int)\n" + RUN
    ended = program(code, tmp_path, level)
    for name, since in SINCE.items():
        assert (name in ended.account["installed"]) == (since <= number)
        assert ("from level" in ended.account["not_observed"].get(name, "")) == (since > number)


@both_loops
def test_each_probe_tells_its_cost(tmp_path: Path, loop: str) -> None:
    # every probe whose hook ran reports nanoseconds, calibrated in its process; one that did not run, none
    code = (
        LOOPS[loop]
        + ROWS
        + (
            "import gc\n"
            "async def work():\n"
            "    marks.begin(1, 1, 1)\n"
            "    for _ in range(200): await asyncio.sleep(0)\n"
            "    marks.end()\n"
            "async def main(): gc.collect(); await asyncio.create_task(work()); await asyncio.to_thread(int)\n"
        )
    )
    costs = program(code + RUN, tmp_path, "deep").account["costs_ns"]
    for name in ("iterations", "samples", "collector", "executors", "scheduling", "tasks", "callbacks", "attempts"):
        assert 0 < costs[name] < 1e9, name
    assert costs["tls.records"] == 0


#: probe's name in `not_observed` → how to break it from inside a program, at which level
PLANTS = {
    "iterations": "broken(rows.iterations)",
    "samples": "broken(rows.samples)",
    "pauses": "broken(rows.pauses); gc.collect()",
    "executor": "broken(rows.executor)",
    "scheduled_to_run_ns": "del rows.histograms['scheduled_to_run_ns'][:]",
    "task_start_ns": "del asyncio.get_running_loop()._loopdiag.schedule.creator",
    "callback_ns": "from loopdiag_instruments import callbacks; callbacks.name_of = boom",
}


@pytest.mark.parametrize(
    ("probe", "loop", "inside"),
    [(probe, loop, True) for probe in PLANTS for loop in LOOPS]
    + [(probe, "asyncio", False) for probe in PLANTS if probe != "task_start_ns"],  # that one breaks a loop's own record
)
def test_a_probe_that_fails_is_dropped(tmp_path: Path, loop: str, probe: str, inside: bool) -> None:
    # a probe breaks while the program runs: dropped once, with its reason and a warning; the program and the other probes go on
    plant = PLANTS[probe]
    code = (
        LOOPS[loop]
        + ROWS
        + BREAK
        + (
            "import gc\n"
            f"def plant(): {plant}\n"
            "async def work():\n"
            "    for _ in range(100): await asyncio.sleep(0)\n"
            "    return 1\n"
            "async def main():\n"
            f"    if {inside}: plant()\n"
            "    print(sum(await asyncio.gather(*[asyncio.create_task(work()) for _ in range(5)])))\n"
            "    print(await asyncio.to_thread(int, '7')); await asyncio.sleep(.12); await asyncio.sleep(.01); gc.collect()\n"
            f"if not {inside}: plant()\n"
        )
    )
    ended = program(code + RUN, tmp_path, "deep")
    assert ended.out == "5\n7\n", ended.err
    assert ended.code == 0
    assert "ignored" not in ended.err
    assert [line for line in ended.account["warnings"] if f"instrument {probe} failed" in line] == ended.account["warnings"]
    assert len(ended.account["warnings"]) == 1
    assert probe in ended.account["not_observed"]
    others = {"iterations", "samples", "pauses", "executor"} - {probe}
    assert all(len(ended.rows(table)) for table in others)


#: instrument, the module that it watches, the name that it misses there
MISSING = [
    ("asyncio_loop", "asyncio.selector_events", "asyncio.selector_events.BaseSelectorEventLoop.__bases__[0]._run_once"),
    ("scheduling", "asyncio.selector_events", "asyncio.selector_events.BaseSelectorEventLoop"),
    ("tls", "ssl", "ssl.SSLObject.do_handshake"),
    ("tls", "ssl", "ssl.SSLContext.sslobject_class"),
    ("executors", "concurrent.futures.thread", "concurrent.futures.thread._WorkItem.run"),
    ("executors", "concurrent.futures.thread", "concurrent.futures.thread.ThreadPoolExecutor._adjust_thread_count"),
    ("iterations", "uvloop", "uvloop.loop.libuv_get_loop_t_ptr"),
]


@pytest.mark.parametrize(("instrument", "module", "name"), MISSING, ids=[name for *_, name in MISSING])
def test_a_name_that_is_gone_is_not_observed(tmp_path: Path, instrument: str, module: str, name: str) -> None:
    # a library that changed inside is still imported; the probe says which name it missed
    code = (
        "import sys, importlib\nimport loopdiag_instruments.on_import as o\n"
        f"held = o._finder.watched.pop({module!r}); module = importlib.import_module({module!r})\n"
        f"import {module}\ndel {name}\n"
        "for callback in held: callback(module)\n"
    )
    ended = program(code, tmp_path, "detailed")
    assert ended.code == 0, ended.err
    assert "is not there" in ended.account["not_observed"][instrument]


@pytest.mark.parametrize("level", ["detailed", "deep"])
def test_a_loop_with_another_queue_is_timed_by_call_soon(tmp_path: Path, level: str) -> None:
    # where the queue of ready handles is none that we know, the loop's callbacks are timed on their way through call_soon
    code = LOOPS["asyncio"] + (
        "from loopdiag_instruments import scheduling\nscheduling.deque = dict\n"
        "async def main():\n    for _ in range(200): await asyncio.sleep(0)\n"
    )
    ended = program(code + RUN, tmp_path, level)
    assert ended.code == 0, ended.err
    counts = ended.account["histograms"]
    assert sum(counts["scheduled_to_run_ns"]) >= 200
    assert sum(counts["task_start_ns"]) >= 1
    assert ("callback_ns task main" in counts) == (level == "deep")


def test_the_selector_stays_what_it_was(tmp_path: Path) -> None:
    # a poll that raises leaves no row that nobody ends, and the next one is recorded again
    rows = Rows(str(tmp_path))
    failing = [KeyboardInterrupt(), None]

    def select(_timeout: float | None) -> list[selectors.SelectorKey]:
        error = failing.pop(0)
        if error is not None:
            raise error
        return []

    timed, end = asyncio_loop.timed(rows.iterations, select, deque(), Watched(), calibration.ignore)
    with pytest.raises(KeyboardInterrupt):
        timed(0)
    assert timed(0) == []
    end()
    quads, width = rows.iterations.quads, rows.iterations.row_words // 2
    assert [quads[row * width] > 0 for row in (1, 2)] == [True, False]
