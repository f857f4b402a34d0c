"""A small HTTP/1.1 server whose paths bring about every fate that a request may have, and which keeps account of what it saw.

A path is ``/<fate>/<request's number>``: whatever the client does for one request, retries and redirects included, carries the same number.
The server runs in a thread of its own.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

#: body lengths by fate; every other body is SHORT
SHORT, BIG = 100, 1 << 20
CHUNKS = 5
HOSTS = "localhost", "127.0.0.1"

#: fates whose answer is a redirect to the fate behind them, on the listener named
ONWARD = {
    "redirect": ("plain", "http"),
    "chain3": ("chain2", "http"),
    "chain2": ("chain1", "http"),
    "chain1": ("plain", "http"),
    "otherport": ("plain", "other"),
    "toscheme": ("plain", "https"),
}
STATUS = {"unavailable": 503, "busy": 429, "nocontent": 204, "unchanged": 304} | dict.fromkeys(ONWARD, 301)


@dataclass(eq=False)
class Served:
    """One connection that the server accepted."""

    peer_port: int  # not unique: the kernel may give the same one to several, to other listeners or one after the other
    requests: int = 0
    ended: bool = False  # the server has closed it


@dataclass
class Seen:
    """One request as the server saw it, and when (perf_counter_ns, the machine's monotonic clock)."""

    fate: str
    number: int
    connection: "Served"
    received_ns: int
    answered_ns: int = 0  # just before the first byte of the answer was written; 0: never
    status: int = 0
    sent_bytes: int = 0  # of the answer: interim answers, head and body


@dataclass
class Account:
    """What the server saw, in the order in which it came."""

    requests: list[Seen] = field(default_factory=list)
    connections: list[Served] = field(default_factory=list)


class Server:
    """The listeners and their account.  `urls`: http, other (a second port), https, mute (accepts, never says a word), full (never accepts), closed."""

    def __init__(self) -> None:
        self.account = Account()
        self.urls: dict[str, str] = {}
        self.authority = trustme.CA()
        self._full: list[socket.socket] = []
        self._one_ended = asyncio.Event()

    async def open(self) -> list[asyncio.Server]:
        """Listen."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*HOSTS).configure_cert(context)
        listening = []
        for name, handler, tls in (
            ("http", self._serve, None),
            ("other", self._serve, None),
            ("https", self._serve, context),
            ("mute", self._mute, None),
        ):
            server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
            listening.append(server)
            scheme = "https" if name in {"https", "mute"} else "http"
            host = "localhost" if name in {"other", "https"} else "127.0.0.1"
            self.urls[name] = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}"
        self.urls["full"] = f"http://127.0.0.1:{self._never_accepting()}"
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            self.urls["closed"] = f"http://127.0.0.1:{bound.getsockname()[1]}"
        self.urls["nowhere"] = "http://nowhere.invalid"
        return listening

    def _never_accepting(self) -> int:
        """A port whose queue of connections is full, so that the kernel drops every further SYN."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self._full.append(listener)
        port: int = listener.getsockname()[1]
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", port))
            self._full.append(waiting)
        return port

    def _accepted(self, writer: asyncio.StreamWriter) -> Served:
        self.account.connections.append(Served(writer.get_extra_info("peername")[1]))
        return self.account.connections[-1]

    def close(self) -> None:
        """Close what `open` left beside the listeners."""
        for sock in self._full:
            sock.close()

    async def _mute(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted(writer)
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                await reader.read(1 << 16)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self._accepted(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while await self._answer(reader, writer, connection):
                pass
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            writer.close()
            await writer.wait_closed()
        connection.ended = True
        self._one_ended.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Served) -> bool:
        """Answer one request; whether the connection stays."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, path = head.split(b" ", 2)[:2]
        fate, number = path.decode().strip("/").split("/")
        seen = Seen(fate, int(number), connection, time.perf_counter_ns())
        self.account.requests.append(seen)
        connection.requests += 1
        trick: Callable[..., object] | None = getattr(self, "_" + fate, None)
        if trick is not None:
            return bool(await trick(reader, writer, seen))  # type: ignore[misc] # every trick is a coroutine function
        length = 0 if fate in {"empty", "nocontent", "unchanged"} else BIG if fate == "big" else SHORT
        extra = b""
        if fate in ONWARD:
            onward, where = ONWARD[fate]
            extra += f"Location: {self.urls[where]}/{onward}/{number}\r\n".encode()
        if fate == "close":
            extra += b"Connection: close\r\n"
        if fate != "nocontent":
            extra += b"Content-Length: %d\r\n" % length
        _head(writer, seen, STATUS.get(fate, 200), extra)
        _write(writer, seen, b"" if method == b"HEAD" else b"x" * length)
        await writer.drain()
        return fate not in {"close", "bye"}

    async def _chunked(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        """A body in pieces, a moment apart."""
        _head(writer, seen, 200, b"Transfer-Encoding: chunked\r\n")
        for _ in range(CHUNKS):
            _write(writer, seen, b"14\r\n" + b"x" * 20 + b"\r\n")
            await asyncio.sleep(0.002)
        _write(writer, seen, b"0\r\n\r\n")
        return True

    async def _early(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        """Hints before the answer."""
        _head(writer, seen, 103, b"Link: </style.css>; rel=preload\r\n")
        await asyncio.sleep(0.01)
        return self._late(writer, seen)

    async def _continue(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        """An interim answer that nobody asked for."""
        _head(writer, seen, 100, b"")
        await asyncio.sleep(0.01)
        return self._late(writer, seen)

    @staticmethod
    def _late(writer: asyncio.StreamWriter, seen: Seen) -> bool:
        answered = seen.answered_ns
        _head(writer, seen, 200, b"Content-Length: 2\r\n")
        seen.answered_ns = answered
        _write(writer, seen, b"ok")
        return True

    async def _stale(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        """Close the connection just as the client reuses it; answer on a fresh one."""
        if seen.connection.requests > 1:
            return False
        seen.fate = "plain"
        _head(writer, seen, 200, b"Content-Length: 2\r\n")
        _write(writer, seen, b"ok")
        return bool(reader)

    async def _reset(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _seen: Seen) -> bool:
        """Reset instead of an answer."""
        _abort(writer)
        return False

    async def _cutoff(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        """Reset within the body."""
        _head(writer, seen, 200, b"Content-Length: 1000\r\n")
        _write(writer, seen, b"x" * 400)
        await asyncio.sleep(0.02)  # the client should have begun to read
        _abort(writer)
        return False

    async def _truncated(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        """Close within the body."""
        _head(writer, seen, 200, b"Content-Length: 1000\r\n")
        _write(writer, seen, b"x" * 400)
        return False

    async def _slow(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _seen: Seen) -> bool:
        """Never answer."""
        await reader.read()
        return False

    async def _stuck(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        """Answer, and never end the body."""
        _head(writer, seen, 200, b"Content-Length: 1000\r\n")
        _write(writer, seen, b"x" * 400)
        await reader.read()
        return False

    async def _ended(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> bool:
        """Control: answer as soon as the connection that served request `number` is closed; no part of the account."""
        self.account.requests.remove(seen)
        self.account.connections.remove(seen.connection)
        while not any(one.connection.ended for one in self.account.requests if one.number == seen.number):
            self._one_ended.clear()
            await self._one_ended.wait()
        writer.write(b"done")
        return False


def _head(writer: asyncio.StreamWriter, seen: Seen, status: int, extra: bytes) -> None:
    seen.answered_ns, seen.status = time.perf_counter_ns(), status
    _write(writer, seen, b"HTTP/1.1 %d X\r\n%s\r\n" % (status, extra))


def _write(writer: asyncio.StreamWriter, seen: Seen, part: bytes) -> None:
    seen.sent_bytes += len(part)
    writer.write(part)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset: what is unread at the other side is lost."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run the server; its authority's certificate is ``folder/ca.pem``."""
    server = Server()
    server.authority.cert_pem.write_to_path(folder / "ca.pem")
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        listening = await server.open()
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        ready.set()
        await stop.wait()
        for one in listening:
            one.close()

    def run() -> None:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(lambda *_: None)  # clients that break off TLS are part of the game
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        server.close()
