"""What each probe of the loop and the process costs, in nanoseconds an iteration, callback, task, collection and executor call, over no instruments."""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from loopdiag.analysis.distributions import student_quantile
from loopdiag.lab.injection import injected_environment

LOOPS = ("asyncio", "uvloop")

#: variant → level, and which instruments alone (None: all of the level)
VARIANTS: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "iterations": ("light", ("asyncio_loop", "uvloop_loop")),
    "iterations with events": ("detailed", ("asyncio_loop", "uvloop_loop")),
    "samples, too": ("light", ("asyncio_loop", "uvloop_loop", "accounts")),
    "scheduled to run": ("detailed", ("scheduling",)),
    "task starts, too": ("detailed", ("scheduling", "tasks")),
    "callbacks by name, too": ("deep", ("scheduling", "callbacks")),
    "collections": ("light", ("collector",)),
    "executors": ("light", ("executors",)),
    "level light": ("light", None),
    "level detailed": ("detailed", None),
    "level deep": ("deep", None),
}
UNITS = ("iteration", "callback", "task", "collection", "call")

#: prints the least CPU (of the call: time) in ns of each unit; every burst takes some milliseconds, and gc runs in its own burst only
PROGRAM = """
import asyncio, gc, json, sys, time
from concurrent.futures import ThreadPoolExecutor
if sys.argv[1] == "uvloop":
    import uvloop
    new_loop = uvloop.new_event_loop
else:
    new_loop = asyncio.SelectorEventLoop
cpu = time.thread_time_ns
N, BURSTS = 2000, int(sys.argv[2])

async def calls(wide):
    loop = asyncio.get_running_loop(); done = loop.create_future(); left = [N]
    def call():
        left[0] -= 1
        if left[0] >= wide: loop.call_soon(call)
        elif not left[0]: done.set_result(None)
    begun = cpu()
    for _ in range(wide): loop.call_soon(call)
    await done
    return (cpu() - begun) / N

async def nothing(): pass

async def tasks():
    loop = asyncio.get_running_loop(); begun = cpu()
    for _ in range(N // 100): await asyncio.gather(*[loop.create_task(nothing()) for _ in range(100)])
    return (cpu() - begun) / N

async def collections():
    begun = cpu()
    for _ in range(N // 4): gc.collect(0)
    return (cpu() - begun) / (N // 4)

async def executor():
    begun = time.process_time_ns()
    for _ in range(N // 20): pool.submit(int).result()
    return (time.process_time_ns() - begun) / (N // 20)

pool = ThreadPoolExecutor(1); gc.collect(); gc.freeze(); gc.disable()
loop = new_loop()
units = {"iteration": lambda: calls(1), "callback": lambda: calls(100), "task": tasks, "collection": collections, "call": executor}
least = dict.fromkeys(units, 1e12)
for _ in range(BURSTS):
    for name, burst in units.items(): least[name] = min(least[name], loop.run_until_complete(burst()))
loop.close(); pool.shutdown(); print(json.dumps(least))
"""


def measure(loop: str, bursts: int, variant: str | None) -> dict[str, float]:
    """Nanoseconds of each unit in one new process, with `variant` or without instruments."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if variant is not None:
            level, only = VARIANTS[variant]
            environment = {**injected_environment(os.environ, Path(folder)), "LOOPDIAG_LEVEL": level}
            if only is not None:
                environment["LOOPDIAG_ONLY"] = ",".join(only)
        command = [sys.executable, "-c", PROGRAM, loop, str(bursts)]
        ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def added(pairs: list[tuple[dict[str, float], dict[str, float]]], unit: str) -> str:
    """What the variant adds to a unit: mean and half of its 95 % interval, over interleaved pairs (bare, variant)."""
    differences = [variant[unit] - bare[unit] for bare, variant in pairs]
    half = student_quantile(len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{statistics.mean(differences):+6.0f} ± {half:<5.0f}"


def main(*, quick: bool = False) -> None:
    """Print a line a variant and loop."""
    rounds, bursts = (3, 4) if quick else (10, 10)
    for loop in LOOPS:
        pairs: dict[str, list[tuple[dict[str, float], dict[str, float]]]] = {name: [] for name in VARIANTS}
        for _ in range(rounds):
            order: list[str | None] = [None, *VARIANTS]
            random.shuffle(order)
            found = {name: measure(loop, bursts, name) for name in order}
            for name in VARIANTS:
                pairs[name].append((found[None], found[name]))
        bare = {unit: statistics.median(pair[0][unit] for pair in pairs["iterations"]) for unit in UNITS}
        print(f"{loop}: ns over none, by {', '.join(f'{unit} ({bare[unit]:.0f})' for unit in UNITS)}; {rounds} interleaved rounds")
        for name in VARIANTS:
            print(f"  {name:24}" + "".join(f"{added(pairs[name], unit):>17}" for unit in UNITS), flush=True)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
