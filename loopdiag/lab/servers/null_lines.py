"""The connections of a program to its null server: while it is filled each has one to the real server behind it, afterwards none has."""

import asyncio
from abc import ABC, abstractmethod
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

import httptools

from loopdiag.lab.servers.null_answers import CONTINUE, EXPECTS, Question, Slot

if TYPE_CHECKING:
    from loopdiag.lab.servers.null import NullServer

TLS = b"\x16"  # how a handshake begins
DIGEST_BYTES = 16


class Line(asyncio.Protocol, ABC):
    """One connection of the program's; reads its requests."""

    def __init__(self, server: "NullServer") -> None:
        self.server = server
        self.parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast("asyncio.Transport", transport)
        self.server.open.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        del exc
        self.server.open.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        """A piece of a request."""
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            tls = data[:1] == TLS
            self.unread("the program speaks TLS, which is not replayed" if tls else "the program speaks something else than HTTP/1.1")
            self.transport.close()

    @abstractmethod
    def unread(self, why: str) -> None:
        """It has what is no request."""

    def question(self, rest: str | None = None) -> Question:
        """What is asked; `rest`: in the place of what came of the body."""
        if rest is None:
            rest = "" if self._digest is None else self._digest.hexdigest()
        return Question(self.parser.get_method().decode("ascii"), self.host, self._url.decode("latin-1"), rest)

    # -- httptools

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self.host, self.expects = b"", "", False
        self._digest: blake2b | None = None

    def on_url(self, url: bytes) -> None:
        """A piece of its path."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        name = name.lower()
        if name == b"host":
            self.host = value.decode("latin-1")
        elif name == b"expect":
            self.expects = value.lower() == b"100-continue" and self.parser.get_http_version() != "1.0"
        elif name == b"range":
            self.on_body(b"range: " + value + b"\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of its body, whose chunks make no difference."""
        if self._digest is None:
            self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._digest.update(body)


class Replaying(Line):
    """Answers at once."""

    def __init__(self, server: "NullServer") -> None:
        super().__init__(server)
        self._trial = server.trial  # what an earlier trial left does not count in a later one
        self._answered = self._closes = False

    def unread(self, why: str) -> None:
        """It had none while the null server was filled."""
        del why
        self._trial.missed += 1

    def on_headers_complete(self) -> None:
        """Its head is there; a program that waits to send the body hears whether it shall."""
        self._answered = self._closes = False
        if self.expects:
            self._answered = self._answer(EXPECTS)
            if self._closes:
                self.transport.write_eof()  # and no close yet: that would take the answer from who still sends

    def on_message_complete(self) -> None:
        """It is there as a whole."""
        if not self._answered:
            self._answer()
        if self._closes or not self.parser.should_keep_alive():
            self.transport.close()

    def _answer(self, rest: str | None = None) -> bool:
        """Whether it was the last word."""
        made = self._trial.answer(self.question(rest))
        self.transport.write(made.head + made.body)
        self._closes = made.closes
        return made is not CONTINUE


class Passing(Line):
    """Passes requests on, and keeps what comes back."""

    def __init__(self, server: "NullServer") -> None:
        super().__init__(server)
        self.awaits = False  # an answer
        self.method = ""
        self._slot = Slot()
        self._first: Slot | None = None  # of whether the body is wanted
        self._to = ""  # where it goes
        self._early: list[bytes] = []
        self._beyond: _Beyond | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; so is what is behind it."""
        super().connection_lost(exc)
        if self._beyond is not None:
            self._beyond.transport.close()

    def data_received(self, data: bytes) -> None:
        """A piece of a request."""
        if self._beyond is None:
            self._early.append(data)
        else:
            self._beyond.transport.write(data)
        super().data_received(data)

    def pause_writing(self) -> None:
        """The program does not read."""
        if self._beyond is not None:
            self._beyond.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._beyond is not None:
            self._beyond.transport.resume_reading()

    def unread(self, why: str) -> None:
        """Then it cannot be replayed."""
        self.server.fault(why)

    def on_headers_complete(self) -> None:
        """Its head is there, so it is known where it goes."""
        if self.awaits:
            self.server.fault("the program asks on one connection before it is answered there, which is not replayed")
        if self._connecting is None:
            self._to = self.host
            self.transport.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(self.host))
        elif self.host != self._to:
            self.server.fault(f"the program asks {self._to} and {self.host} on one connection, which is not replayed")
        self.awaits, self.method = True, self.question().method
        self._slot, self._first = Slot(), Slot() if self.expects else None
        if self._first is not None:
            self.server.answers.asked(self.question(EXPECTS), self._first)

    def on_message_complete(self) -> None:
        """It is there as a whole, in its turn."""
        if self._first is not None and self._first.answer is not None:
            return  # it was answered without its body
        if self._first is not None:
            self._first.answer = CONTINUE
        self.server.answers.asked(self.question(), self._slot)

    def answered(self, raw: bytes, *, closes: bool) -> None:
        """Its answer is there."""
        if not self.awaits:
            return  # nobody asked: a server that takes its leave
        self.awaits = False
        while self._first is not None and raw.startswith(b"HTTP/1.1 100"):
            raw = raw.partition(b"\r\n\r\n")[2]
        self._slot.answer = self.server.answers.made(raw, closes=closes)
        if self._first is not None and self._first.answer is None:
            self._first.answer = self._slot.answer

    async def _connect(self, host: str) -> None:
        name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdecimal() else (host, "", "80")
        try:
            _, beyond = await asyncio.get_running_loop().create_connection(lambda: _Beyond(self), name.strip("[]"), int(port))
        except OSError as error:
            self.server.fault(f"{host}: {error.strerror or error}")
            self.transport.close()
            return
        if self.transport.is_closing():  # the program left meanwhile
            beyond.transport.close()
            return
        self._beyond = beyond
        self.transport.resume_reading()
        for data in self._early:
            beyond.transport.write(data)
        self._early.clear()


class _Beyond(asyncio.Protocol):
    """The connection to the real server, on behalf of one of the program's."""

    def __init__(self, line: Passing) -> None:
        self._line, self._server = line, line.server
        self._begin()

    def _begin(self) -> None:
        self._raw, self._connection = bytearray(), b""
        self._ended = self._head = self._closes = False
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast("asyncio.Transport", transport)
        self._server.open.add(self.transport)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer, which is kept before the program has it: it may end with it."""
        if self._server.answers.room(len(data)):
            self._raw += data
        else:
            self._server.full()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._ended:
                self._server.fault("a server speaks something else than HTTP/1.1")
        if self._ended:
            self._keep(closes=self._closes)
        self._line.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server ended it: an answer without a length ends here."""
        del exc
        if self._head and self._raw:
            self._keep(closes=True)
        self._line.transport.close()
        self._server.open.discard(self.transport)

    def pause_writing(self) -> None:
        """The server does not read."""
        self._line.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._line.transport.resume_reading()

    def _keep(self, *, closes: bool) -> None:
        self._line.answered(bytes(self._raw), closes=closes)
        self._begin()

    # -- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        if name.lower() == b"connection":
            self._connection = value.lower()

    def on_headers_complete(self) -> None:
        """Its head is there; to HEAD that is all, and no body shows whether the connection stays."""
        self._head = self._parser.get_status_code() >= 200  # else it is an interim answer
        if self._head and self._line.method == "HEAD":
            stays = b"keep-alive" in self._connection if self._parser.get_http_version() == "1.0" else b"close" not in self._connection
            self._ended, self._closes = True, not stays

    def on_message_complete(self) -> None:
        """It is there as a whole; only now the parser knows whether the connection stays."""
        self._ended = self._head
        self._closes = not self._parser.should_keep_alive()
