"""Lies about the loop: debug mode as a probe changes what it measures; ours does not, says so where it is on, and recovers what was planted."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from probe_parts import LOOPS, RUN, TICK_NS, program

from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Payload, Scenario, Service, Target

both_loops = pytest.mark.parametrize("loop", sorted(LOOPS))

#: three loops in one program, by turns: ours watches the first; the second is in debug mode, as a probe by `slow_callback_duration` needs it; the
#: third is what the first would be without us (it says that its time is virtual, and so is left alone).  Ten callbacks an iteration; prints the least CPU
#: a callback of each.
TURNS = """
import gc, json, time
Loop = type(new_loop())
class Alone(Loop):
    def now_ns(self): return time.perf_counter_ns()

async def burst():
    loop = asyncio.get_running_loop(); done = loop.create_future(); left = [400]
    def call():
        left[0] -= 1
        if left[0] >= 10: loop.call_soon(call)
        elif not left[0]: done.set_result(None)
    begun = time.thread_time_ns()
    for _ in range(10): loop.call_soon(call)
    await done
    return (time.thread_time_ns() - begun) / 400

loops = {"ours": Loop(), "debug": Loop(), "none": Alone()}
loops["debug"].set_debug(True)
least = dict.fromkeys(loops, 1e12)
gc.disable()
for _ in range(25):
    for name, loop in loops.items():
        least[name] = min(least[name], loop.run_until_complete(burst()))
for loop in loops.values(): loop.close()
print(json.dumps(least))
"""


class TestDebugMode:
    """hooks.md's fifteenth lie: the stdlib's own slow-callback detection."""

    @both_loops
    @pytest.mark.parametrize(("level", "share"), [("light", 1 / 20), ("detailed", 1 / 10), ("deep", 1 / 10)])
    def test_it_distorts_and_ours_does_not(self, tmp_path: Path, loop: str, level: str, share: float) -> None:
        # what a level adds to a callback is a small share of what debug mode adds to it, on the same loops, by turns (6 % is the most that was seen)
        ended = program(LOOPS[loop] + TURNS, tmp_path, level)
        assert ended.code == 0, ended.err
        least = json.loads(ended.out)
        lie, ours = least["debug"] - least["none"], least["ours"] - least["none"]
        assert lie > 0
        assert ours < lie * share, least

    @both_loops
    def test_ours_leaves_it_off(self, tmp_path: Path, loop: str) -> None:
        # at the deepest level no loop is in debug mode, and nothing says that one was
        code = LOOPS[loop] + "async def main(): print(asyncio.get_running_loop().get_debug())\n"
        ended = program(code + RUN, tmp_path, "deep")
        assert ended.out == "False\n"
        assert "asyncio_debug" not in ended.account["counters"]
        assert ended.account["warnings"] == []

    @both_loops
    @pytest.mark.parametrize("how", ["environment", "set_debug", "midway"])
    def test_it_is_noticed(self, tmp_path: Path, loop: str, how: str) -> None:
        # where the program has it on, from wherever and since whenever, the recording says so, once
        code = LOOPS[loop] + (
            "async def main():\n"
            f"    if {how!r} == 'midway': asyncio.get_running_loop().set_debug(True)\n"
            "    await asyncio.sleep(0)\n"
            "loop = new_loop()\n"
            f"if {how!r} == 'set_debug': loop.set_debug(True)\n"
            "loop.run_until_complete(main()); loop.run_until_complete(main()); loop.close()\n"
        )
        more = {"PYTHONASYNCIODEBUG": "1"} if how == "environment" else {}
        ended = program(code, tmp_path, **more)
        assert ended.account["counters"]["asyncio_debug"] == 1
        assert [line for line in ended.account["warnings"] if "debug mode" in line] == ended.account["warnings"]
        assert len(ended.account["warnings"]) == 1


BLOCKED_NS = 10_000_000
BLOCKS, BLOCK_S, EVERY_S = 12, 0.02, 0.1

#: blocks the loop for 20 ms every 100 ms beside whatever else runs there; prints every block's two times
PLANT = f"""
import json, time
async def block():
    loop = asyncio.get_running_loop(); blocks = []
    for _ in range({BLOCKS}):
        begun = time.perf_counter_ns(); time.sleep({BLOCK_S}); blocks.append((begun, time.perf_counter_ns()))
        await asyncio.sleep({EVERY_S - BLOCK_S})
    return blocks
"""

ALONE = "async def main(): print(json.dumps(await block()))\n"

BESIDE = """
import aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        async def fetch():
            async with session.get(URL) as response: await response.read()
        async def worker():
            while not stop: await fetch()
        stop = []; await fetch()
        workers = [asyncio.create_task(worker()) for _ in range(3)]
        blocks = await block(); stop.append(1); await asyncio.gather(*workers)
    print(json.dumps(blocks))
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A target that thinks for 8 ms."""
    target = Target(path="/x/{i}", service=Service(mean_ms=8), payload=Payload(mean_bytes=2_000))
    with TargetServer.start(Scenario(name="s", arms=(Arm(client="aiohttp"),), target=target)) as server:
        yield server.url + "/x/1"


@both_loops
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside fetches"])
def test_a_planted_block_is_recovered(tmp_path: Path, url: str, loop: str, beside: bool) -> None:
    # iterations that run for 10 ms and more add up to what was planted, within 5 % and what the system says that it kept the thread waiting for a core
    program_ = f"URL = {url!r}\n" + (BESIDE if beside else ALONE)
    ended = program(LOOPS[loop] + PLANT + program_ + RUN, tmp_path)
    assert ended.code == 0, ended.err
    blocks = json.loads(ended.out)
    planted = sum(until - begun for begun, until in blocks)
    rows = ended.rows("iterations")
    returned = rows["t0"].astype(np.int64) + rows["poll"].astype(np.int64) * TICK_NS
    run = rows["run"].astype(np.int64) * TICK_NS
    inside = (returned >= blocks[0][0] - BLOCKED_NS) & (returned <= blocks[-1][1])
    blocked = run[inside & (run >= BLOCKED_NS)]
    assert len(blocked) >= BLOCKS
    samples = ended.rows("samples")["run_queue_ns"].astype(np.int64)
    waited = int(samples[-1] - samples[0])
    assert planted * 0.95 <= blocked.sum() <= planted * 1.05 + waited
    # and each block lies in one iteration, whole
    for begun, until in blocks:
        (index,) = np.flatnonzero((returned <= begun + TICK_NS) & (returned + run >= until - 2 * TICK_NS) & (run > 0))
        assert run[index] >= until - begun - 2 * TICK_NS
