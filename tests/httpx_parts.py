"""What the tests of httpx's and aiohttp's instruments share: servers on loopback that keep to planted delays and stamp what they do, and observed programs.

A path such as ``/3?think=50&gap=20&size=1000`` asks for 50 ms before the head, 20 ms between head and body, and a body of 1000 octets; what was received and sent when
stands in `Stamps` under ``3``, in ``perf_counter_ns``, which all processes of a machine share.
"""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h2.config
import h2.connection
import h2.events
import h2.settings
import numpy as np
import trustme

from loopdiag.analysis.timelines import resolve
from loopdiag.lab import columns
from loopdiag.lab.injection import injected_environment
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Instruments
from loopdiag.model.timeline import Attempt, Timeline

MS = 1_000_000
FRAME = 16384
clock = time.perf_counter_ns


@dataclass
class Stamps:
    """What a server did with one request."""

    received: int = 0
    head: int = 0  # just before the head of the answer was written
    sent: int = 0  # just after the last octet of the body was


@dataclass
class Server:
    """A running server: where it is, what it saw."""

    url: str = ""
    ca_file: str | None = None
    connections: int = 0
    seen: dict[str, Stamps] = field(default_factory=dict)
    transports: list[Any] = field(default_factory=list)
    listening: list[asyncio.AbstractServer] = field(default_factory=list)

    def close(self) -> None:
        """Stop listening and drop every connection."""
        for each in self.listening:
            each.close()
        for transport in self.transports:
            transport.abort()

    async def answer(self, target: str, send: Callable[[bytes | None, int], Awaitable[None]]) -> None:
        """Answer one request as its path asks: ``send(None, size)`` is to write the head, ``send(body, size)`` the body."""
        parts = urlsplit(target)
        asked = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
        stamps = self.seen.setdefault(parts.path.strip("/"), Stamps())
        stamps.received = clock()
        size = asked.get("size", 10)
        await asyncio.sleep(asked.get("think", 0) / 1000)
        stamps.head = clock()
        if gap := asked.get("gap", 0):
            await send(None, size)
            await asyncio.sleep(gap / 1000)
        await send(b"x" * size, size)
        stamps.sent = clock()


class Http1(asyncio.Protocol):
    """One connection of HTTP/1.1, with keep-alive unless a request says ``close``."""

    def __init__(self, server: Server) -> None:
        self.server, self.received = server, b""
        self.transport: Any = None
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.transports.append(transport)
        self.server.connections += 1

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            task = asyncio.get_running_loop().create_task(self.answer(head.split()[1].decode()))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def answer(self, target: str) -> None:
        begun = False
        last = "close" in target

        async def send(body: bytes | None, size: int) -> None:
            nonlocal begun
            end = "Connection: close\r\n" if last else ""
            head = b"" if begun else f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n{end}\r\n".encode()
            begun = True
            self.transport.write(head + (body or b""))

        await self.server.answer(target.replace("close", ""), send)
        if last:
            self.transport.close()


class Http2(asyncio.Protocol):
    """One connection of HTTP/2; its windows are large enough for what the tests send."""

    def __init__(self, server: Server, streams: int) -> None:
        self.server, self.streams = server, streams
        self.state = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=False))
        self.transport: Any = None
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.transports.append(transport)
        self.server.connections += 1
        limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.streams}
        self.state.local_settings = h2.settings.Settings(client=False, initial_values=limit)
        self.state.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.state.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.state.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                target = dict(event.headers or ())[b":path"].decode()
                task = asyncio.get_running_loop().create_task(self.answer(target, event.stream_id or 0))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
        self.flush()

    async def answer(self, target: str, stream: int) -> None:
        begun = False

        async def send(body: bytes | None, size: int) -> None:
            nonlocal begun
            if not begun:
                self.state.send_headers(stream, [(":status", "200"), ("content-length", str(size))])
                begun = True
            if body is not None:
                for at in range(0, len(body), FRAME):
                    self.state.send_data(stream, body[at : at + FRAME])
                self.state.end_stream(stream)
            self.flush()

        await self.server.answer(target, send)


@contextlib.contextmanager
def running(start: Callable[[Server], Awaitable[asyncio.AbstractServer]]) -> Iterator[Server]:
    """A server on a loop and in a thread of its own."""
    server = Server()
    ready, loops = threading.Event(), []
    stop: list[asyncio.Event] = []

    async def main() -> None:
        server.listening.append(await start(server))
        stop.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        ready.set()
        await stop[0].wait()
        server.close()
        await asyncio.sleep(0.01)  # transports are closed by the loop's next rounds

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(stop[0].set)
        thread.join(10)


@contextlib.contextmanager
def http1(**_: Any) -> Iterator[Server]:
    """HTTP/1.1, plain."""

    async def start(server: Server) -> asyncio.AbstractServer:
        listening = await asyncio.get_running_loop().create_server(lambda: Http1(server), "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        return listening

    with running(start) as server:
        yield server


@contextlib.contextmanager
def http2(*, streams: int = 100, tls: Path | None = None, handshake_ms: int = 0) -> Iterator[Server]:
    """HTTP/2 by prior knowledge; with `tls`, a folder for the CA's certificate, by ALPN, its handshake held up for `handshake_ms`."""

    async def start(server: Server) -> asyncio.AbstractServer:
        context = None
        if tls is not None:
            authority = trustme.CA()
            server.ca_file = str(tls / "ca.pem")
            authority.cert_pem.write_to_path(server.ca_file)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            context.set_alpn_protocols(["h2"])
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: Http2(server, streams), "127.0.0.1", 0, ssl=context)
        port = listening.sockets[0].getsockname()[1]
        if handshake_ms:
            behind = port
            front = await loop.create_server(lambda: Relay(server, behind, handshake_ms / 1000), "127.0.0.1", 0)
            server.listening.append(front)
            port = front.sockets[0].getsockname()[1]
        server.url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        return listening

    with running(start) as server:
        yield server


class Relay(asyncio.Protocol):
    """Passes everything on to `port`, the first octets `after_s` late; `other` is the end to pass to."""

    def __init__(self, server: Server, port: int, after_s: float, other: Any = None) -> None:
        self.server, self.port, self.after_s, self.other = server, port, after_s, other
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.transports.append(transport)
        if self.other is None:
            transport.pause_reading()
            self.task = asyncio.get_running_loop().create_task(self.join())

    async def join(self) -> None:
        """Wait, and connect to the server behind."""
        await asyncio.sleep(self.after_s)
        end = Relay(self.server, self.port, 0, self.transport)
        self.other, _ = await asyncio.get_running_loop().create_connection(lambda: end, "127.0.0.1", self.port)
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


#: before each program: the library under its own name, a runner on the asked loop, what it prints at its end, and a clock
PROLOGUE = """
import asyncio, importlib, json, ssl, sys, time
library, kind, url, ca_file = sys.argv[1:5]
lib = importlib.import_module(library)
core = importlib.import_module(library.replace("httpx", "httpcore")) if library.startswith("httpx") else None
clock = time.perf_counter_ns
context = ssl.create_default_context(cafile=ca_file) if ca_file else ssl.create_default_context()
told = {}
def go(main):
    if kind == "uvloop":
        import uvloop
        uvloop.run(main)
    else:
        asyncio.run(main)
    print(json.dumps(told))
"""


@dataclass
class Observation:
    """What an observed program left."""

    told: dict[str, Any]
    tables: dict[str, np.ndarray[Any, Any]]
    account: dict[str, Any]
    line: Timeline

    def of(self, number: int) -> Attempt:
        """The last attempt of a request, counted in the order in which the program began them."""
        return [attempt for attempt in self.line.attempts if attempt.request == number][-1]

    def at(self, number: int, stamp: str) -> int:
        """A stamp of a request, in nanoseconds of ``perf_counter_ns``."""
        return self.of(number).stamps[stamp] + self.line.t0_ns


def observe(folder: Path, program: str, library: str, loop: str, server: Server, *, verify: bool = False, first: str = "") -> Observation:
    """Run `program` under the instruments, after `first` and the prologue, and read what they recorded."""
    folder.mkdir(parents=True, exist_ok=True)
    ended = subprocess.run(
        [sys.executable, "-c", first + PROLOGUE + program, library, loop, server.url, server.ca_file or ""],
        env=injected_environment(os.environ, folder, Instruments(verify=verify)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    account = json.loads((folder / "instruments.json").read_text())
    tables = columns.load(folder)
    since = min((int(row["t0"]) for row in tables["attempts"][1:] if row["t0"]), default=1)
    spec = TrialSpec(id="t", arm=Arm(client="httpx", loop="asyncio"), n=1, tier="timeline", repetition=0, seed=1)
    result = TrialResult(spec=spec, status="ok", t0_ns=since, not_observed=account["not_observed"])
    return Observation(told, tables, account, resolve(tables, result))
