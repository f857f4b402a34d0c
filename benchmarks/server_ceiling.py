"""How far the embedded target is from being the bottleneck: its ceiling over the rate of the fastest client.

Ceiling: requests per second that it answers to a raw generator over 100 kept-alive connections, without think time.  Fastest client:
aiohttp on uvloop with 100 pooled connections.  Both in processes of their own, on a core that is not the target's, in turns.
"""

import argparse
import asyncio
import json
import os
import random
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Payload, Scenario, Sweep, Target, Tls

CONNECTIONS, BODY_BYTES, ASKED = 100, 4000, 3.0
CPU_CLOCK = 2  # see clock_getcpuclockid(3)
BUSY = 0.95  # of a core: what limits

Start = Callable[[str, ssl.SSLContext | None, Callable[[], int]], Awaitable[tuple[Callable[[], int], float]]]
tasks: list["asyncio.Task[None]"] = []  # kept alive


class RawClient(asyncio.Protocol):
    """Sends the next request as soon as the answer is there, and only counts."""

    request = b"GET /1 HTTP/1.1\r\nhost: localhost\r\n\r\n"
    answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self.transport, self.missing = transport, -1

    def data_received(self, data: bytes) -> None:
        """Count bytes; all answers are of one length, which the first tells."""
        if self.missing < 0:
            self.missing = data.index(b"\r\n\r\n") + 4 + BODY_BYTES
        self.missing -= len(data)
        if self.missing == 0:
            RawClient.answered += 1
            self.send()

    def send(self) -> None:
        """Ask once more."""
        self.missing = -1
        self.transport.write(self.request)  # type: ignore[attr-defined] # a TCP transport


async def raw(url: str, context: ssl.SSLContext | None, target_ns: Callable[[], int]) -> tuple[Callable[[], int], float]:
    """Connect, start the generator; return its counter, and the target's CPU a connection."""
    loop, port, before = asyncio.get_running_loop(), int(url.rpartition(":")[2]), target_ns()
    pairs = [
        await loop.create_connection(RawClient, "localhost" if context else "127.0.0.1", port, ssl=context) for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(0.1)  # the target's side of the last handshakes
    spent = target_ns() - before
    for _, client in pairs:
        client.send()
    return (lambda: RawClient.answered), spent / CONNECTIONS / 1e3


async def aiohttp_client(url: str, context: ssl.SSLContext | None, _: Callable[[], int]) -> tuple[Callable[[], int], float]:
    """Start as many workers as connections on one session; return their counter (and no CPU: its connections come with requests)."""
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=context or True))
    answered = 0

    async def work() -> None:
        nonlocal answered
        while True:
            async with session.get(f"{url}/1") as response:
                await response.read()
            answered += 1

    tasks.extend(asyncio.create_task(work()) for _ in range(CONNECTIONS))
    return (lambda: answered), 0.0


async def measure(start: Start, given: argparse.Namespace) -> dict[str, float]:
    """Rate and CPU of both sides over the seconds after a warm-up."""

    def target_ns() -> int:
        return time.clock_gettime_ns((~given.pid << 3) | CPU_CLOCK)

    context = ssl.create_default_context(cafile=given.ca) if given.ca else None
    count, connect_us = await start(given.url, context, target_ns)
    await asyncio.sleep(given.seconds / 4)
    before = count(), time.perf_counter_ns(), time.process_time_ns(), target_ns()
    await asyncio.sleep(given.seconds)
    after = count(), time.perf_counter_ns(), time.process_time_ns(), target_ns()
    answers, wall, own, target = (late - early for late, early in zip(after, before, strict=True))
    return {
        "rate": answers / wall * 1e9,
        "own": own / wall,
        "target": target / wall,
        "target_us": target / answers / 1e3,
        "own_us": own / answers / 1e3,
        "connect_us": connect_us,
    }


def play(role: str, given: argparse.Namespace) -> None:
    """The part of a child process."""
    import uvloop

    if given.core >= 0:
        os.sched_setaffinity(0, {given.core})
    print(json.dumps(uvloop.run(measure(raw if role == "raw" else aiohttp_client, given))), flush=True)
    os._exit(0)  # the clients end with their process


def run(role: str, server: TargetServer, core: int, seconds: float) -> dict[str, float]:
    """Let a child play `role` against the target."""
    command = [
        sys.executable,
        __file__,
        role,
        "--url",
        server.url,
        "--pid",
        str(server.pid),
        "--core",
        str(core),
        "--seconds",
        str(seconds),
    ]
    command += ["--ca", str(server.ca_file)] if server.ca_file else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60 + 10 * seconds)
    return dict(json.loads(done.stdout))


def interval(ratios: list[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    draws = random.Random(1)
    medians = sorted(statistics.median(draws.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[1949]


def compare(tls: Tls, blocks: int, seconds: float, cores: list[int]) -> None:
    """Measure in turns; print what came out."""
    own_core = len(cores) > 1
    scenario = Scenario(
        name="ceiling", arms=(Arm(client="aiohttp"),), target=Target(tls=tls, payload=Payload(mean_bytes=BODY_BYTES)), sweep=Sweep(n=(1,))
    )
    rows: dict[str, list[dict[str, float]]] = {"raw": [], "aiohttp": []}
    with TargetServer.start(scenario, cores=(cores[-1],) if own_core else ()) as server:
        for block in range(blocks):
            for role in ("raw", "aiohttp") if block % 2 else ("aiohttp", "raw"):
                rows[role].append(run(role, server, cores[0] if own_core else -1, seconds))
            server.collect(None)
    ratios = [ceiling["rate"] / client["rate"] for ceiling, client in zip(rows["raw"], rows["aiohttp"], strict=True)]
    low, high = interval(ratios)
    middle = {role: {key: statistics.median(row[key] for row in these) for key in these[0]} for role, these in rows.items()}
    ceiling, client = middle["raw"], middle["aiohttp"]
    limit = ""
    if ceiling["target"] < BUSY:
        which = "the generator is the limit" if ceiling["own"] > BUSY else "neither side had a core to itself"
        limit = f"; {which} ({ceiling['own']:.0%} of its own): the ceiling lies higher"
    name = "without TLS" if tls == "off" else f"with pooled TLS ({tls})"
    print(
        f"server ceiling {name}: {statistics.median(ratios):.1f} x the fastest client, 95 % interval {low:.1f} to {high:.1f} over {blocks} pairs "
        f"({ASKED:g} asked: {'met' if low >= ASKED else 'NOT met'})"
    )
    print(f"  target answers {ceiling['rate']:,.0f}/s at {ceiling['target']:.0%} of its core{limit}")
    print(
        f"  aiohttp on uvloop asks {client['rate']:,.0f}/s ({client['own_us']:.0f} us of CPU each); the target is {client['target']:.0%} busy"
    )
    setup = "connection" if tls == "off" else "connection with its handshake"
    print(
        f"  target's CPU: {ceiling['target_us']:.1f} us a request, {ceiling['connect_us']:.0f} us a {setup}; by CPU a request the ratio is {client['own_us'] / ceiling['target_us']:.1f}"
    )


def main(quick: bool = False) -> None:
    """Print the ceiling's ratio without TLS and with pooled TLS.

    Args:
        quick: fewer and shorter pairs.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("server ceiling: one core only; target and client share it, and the ratio is that of their CPU")
    for tls in ("off", "ecdsa-p256"):
        compare(tls, *((3, 0.5) if quick else (10, 1.5)), cores)  # type: ignore[arg-type] # one of Tls


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("role", nargs="?", choices=("raw", "aiohttp"), help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter pairs")
    for option, kind in (("--url", str), ("--ca", Path), ("--pid", int), ("--core", int), ("--seconds", float)):
        parser.add_argument(option, type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        play(arguments.role, arguments)
    else:
        main(quick=arguments.quick)
