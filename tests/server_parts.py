"""What the tests of the embedded target share: scenarios, a front inside the test's own loop, and a client of bare bytes."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Self

import httpx
import uvloop

from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.http1 import Http1Front
from loopdiag.lab.servers.limits import Limits
from loopdiag.lab.servers.listening import open_sockets
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.servers.witness import Witness
from loopdiag.model.scenario import Arm, Scenario, Sweep, Target

READ_TIMEOUT_S = 20


def scenario(*, n: int = 10, seed: int = 1, **target: Any) -> Scenario:
    """A scenario with this target."""
    return Scenario(name="test", arms=(Arm(client="aiohttp"),), target=Target(**target), sweep=Sweep(n=(n,), seed=seed))


def port_of(server: TargetServer) -> int:
    """The port in its URL."""
    return int(server.url.rpartition(":")[2])


def client(server: TargetServer, **options: Any) -> httpx.Client:
    """An httpx client that speaks the target's protocol and trusts its CA only."""
    options.setdefault("verify", ssl.create_default_context(cafile=server.ca_file) if server.ca_file else False)
    second = server.name == "http2"
    return httpx.Client(base_url=server.url, http2=second, http1=not second, trust_env=False, timeout=READ_TIMEOUT_S, **options)


def gone(pid: int) -> bool:
    """Whether no process has that number, or only a dead one that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Line:
    """One connection to a front in this loop."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, text: str) -> None:
        """Write text with bare newlines as a request."""
        self.writer.write(text.replace("\n", "\r\n").encode("latin-1"))

    async def answer(self, *, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: status, fields and body."""
        async with asyncio.timeout(READ_TIMEOUT_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines)
            body = b""
            if not head_only and "content-length" in fields:
                body = await self.reader.readexactly(int(fields["content-length"]))
            elif not head_only:
                while size := int(await self.reader.readline(), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readline()
            return int(first.split()[1]), fields, body

    async def ended(self) -> bool:
        """Wait for the server to close; whether nothing came before it did."""
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await self.reader.read() == b""


@asynccontextmanager
async def serving(**target: Any) -> AsyncIterator[tuple[int, Witness]]:
    """An HTTP/1.1 front without TLS in the running loop: its port and its witness."""
    planned = scenario(**target)
    witness = Witness()
    front = Http1Front(Behaviour(planned), Limits(planned.target.service), witness)
    sockets = open_sockets(0)
    await front.start(sockets, None)
    try:
        yield sockets[0].getsockname()[1], witness
    finally:
        await front.stop()
        await asyncio.sleep(0)  # uvloop closes its listening sockets in the next iteration


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on the loop that the target uses."""

    @wraps(test)
    def run(*args: Any, **options: Any) -> None:
        uvloop.run(test(*args, **options))

    return run


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the server does on its own."""
    async with asyncio.timeout(READ_TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def stderr_of(server: TargetServer) -> str:
    """What the target's process complained about so far."""
    return (server._folder / "stderr").read_text()


def stat_cores(pid: int) -> set[int]:
    """Cores that a process may use."""
    return os.sched_getaffinity(pid)
