"""Faults that a scenario plants into its workload, so that a diagnosis can be tested against what is known.

Each is a function with a telling name, which it also bears in profiles.  They act after a request's answer came, inside the timed part, in every tier; name
look-ups are slowed where they happen, and asyncio's debug mode is the worker's to switch on.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

from loopdiag.errors import Unavailable
from loopdiag.model.scenario import Plant

CHUNK = range(16)  # passes of plain Python between two looks at the clock: less than 1 µs


class Plants:
    """What is planted into each request of one trial; on a loop with virtual time, computing and blocking cost that time.

    Args:
        plant: what the scenario asks for.
        requests: of the trial.
    """

    def __init__(self, plant: Plant, requests: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._burn_ns, self._scan_ns = round(plant.cpu_us * 1000), round(plant.scan_us * 1000 * requests)
        self._block_s, self._thread_s = plant.block_ms / 1e3, plant.thread_ms / 1e3
        self._garbage = plant.garbage
        self._over_ns = 0  # computed too long so far, in all
        self._kept: list[object] = []
        spend = getattr(self._loop, "spend", None)
        self._burn: Callable[[int], int | None] = spend or burn
        self._scan: Callable[[int], int | None] = spend or scan
        self._block = block if spend is None else getattr(self._loop, "jump")  # noqa: B009 - the virtual loop's alone

    async def after_answer(self) -> None:
        """Let the request that runs meet every plant."""
        if self._burn_ns:
            self._over_ns = self._burn(self._burn_ns - self._over_ns) or 0
        if self._scan_ns:
            self._over_ns = self._scan(self._scan_ns - self._over_ns) or 0
        if self._block_s:
            self._block(self._block_s)
        if self._garbage:
            litter(self._kept, self._garbage)
        if self._thread_s:
            await self._loop.run_in_executor(None, time.sleep, self._thread_s)


@cache
def look_ns() -> int:
    """What one look at the thread's clock costs, which every call of `burn` spends beside what the clock shows."""
    clock = time.thread_time_ns
    seen = [clock() for _ in range(50)]
    return min(after - before for before, after in pairwise(seen))


def burn(cost_ns: int) -> int:
    """Compute for so many nanoseconds of this thread's CPU, whatever else the machine does; by how much it was more."""
    clock = time.thread_time_ns
    end = clock() + cost_ns - look_ns()
    while (now := clock()) < end:
        for _ in CHUNK:
            pass
    return now - end


def scan(cost_ns: int) -> int:
    """Do what `burn` does, in a function of another name: look at every request of the trial."""
    clock = time.thread_time_ns
    end = clock() + cost_ns - look_ns()
    while (now := clock()) < end:
        for _ in CHUNK:
            pass
    return now - end


def block(sleep_s: float) -> None:
    """Keep the loop's thread from running, off the CPU."""
    time.sleep(sleep_s)


def litter(kept: list[object], count: int) -> None:
    """Make `count` lists that hold one another in a ring, and keep them, so that each full collection has more to look at."""
    ring: list[list[Any]] = [[] for _ in range(count)]
    for here, after in zip(ring, [*ring[1:], ring[0]], strict=True):
        here.append(after)
    kept.append(ring)


def slow_look_ups(delay_ms: float) -> None:
    """Have every later name look-up of this process take so much longer, in the thread that makes it.

    Raises:
        Unavailable: the running loop looks names up in C, where nothing can be planted.
    """
    if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        raise Unavailable("workload.plant.dns_ms: uvloop looks names up in C, where nothing can be planted")
    before = socket.getaddrinfo

    def getaddrinfo(*args: Any, **options: Any) -> Any:
        time.sleep(delay_ms / 1e3)
        return before(*args, **options)

    socket.getaddrinfo = getaddrinfo
