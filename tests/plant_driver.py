"""The program of tests/test_planted_delays.py: under the instruments, one request at each target in turn, each with a client of its own.

Reads a `Plan` from stdin and writes a `Done` to stdout.
"""

import asyncio
import sys
from random import Random
from time import perf_counter_ns

import msgspec

from loopdiag.lab.clients import CLIENTS, Client, ClientOptions
from loopdiag.lab.loops import LOOPS
from loopdiag.lab.workload import instruments

APART_S = (0.012, 0.030)  # at random, so that no planted delay ends just when another request begins


class Plan(msgspec.Struct):
    """What to do."""

    client: str
    loop: str
    ca_file: str | None
    urls: list[str]
    rounds: int


class Done(msgspec.Struct):
    """What was done: request 1 went to url 0, request 2 to url 1, … and so on, `rounds` times; the first of them, round 0, is warm-up."""

    t0_ns: int
    t1_ns: int
    run_queue_s: float


async def main(plan: Plan) -> Done:
    """Make the requests."""
    marks = instruments()
    assert marks is not None
    random, number = Random(1), 0

    async def one(client: Client, request: int, url: str, created_ns: int) -> None:
        marks.begin(request, created_ns, created_ns)
        try:
            assert (await client.fetch(url)).status == 200
        finally:
            marks.end()

    t0_ns, before = 0, 0.0
    for turn in range(plan.rounds + 1):
        if turn == 1:
            t0_ns, before, number = perf_counter_ns(), waited_s(), 0
        clients = [CLIENTS[plan.client]() for _ in plan.urls]
        for client in clients:
            await client.open(ClientOptions(ca_file=plan.ca_file, timeout_s=20))
        tasks = []
        order = random.sample(range(len(clients)), len(clients))
        for index in order:
            request = number + index + 1
            tasks.append(asyncio.create_task(one(clients[index], request, plan.urls[index], perf_counter_ns())))
            await asyncio.sleep(random.uniform(*APART_S))
        await asyncio.gather(*tasks)
        number += len(clients)
        for client in clients:
            await client.close()
    return Done(t0_ns, perf_counter_ns(), waited_s() - before)


def waited_s() -> float:
    """How long this thread was runnable, but not running; 0 where the kernel does not count it."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:  # noqa: PTH123 - quickest
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


if __name__ == "__main__":
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    with asyncio.Runner(loop_factory=LOOPS[plan.loop].loop_factory) as runner:
        done = runner.run(main(plan))
    sys.stdout.buffer.write(msgspec.json.encode(done))
