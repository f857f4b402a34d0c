"""What the lab's tests share: a machine, scenarios, and a small HTTP server on loopback that plays tricks."""

import asyncio
import gzip
import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from loopdiag.model.recording import Environment, TrialSpec
from loopdiag.model.scenario import Arm, Fake, Scenario, Service, Sweep, Target

ENVIRONMENT = Environment(
    system="Linux",
    python="CPython",
    cpu="a CPU",
    cores=1,
    memory_mib=1024,
    clock_resolution_ns=1.0,
    clock_cost_ns=50.0,
    descriptor_limit=1024,
)
FAKE = Arm(client="fake", loop="virtual")


def scenario(*arms: Arm, **parts: Any) -> Scenario:
    """A quick scenario: the fake client on virtual time unless said otherwise."""
    parts.setdefault("target", Target(service=Service(mean_ms=50)))
    parts.setdefault("sweep", Sweep(n=(1, 2, 4, 8, 16), repetitions=1, warmups=0, budget_s=3000, trial_timeout_s=300))
    return Scenario(name="test", arms=arms or (FAKE,), **parts)


def spec(arm: Arm = FAKE, n: int = 8, **parts: Any) -> TrialSpec:
    """One bare trial."""
    return TrialSpec(**({"id": "0001", "arm": arm, "n": n, "tier": "bare", "repetition": 0, "seed": 1} | parts))


def slow() -> Scenario:
    """A scenario whose requests take an hour of real time."""
    return scenario(Arm(client="fake", loop="asyncio"), target=Target(service=Service(mean_ms=3_600_000)), fake=Fake(cpu_us=0))


#: what becomes of a request for /mixed/{i}: the i-th of these, from 1, over and over
MIXED = ("plain", "gzip", "reset", "503", "404", "text", "slow")


@dataclass
class Server:
    """The small server: paths say what it does; it counts what it sees."""

    certificates: trustme.CA | None = None
    url: str = ""
    connections: int = 0
    open_now: int = 0
    open_at_most: int = 0
    all_here: asyncio.Event = field(default_factory=asyncio.Event)
    paths: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests on one connection until the client or a trick ends it."""
        self.connections += 1
        self.open_now += 1
        self.open_at_most = max(self.open_at_most, self.open_now)
        try:
            while await self.answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_now -= 1
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
        path = head[0].split()[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        self.paths[path] += 1
        self.headers.append(headers)
        kind, _, rest = path.strip("/").partition("/")
        if kind == "mixed":
            kind = MIXED[(int(rest) - 1) % len(MIXED)]
        if kind == "busy":  # at the first time of asking
            kind = "429" if self.paths[path] == 1 else "plain"
        if kind == "reset":
            writer.transport.abort()
            return False
        if kind == "slow":
            await reader.read()
            return False
        if kind == "together":
            if self.open_now >= int(path.split("/")[2]):
                self.all_here.set()
            await self.all_here.wait()
        status = int(kind) if kind.isdigit() and len(kind) == 3 else 200
        body = b"not json" if kind == "text" else json.dumps({"path": path}).encode()
        extra = ""
        if kind == "gzip":
            body, extra = gzip.compress(body), "Content-Encoding: gzip\r\n"
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body)
        await writer.drain()
        return True


@contextmanager
def serving(*, tls: bool = False) -> Iterator[Server]:
    """Run the small server in a thread of its own."""
    server = Server(certificates=trustme.CA() if tls else None)
    ready, ended = threading.Event(), threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        context = None
        if server.certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.certificates.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        port = listening.sockets[0].getsockname()[1]
        server.url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        ready.set()
        await stop.wait()
        listening.close()

    def run() -> None:
        try:
            asyncio.run(main())
        finally:
            ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        assert ended.wait(10)


def ca_file(server: Server, folder: Path) -> str:
    """The small server's CA as a file."""
    assert server.certificates is not None
    path = folder / "ca.pem"
    server.certificates.cert_pem.write_to_path(path)
    return str(path)
