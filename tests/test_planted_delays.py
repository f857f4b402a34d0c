"""Delays that were planted in one place each: every one lands in its phase, at its size, and in no other phase."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
import pytest
import uvloop
from plant_driver import Done, Plan
from server_parts import scenario
from witness_parts import Machine, Measured, build_resolver, disturbance, go_first, witnessing

from loopdiag.analysis.timelines import resolve
from loopdiag.lab import columns
from loopdiag.lab.injection import LIGHT, injected_environment
from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.http1 import Http1Front
from loopdiag.lab.servers.limits import Limits
from loopdiag.lab.servers.listening import open_sockets
from loopdiag.lab.servers.tls import Identity, issue
from loopdiag.lab.servers.witness import Witness
from loopdiag.lab.trial import clean_environment
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Service
from loopdiag.model.timeline import Timeline

ROUNDS = 12
SIZES_MS = (5, 20, 100)
NONE = ("none", 0)  # the same target without a plant
SERVICES = {
    "look-up": lambda _: Service(),  # planted in the client's resolver
    "accept": lambda ms: Service(accept_ms=ms),
    "handshake": lambda ms: Service(handshake_ms=ms),
    "think": lambda ms: Service(mean_ms=ms),
    "gap": lambda ms: Service(gap_ms=ms),
}
PHASE = {"look-up": "dns", "handshake": "ssl", "think": "wait", "gap": "receive"}
TOLERANCE_MS, TOLERANCE = 1.0, 0.05

Plant = tuple[str, int]  # what, and milliseconds
Key = tuple[str, str, bool]  # client, loop, with TLS
CELLS = [(client, loop, tls) for tls in (False, True) for client in ("aiohttp", "httpx") for loop in ("asyncio", "uvloop")]


def plants(*, tls: bool) -> list[Plant]:
    """All plants; a handshake is only where there is TLS."""
    return [NONE, *((name, ms) for name in SERVICES if tls or name != "handshake" for ms in SIZES_MS)]


PLANTED = [
    pytest.param(key, plant, id=f"{key[0]}-{key[1]}-{'https' if key[2] else 'http'}-{plant}")
    for key in CELLS
    for plant in SERVICES
    if key[2] or plant != "handshake"
]


def phase_of(plant: str, *, tls: bool) -> str:
    """The phase that a plant belongs to.

    The kernel completes a connect before the server accepts it: a late accept keeps the handshake waiting, or, without one, the first answer.
    """
    return ("ssl" if tls else "wait") if plant == "accept" else PHASE[plant]


class Targets:
    """A front for every plant, with TLS and without, on a loop in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.ports: dict[tuple[bool, Plant], int] = {}
        self.ca_file = folder / "ca.pem"
        self.thread = 0
        self._ready, self._loop = threading.Event(), uvloop.new_event_loop()
        self._runner = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._runner.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._runner.join()

    def _run(self) -> None:
        self.thread = threading.get_native_id()
        go_first(self.thread)
        identity = issue("ecdsa-p256")
        assert identity is not None
        self.ca_file.write_bytes(identity.ca)
        asyncio.set_event_loop(self._loop)
        fronts = self._loop.run_until_complete(self._start(identity))
        self._ready.set()
        self._loop.run_forever()
        for front in fronts:
            self._loop.run_until_complete(front.stop())
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _start(self, identity: Identity) -> list[Http1Front]:
        fronts = []
        for tls in (False, True):
            for name, ms in plants(tls=tls):
                service = SERVICES[name](ms) if name in SERVICES else Service()
                front = Http1Front(Behaviour(scenario(service=service)), Limits(service), Witness())
                sockets = open_sockets(0)
                await front.start(sockets, identity if tls else None)
                self.ports[tls, (name, ms)] = sockets[0].getsockname()[1]
                fronts.append(front)
        return fronts


class Seen(NamedTuple):
    """Medians over a cell's rounds: plant → phase → milliseconds; and how much the machine's other work disturbed it."""

    phases: dict[Plant, dict[str, float]]
    disturbance: float


def measure(targets: Targets, resolver: Path | None, key: Key, folder: Path) -> Seen:
    """One cell: a process that asks every target ROUNDS times."""
    client, loop, tls = key
    wanted = [plant for plant in plants(tls=tls) if resolver or plant[0] != "look-up"]
    urls = [f"http{'s' if tls else ''}://localhost:{targets.ports[tls, plant]}/1" for plant in wanted]
    delays = ",".join(f"{targets.ports[tls, plant]}={plant[1]}" for plant in wanted if plant[0] == "look-up")
    folder.mkdir()
    env = witnessing(resolver)(clean_environment(os.environ), folder, LIGHT) | {"PLANTED_LOOK_UPS_MS": delays}
    plan = Plan(client, loop, str(targets.ca_file), urls, ROUNDS)
    before = Machine.read(targets.thread)
    ended = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("plant_driver.py"))],
        input=msgspec.json.encode(plan),
        env=env,
        capture_output=True,
        check=False,
        timeout=120,
    )
    after = Machine.read(targets.thread)
    assert ended.returncode == 0, ended.stderr.decode()
    done = msgspec.json.decode(ended.stdout, type=Done)
    line = timeline(folder, done.t0_ns, done.t1_ns, Arm(client=client, loop=loop))
    assert [attempt.request for attempt in line.attempts if "reused" in attempt.flags] == []
    assert sorted(attempt.request for attempt in line.attempts) == list(range(1, ROUNDS * len(urls) + 1))
    requests = [attempt.request for attempt in line.attempts]
    found = medians(line, lambda index: wanted[(requests[index] - 1) % len(urls)])
    return Seen(found, disturbance(before, after, waited_s=done.run_queue_s, ours_s=0.0))


def timeline(folder: Path, t0_ns: int, t1_ns: int, arm: Arm) -> Timeline:
    """What a process recorded between two times."""
    columns.cut(folder)
    spec = TrialSpec(id="t", arm=arm, n=1, tier="timeline", repetition=0, seed=1)
    result = TrialResult(spec=spec, status="ok", t0_ns=t0_ns, t1_ns=t1_ns, total_s=(t1_ns - t0_ns) / 1e9)
    line = resolve(columns.load(folder), result)
    assert line.faults == ()
    return line


def medians(line: Timeline, plant_of: Callable[[int], Plant]) -> dict[Plant, dict[str, float]]:
    """Plant → phase → median over the attempts that met the plant, in milliseconds."""
    found: dict[Plant, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    names = {phase.name for attempt in line.attempts for phase in attempt.phases}
    for index, attempt in enumerate(line.attempts):
        for name in names:
            spent = sum(phase.end_ns - phase.start_ns for phase in attempt.phases if phase.name == name)
            found[plant_of(index)][name].append(spent / 1e6)
    return {plant: {name: float(np.median(values)) for name, values in phases.items()} for plant, phases in found.items()}


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The system's resolver, with delays."""
    return build_resolver(tmp_path_factory.mktemp("resolver"))


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    """The fronts."""
    with Targets(tmp_path_factory.mktemp("targets")) as running:
        yield running


@pytest.fixture(scope="module")
def cells(targets: Targets, tmp_path_factory: pytest.TempPathFactory, resolver: Path | None) -> Measured[Key, Seen]:
    """The cells, each measured when a test first asks for it."""
    folder = tmp_path_factory.mktemp("planted")
    return Measured(lambda key, attempt: measure(targets, resolver, key, folder / f"{'-'.join(map(str, key))}-{attempt}"))


def growth(seen: Seen, plant: Plant) -> dict[str, float]:
    """By how much each phase is longer with the plant than without, in milliseconds."""
    base, planted = seen.phases[NONE], seen.phases[plant]
    return {name: planted[name] - base[name] for name in base}


@pytest.mark.slow
@pytest.mark.parametrize(("key", "plant"), PLANTED)
class TestEveryPlant:
    """Client × loop × TLS × plant."""

    @pytest.fixture(autouse=True)
    def _possible(self, plant: str, resolver: Path | None) -> None:
        if plant == "look-up" and resolver is None:
            pytest.skip("no C compiler, so no delay inside the system's resolver")

    @pytest.mark.parametrize("size_ms", SIZES_MS)
    def test_it_lands_in_its_phase_and_in_no_other(self, cells: Measured[Key, Seen], key: Key, plant: str, size_ms: int) -> None:
        # the phase is longer by the plant's size, within 5 % + 1 ms, and every other phase is as long as without, within the same
        right = phase_of(plant, tls=key[2])

        def faults(seen: Seen) -> list[str]:
            return [
                f"{name}: grew by {by:.2f} ms for {size_ms} ms planted in {plant}"
                for name, by in growth(seen, (plant, size_ms)).items()
                if abs(by - (size_ms if name == right else 0)) > TOLERANCE * size_ms + TOLERANCE_MS
            ]

        cells.hold(key, faults)

    def test_the_dose_makes_the_response(self, cells: Measured[Key, Seen], key: Key, plant: str) -> None:
        # over 0, 5, 20 and 100 ms the phase grows by 1.00 ± 0.05 ms a millisecond
        right = phase_of(plant, tls=key[2])

        def faults(seen: Seen) -> list[str]:
            sizes = (0, *SIZES_MS)
            response = [0.0, *(growth(seen, (plant, ms))[right] for ms in SIZES_MS)]
            slope = float(np.polyfit(sizes, response, 1)[0])
            return [f"{slope:.3f} ms a millisecond: {response}"] if abs(slope - 1) > TOLERANCE else []

        cells.hold(key, faults)


# a look-up that really goes to a server


class NameServer:
    """Answers for ``dMS.test`` with 127.0.0.1, MS milliseconds after it was asked."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.asked: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, peer = self._socket.recvfrom(512)
            due = time.perf_counter() + (0 if not query else int(query[14 : 13 + query[12]]) / 1000)
            if not query:
                return
            end = query.index(b"\0", 12) + 5  # the question: name, type, class
            self.asked.append(query[13 : 13 + query[12]])
            head = query[:2] + b"\x84\0" + b"\0\1" * 2 + b"\0" * 4  # an answer, authoritative; one question, one record
            record = b"\xc0\x0c\0\1\0\1" + bytes(4) + b"\0\4\x7f\0\0\1"  # the same name; A, IN, to be kept for 0 s, 127.0.0.1
            time.sleep(max(0.0, due - time.perf_counter()))
            self._socket.sendto(head + query[12:end] + record, peer)


ASKING = """
import asyncio, socket, ssl, sys, time
import aiohttp
from aiohttp.resolver import AsyncResolver
from loopdiag.lab.loops import LOOPS

loop, scheme, port, name_port, ca_file, rounds, *sizes = sys.argv[1:]

async def main():
    for turn in range(int(rounds) + 1):
        if turn == 1:
            print(time.perf_counter_ns())
        for size in sizes:
            resolver = AsyncResolver(nameservers=["127.0.0.1"], udp_port=int(name_port))
            connector = aiohttp.TCPConnector(resolver=resolver, family=socket.AF_INET, ssl=ssl.create_default_context(cafile=ca_file))
            async with aiohttp.ClientSession(connector=connector) as session:
                url = f"{scheme}://d{size}.test:{port}/1"
                async with session.get(url, server_hostname="localhost" if scheme == "https" else None) as response:
                    await response.read()
            await resolver.close()
    print(time.perf_counter_ns())

with asyncio.Runner(loop_factory=LOOPS[loop].loop_factory) as runner:
    runner.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_delay_of_a_name_server_is_dns(targets: Targets, tmp_path: Path, loop: str, tls: bool) -> None:
    # aiohttp asks a real server by itself (aiodns): its delay is in dns, within 5 % + 1 ms, and in no other phase
    pytest.importorskip("aiodns")
    sizes = (0, *SIZES_MS)

    def measure(_: str, attempt: int) -> Seen:
        folder = tmp_path / str(attempt)
        folder.mkdir()
        arguments = [loop, "https" if tls else "http", targets.ports[tls, NONE], names.port, targets.ca_file, ROUNDS, *sizes]
        before = Machine.read(targets.thread)
        ended = subprocess.run(
            [sys.executable, "-P", "-c", ASKING, *map(str, arguments)],
            env=injected_environment(clean_environment(os.environ), folder),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        after = Machine.read(targets.thread)
        assert ended.returncode == 0, ended.stderr
        t0_ns, t1_ns = map(int, ended.stdout.split())
        line = timeline(folder, t0_ns, t1_ns, Arm(client="aiohttp", loop=loop))
        assert len(line.attempts) == ROUNDS * len(sizes)
        order = [("look-up", ms) if ms else NONE for ms in sizes]
        return Seen(medians(line, lambda index: order[index % len(order)]), disturbance(before, after, waited_s=0.0, ours_s=0.0))

    def faults(seen: Seen) -> list[str]:
        grown = {ms: growth(seen, ("look-up", ms)) for ms in SIZES_MS}
        return [
            f"{name}: grew by {by:.2f} ms for {ms} ms"
            for ms, phases in grown.items()
            for name, by in phases.items()
            if abs(by - (ms if name == "dns" else 0)) > TOLERANCE * ms + TOLERANCE_MS
        ]

    with NameServer() as names:
        Measured(measure).hold(loop, faults)
        assert {b"d%d" % ms for ms in sizes} == set(names.asked)
