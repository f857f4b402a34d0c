"""A server on loopback that does nothing: it passes a program's requests on once, keeps the answers, and from then on gives them by itself.

It is in front of every server that the program asks, and knows them by the requests' Host; plain HTTP/1.1 alone.  The answers are kept as they came, with whatever they hold.
"""

import asyncio
import base64
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httptools

from loopdiag.errors import LoopdiagError

START_S = 10.0
MOST_BYTES = 256 << 20
FILE = "answers.json"
MISSED = b"HTTP/1.1 502 Not Recorded\r\nContent-Length: 0\r\n\r\n"
Question = tuple[str, str, str]  # method, host, path with its query


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        raw: as it came.
        closes: it ended its connection after it.
    """

    raw: bytes
    closes: bool


class NullServer:
    """The server, in a thread of its own.

    Attributes:
        answers: what is known.
        replays: whether it answers by itself, and passes nothing on.
        missed: how many requests it had no answer to since that was last set to 0.
        faults: what it could not pass on.
    """

    def __init__(self) -> None:
        self.answers: dict[Question, Answer] = {}
        self._alike: dict[Question, Answer] = {}  # by the path without its query: the first
        self.replays, self.missed, self.size = False, 0, 0
        self.faults: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="null-server")
        self._thread.start()
        if not self._ready.wait(START_S) or not self.port:
            raise LoopdiagError("the null server does not come up")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(self._loop.create_server(lambda: _Line(self), "127.0.0.1", 0, backlog=1024))
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            self._loop.run_forever()
            server.close()
        finally:
            self._ready.set()
            self._loop.close()

    def keep(self, question: Question, answer: Answer) -> None:
        """Know an answer from now on; the first one to a question stays."""
        if question not in self.answers:
            self.size += len(answer.raw)
            if self.size > MOST_BYTES:
                self.faults.append(f"the answers have more than {MOST_BYTES >> 20} MiB")
            else:
                self.answers[question] = answer
                self._alike.setdefault(_bare(question), answer)

    def replay(self, file: Path) -> None:
        """Answer by itself from now on, and leave the answers in `file`.

        Raises:
            LoopdiagError: not everything could be passed on, so the program would not see the same.
        """
        if self.faults or not self.answers:
            raise LoopdiagError(f"the null server: {self.faults[0] if self.faults else 'the program sent it no request'}")
        kept = [
            {"method": method, "host": host, "path": path, "closes": made.closes, "answer": base64.b64encode(made.raw).decode("ascii")}
            for (method, host, path), made in self.answers.items()
        ]
        file.write_text(json.dumps(kept), encoding="utf-8")
        self.replays = True

    def answer(self, question: Question) -> Answer:
        """The answer to a question, or to the same path with another query."""
        found = self.answers.get(question) or self._alike.get(_bare(question))
        if found is None:
            self.missed += 1
            return Answer(MISSED, closes=False)
        return found

    def stop(self) -> None:
        """End it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_S)


def _bare(question: Question) -> Question:
    """The question without its query."""
    method, host, path = question
    return method, host, path.partition("?")[0]


class _Line(asyncio.Protocol):
    """One connection of the program's."""

    def __init__(self, server: NullServer) -> None:
        self.server = server
        self.questions: list[Question] = []
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._host = b"", ""
        self._early: list[bytes] = []
        self._beyond: _Beyond | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A piece of a request."""
        if not self.server.replays:
            self._pass_on(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            tls = data[:1] == b"\x16"
            self.server.faults.append(
                "the program speaks TLS, which is not replayed" if tls else "the program speaks something else than HTTP/1.1"
            )
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; so is what is behind it."""
        del exc
        if self._beyond is not None:
            self._beyond.transport.close()

    # -- httptools

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._host = b"", ""

    def on_url(self, url: bytes) -> None:
        """A piece of its path."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        if name.lower() == b"host":
            self._host = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Its head is there, so it is known where it goes."""
        self.questions.append((self._parser.get_method().decode("ascii"), self._host, self._url.decode("latin-1")))
        if not self.server.replays and self._beyond is None and self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(self._host))

    def on_message_complete(self) -> None:
        """It is there as a whole."""
        if self.server.replays:
            made = self.server.answer(self.questions.pop(0))
            self.transport.write(made.raw)
            if made.closes or not self._parser.should_keep_alive():
                self.transport.close()

    # -- passing on

    def _pass_on(self, data: bytes) -> None:
        if self._beyond is None:
            self._early.append(data)
        else:
            self._beyond.transport.write(data)

    async def _connect(self, host: str) -> None:
        name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdecimal() else (host, "", "80")
        try:
            _, beyond = await asyncio.get_running_loop().create_connection(lambda: _Beyond(self), name.strip("[]"), int(port))
        except OSError as error:
            self.server.faults.append(f"{host}: {error.strerror or error}")
            self.transport.close()
            return
        if self.transport.is_closing():  # the program left meanwhile
            beyond.transport.close()
            return
        self._beyond = beyond
        for data in self._early:
            beyond.transport.write(data)
        self._early.clear()


class _Beyond(asyncio.Protocol):
    """The connection to the real server, on behalf of one of the program's."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._raw = bytearray()
        self._parser = httptools.HttpResponseParser(self)
        self._ended = self._head = self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer."""
        self._line.transport.write(data)
        self._raw += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._ended:
                self._line.server.faults.append("a server speaks something else than HTTP/1.1")
        if self._ended:
            self._keep(closes=self._closes)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server ended it: an answer without a length ends here."""
        del exc
        if self._head and self._raw:
            self._keep(closes=True)
        self._line.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        if name.lower() == b"connection" and b"close" in value.lower():
            self._closes = True

    def on_headers_complete(self) -> None:
        """Its head is there; to HEAD that is all."""
        self._head = True
        if self._parser.get_status_code() < 200:  # an interim answer
            self._head = False
        elif self._line.questions and self._line.questions[0][0] == "HEAD":
            self._ended = True

    def on_message_complete(self) -> None:
        """It is there as a whole; only now the parser knows whether the connection stays."""
        self._ended = self._head
        self._closes = not self._parser.should_keep_alive()

    def _keep(self, *, closes: bool) -> None:
        if self._line.questions:
            self._line.server.keep(self._line.questions.pop(0), Answer(bytes(self._raw), closes))
        self._raw, self._ended, self._head, self._closes = bytearray(), False, False, False
        self._parser = httptools.HttpResponseParser(self)
