"""The null server: what it passes on it knows, and gives again by itself."""

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
from exec_parts import job, python, script
from knob_parts import counting
from msgspec.structs import replace

from loopdiag.errors import LoopdiagError
from loopdiag.lab.program_null import filled
from loopdiag.lab.program_trial import ProgramBench
from loopdiag.lab.servers import null as null_module
from loopdiag.lab.servers import null_answers
from loopdiag.lab.servers.null import NullServer
from loopdiag.lab.servers.null_answers import Answer, Question
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Knobs, Sweep

LIMIT_S = 60
CLIENTS = {
    "aiohttp": "import asyncio, sys, aiohttp\nasync def main():\n    async with aiohttp.ClientSession() as s:\n        for i in range(int(sys.argv[1])):\n"
    "            async with s.get(f'{sys.argv[2]}{i}') as a:\n                print(await a.json())\nasyncio.run(main())",
    "httpx-uvloop": "import uvloop, sys, httpx\nasync def main():\n    async with httpx.AsyncClient() as s:\n        for i in range(int(sys.argv[1])):\n"
    "            print((await s.get(f'{sys.argv[2]}{i}')).json())\nuvloop.run(main())",
    "requests": "import sys, requests\nfor i in range(int(sys.argv[1])):\n    print(requests.get(f'{sys.argv[2]}{i}').json())",
}


@contextmanager
def null() -> Iterator[NullServer]:
    """A null server."""
    server = NullServer()
    try:
        yield server
    finally:
        server.stop()


class Asked(NamedTuple):
    """What a server is asked."""

    method: str
    path: str
    body: bytes
    range: str | None


class Serving(socketserver.ThreadingTCPServer):
    """A server that answers as it is told.

    Attributes:
        answer: of a request: all its bytes.
        refusal: in the place of 100 Continue; b"": there is none.
        requests: that were answered.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[Asked], bytes], refusal: Callable[[], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.refusal, self.requests = answer, refusal, 0
        self.host = f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One of its connections."""

    server: Serving
    protocol_version = "HTTP/1.1"
    timeout = LIMIT_S

    def do_GET(self) -> None:
        """Answer."""
        raw = self.server.answer(Asked(self.command, self.path, self._body(), self.headers["Range"]))
        self.server.requests += 1
        self.wfile.write(raw)

    do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

    def handle_expect_100(self) -> bool:
        """Whether the body is wanted."""
        if refusal := self.server.refusal():
            self.wfile.write(refusal)
            self.close_connection = True
            return False
        return super().handle_expect_100()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


@contextmanager
def serving(answer: Callable[[Asked], bytes], refusal: Callable[[], bytes] = lambda: b"") -> Iterator[Serving]:
    """Such a server in a thread."""
    with Serving(answer, refusal) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def said(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    """An answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


class Line:
    """A program's connection to the null server."""

    def __init__(self, server: NullServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send something."""
        self._socket.sendall(data)

    def read(self) -> bytes:
        """An answer; b"": the connection ended."""
        lines = []
        while (line := self._file.readline()) not in {b"", b"\r\n"}:
            lines.append(line)
        head = b"".join([*lines, line])
        length = [each.split(b":")[1] for each in lines if each.lower().startswith(b"content-length")]
        return head + self._file.read(int(length[0]) if length else 0)

    def exactly(self, size: int) -> bytes:
        """So many bytes; -1: all to the end."""
        return self._file.read(size)

    def ask(self, host: str, path: str = "/", *, method: str = "GET", body: bytes = b"", more: str = "") -> bytes:
        """What is answered to one request."""
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {host}",
            *([f"Content-Length: {len(body)}"] if body else []),
            *([more] if more else []),
        ]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)
        return self.read()


def trials(folder: Path, text: str, url: str, *, n: int) -> tuple[list[TrialResult], str]:
    """Two trials of a program before the null server, and what the second one printed."""
    bench, place = ProgramBench(), folder / "run" / "trials" / "one"
    place.mkdir(parents=True)
    try:
        made = job(place, python(script(folder, text), "{n}", url), n=n, tier="bare", knobs=Knobs(null_server=True))
        results = [bench.run(made, place) for _ in range(2)]
    finally:
        bench.close()
    out = place / "program.out"
    return results, out.read_text(encoding="utf-8") if out.exists() else ""


@pytest.mark.parametrize("name", CLIENTS)
def test_a_program_behind_it(name: str, tmp_path: Path) -> None:
    # the server is asked once for each request of one run, and the program's trials print what they print without it
    with counting() as server:
        results, out = trials(tmp_path, CLIENTS[name], server.url, n=3)
        assert server.requests == 3
    assert [(each.status, each.why) for each in results] == [("ok", None)] * 2
    assert results[0].knobs_acted["null_server"] >= 1
    assert out == "[1, 2, 3]\n" * 3
    assert {path.name for path in (tmp_path / "run" / "null-server").iterdir()} == {"answers.json", "program.out"}


AGAIN = """
    import sys, requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(2, status_forcelist=[503], backoff_factor=0)))
    for i in range(int(sys.argv[1])):
        print(session.get(f"{sys.argv[2]}{i}").text)
"""
BODIES = """
    import asyncio, sys, aiohttp

    async def main():
        async with aiohttp.ClientSession() as session:
            for i in range(int(sys.argv[1])):
                async with session.post(sys.argv[2], data=f"body {i}", expect100=True) as answer:
                    print(await answer.text())

    asyncio.run(main())
"""


def test_a_program_that_asks_again(tmp_path: Path) -> None:
    # what was refused and then answered is refused and then answered again, in each trial anew
    seen = set[str]()

    def answer(asked: Asked) -> bytes:
        if asked.path in seen:
            return said(b"got it")
        seen.add(asked.path)
        return said(b"later", "503 Service Unavailable")

    with serving(answer) as server:
        results, out = trials(tmp_path, AGAIN, f"http://{server.host}/", n=3)
        assert server.requests == 6
    assert [(each.status, each.why) for each in results] == [("ok", None)] * 2
    assert out == "got it\n" * 3


def test_a_program_that_waits_to_send_its_bodies(tmp_path: Path) -> None:
    # it is told to go on, and each of its bodies gets the answer that it got from the server
    with serving(lambda asked: said(b"to " + asked.body)) as server:
        results, out = trials(tmp_path, BODIES, f"http://{server.host}/", n=3)
        assert server.requests == 3
    assert [(each.status, each.why) for each in results] == [("ok", None)] * 2
    assert out == "to body 0\nto body 1\nto body 2\n"


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """A server that gives one answer and ends its connection; its host."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(65536)
                line.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join(10)


BODY = b"Content-Length: 7\r\n\r\n[1,2,3]"


@pytest.mark.parametrize(
    ("method", "answer", "closes"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\n" + BODY, False),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n[1,2,3]\r\n0\r\n\r\n", False),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", False),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", False),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", False),
        ("HEAD", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", False),
        ("HEAD", b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n", True),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", False),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + BODY, False),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + BODY, False),
        ("GET", b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + BODY, True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", True),
        ("GET", b"HTTP/1.0 200 OK\r\n" + BODY, True),
        ("GET", b"HTTP/1.1 200 OK\r\n\r\n[1,2,3]", True),
    ],
)
def test_a_connection_stays_where_its_server_kept_it(method: str, answer: bytes, closes: bool, tmp_path: Path) -> None:
    # the program opens as many connections to it as it opened to the server itself
    with null() as server, saying(answer) as host:
        request = f"{method} / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        with Line(server) as line:
            line.send(request)
            assert line.exactly(-1) == answer  # to the end, which comes when all is known
        server.replay(tmp_path / "answers.json")
        with Line(server) as line:
            for _ in range(1 if closes else 2):
                line.send(request)
                assert line.exactly(-1 if closes else len(answer)) == answer
        assert [each.closes for each in server.known[Question(method, host, "/")]] == [closes]
        assert (server.faults, server.missed) == ([], 0)


def test_requests_that_differ_from_run_to_run(tmp_path: Path) -> None:
    # a trial in which the program asks what it did not ask before is no measurement, however the program takes the refusals
    text = "import os, requests, sys\nfor i in range(int(sys.argv[1])):\n    requests.get(f'{sys.argv[2]}{os.getpid()}/{i}')"
    with counting() as server:
        results, _ = trials(tmp_path, text, server.url, n=3)
    assert [(each.status, each.why) for each in results] == [("failed", "the null server had no answer to 3 of the program's requests")] * 2


def test_it_is_filled_at_the_largest_n(tmp_path: Path) -> None:
    # the run that fills it has the largest N in its command line and in its environment, whatever trial asks for it first
    text = "import os, requests, sys\nfor i in range(int(os.environ['LOOPDIAG_N'])):\n    requests.get(f'{sys.argv[2]}{i}')"
    folder = tmp_path / "run" / "trials" / "one"
    folder.mkdir(parents=True)
    with counting() as server:
        made = job(folder, python(script(tmp_path, text), "{n}", server.url), n=1, knobs=Knobs(null_server=True))
        made = replace(made, scenario=replace(made.scenario, sweep=Sweep(n=(1, 4))))
        filled(made, folder).stop()
        assert server.requests == 4


def test_a_program_that_does_not_end_behind_it(tmp_path: Path) -> None:
    # it is stopped like any trial, and the reason has the limit
    folder = tmp_path / "run" / "trials" / "one"
    folder.mkdir(parents=True)
    made = job(folder, python("-c", "import time; time.sleep({n}00)"), timeout_s=0.5, knobs=Knobs(null_server=True))
    with pytest.raises(LoopdiagError, match=r"does not end within 0\.5 s"):
        filled(made, folder)


def test_a_program_that_cannot_be_answered_so(tmp_path: Path) -> None:
    # a program that makes no request, or fails behind the null server, has none, and the reason is one line
    folder = tmp_path / "run" / "trials" / "one"
    folder.mkdir(parents=True)
    with pytest.raises(LoopdiagError, match="the program sent it no request"):
        filled(job(folder, python("-c", "print({n})"), knobs=Knobs(null_server=True)), folder)
    text = (
        "import ssl, socket, sys\nssl.create_default_context().wrap_socket(socket.create_connection(('127.0.0.1', 1)), server_hostname='x')"
    )
    with pytest.raises(LoopdiagError, match="ends with 1: the program speaks TLS, which is not replayed"):
        filled(job(folder, python(script(tmp_path, text), "{n}"), knobs=Knobs(null_server=True)), folder)


def test_answers_come_in_their_order(tmp_path: Path) -> None:
    # the requests that are alike get their answers one after the other, then the last one, and a new trial begins with the first
    answers = [said(b"", "503 Service Unavailable"), said(b"", "429 Too Many Requests", "Retry-After: 1"), said(b"[1]")]
    with null() as server, serving(lambda _: next(left)) as target:
        left = iter(answers)
        with Line(server) as line:
            assert [line.ask(target.host) for _ in answers] == answers
        server.replay(tmp_path / "answers.json")
        for _ in range(2):
            server.begin()
            with Line(server) as line, Line(server) as other:
                assert [each.ask(target.host) for each in (line, other, line, other, line)] == [*answers, answers[-1], answers[-1]]
        assert (server.missed, target.requests) == (0, 3)


def test_the_order_is_that_of_the_requests(tmp_path: Path) -> None:
    # where several are under way, the first one asked for has the first one's answer, though it came last
    numbers, came, go = count(), threading.Event(), threading.Event()

    def answer(_: Asked) -> bytes:
        number = next(numbers)
        if number == 0:
            came.set()
            go.wait(LIMIT_S)
        return said(b"answer %d" % number)

    with null() as server, serving(answer) as target:
        with Line(server) as line, Line(server) as other:
            line.send(f"GET / HTTP/1.1\r\nHost: {target.host}\r\n\r\n".encode())
            assert came.wait(LIMIT_S)
            assert other.ask(target.host) == said(b"answer 1")
            go.set()
            assert line.read() == said(b"answer 0")
        server.replay(tmp_path / "answers.json")
        with Line(server) as line:
            assert [line.ask(target.host) for _ in range(2)] == [said(b"answer 0"), said(b"answer 1")]


def test_answers_are_told_apart(tmp_path: Path) -> None:
    # by method, path, query, body and range, however the body is cut; whatever was not asked is a 502, and counted
    chunked = "Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n2\r\nne\r\n0"
    requests: list[dict[str, Any]] = [
        {"path": "/a"},
        {"path": "/a?x=1"},
        {"path": "/a", "more": "Range: bytes=0-3"},
        {"path": "/a", "more": "Range: bytes=4-7"},
        {"path": "/a", "method": "POST", "body": b"one"},
        {"path": "/a", "method": "POST", "body": b"two"},
        {"path": "/a", "method": "PUT", "body": b"one"},
        {"path": "/a", "method": "POST", "more": "Transfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0"},
    ]
    with null() as server, serving(lambda asked: said(repr(asked).encode())) as target:
        with Line(server) as line:
            answers = [line.ask(target.host, **request) for request in requests]
        assert len(set(answers)) == len(requests)
        server.replay(tmp_path / "answers.json")
        with Line(server) as line:
            for request, answer in reversed(list(zip(requests, answers, strict=True))):
                assert line.ask(target.host, **request) == answer
            assert line.ask(target.host, "/a", method="POST", more=chunked) == answers[4]
            assert server.missed == 0
            assert line.ask(target.host, "/a?x=2").startswith(b"HTTP/1.1 502")
            assert line.ask("other", "/a").startswith(b"HTTP/1.1 502")
            assert line.ask(target.host, "/a", method="POST", body=b"four").startswith(b"HTTP/1.1 502")
            assert line.ask(target.host, "/a", more="Range: bytes=0-9").startswith(b"HTTP/1.1 502")
            assert server.missed == 4
        with Line(server) as line:
            line.send(b"hello\r\n\r\n")
            assert line.exactly(-1) == b""
        assert server.missed == 5


def test_who_waits_to_send_a_body(tmp_path: Path) -> None:
    # hears what the server said to that: no, and its last word; then to go on, and the answer to its body
    refused, ready = said(b"who?", "401 Unauthorized", "Connection: close"), b"HTTP/1.1 100 Continue\r\n\r\n"
    refusals = iter([refused, b""])
    with null() as server, serving(lambda asked: said(asked.body), lambda: next(refusals)) as target:

        def upload() -> None:
            head = f"POST / HTTP/1.1\r\nHost: {target.host}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode()
            with Line(server) as line:
                line.send(head)
                assert line.exactly(-1) == refused
            with Line(server) as line:
                line.send(head)
                assert line.exactly(len(ready)) == ready
                line.send(b"body")
                assert line.read() == said(b"body")

        upload()
        server.replay(tmp_path / "answers.json")
        upload()
        assert (server.missed, target.requests) == (0, 1)


@pytest.mark.parametrize("same", [True, False])
def test_answers_have_their_bounds(same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # equal bodies are held once, in the file as well, though their heads differ; more than fits makes it useless, and it says so
    monkeypatch.setattr(null_answers, "MOST_BYTES", 3 << 20)
    numbers = count()

    def answer(_: Asked) -> bytes:
        number = next(numbers)
        return said((b"0" if same else b"%d" % number) * (1 << 20), "200 OK", f"Number: {number}")

    with null() as server, serving(answer) as target:
        with Line(server) as line:
            for number in range(5):
                assert f"Number: {number}\r\n".encode() in line.ask(target.host)[:100]
        if same:
            server.replay(tmp_path / "answers.json")
            assert (tmp_path / "answers.json").stat().st_size < 2 << 20
        else:
            with pytest.raises(LoopdiagError, match=r"^the null server: the answers have more than 3 MiB$"):
                server.replay(tmp_path / "answers.json")


def test_what_is_known_is_kept_in_a_file(tmp_path: Path) -> None:
    # with the request that it belongs to, and readable
    with null() as server, serving(lambda _: said(b"[1]")) as target:
        with Line(server) as line:
            line.ask(target.host, "/a?b=1")
            line.ask(target.host, "/a?b=1")
        server.replay(tmp_path / "answers.json")
        kept = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
        head = {"head": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "closes": False, "number": 0}
        answers = [head | {"body": "WzFd"}, head]
        assert kept == [{"method": "GET", "host": target.host, "path": "/a?b=1", "rest": "", "answers": answers}]


def test_a_program_that_leaves_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what it had seen by then is known, and ends as it did, though its connection ends when the replay is about to begin
    monkeypatch.setattr(null_module, "SETTLE_S", LIMIT_S)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    with null() as server, serving(lambda _: head + b"[1,2") as target:
        begins = threading.Thread(target=server.replay, args=(tmp_path / "answers.json",))
        with Line(server) as line:
            line.send(f"GET / HTTP/1.1\r\nHost: {target.host}\r\n\r\n".encode())
            assert line.exactly(len(head) + 4) == head + b"[1,2"
            begins.start()
            begins.join(0.05)
        begins.join(LIMIT_S)
        assert server.known == {Question("GET", target.host, "/"): (Answer(head, b"[1,2", closes=True),)}


def test_a_server_that_takes_its_leave(tmp_path: Path) -> None:
    # what it says then is no answer to anything
    bye, heard = said(b"", "408 Request Timeout", "Connection: close"), threading.Event()
    with null() as server, socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(65536)
                line.sendall(said(b"[1]"))
                heard.wait(LIMIT_S)
                line.sendall(bye)

        thread = threading.Thread(target=serve)
        thread.start()
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        with Line(server) as line:
            assert line.ask(host) == said(b"[1]")
            heard.set()
            assert line.exactly(-1) == bye
        thread.join(LIMIT_S)
        server.replay(tmp_path / "answers.json")
        with Line(server) as line:
            assert [line.ask(host) for _ in range(2)] == [said(b"[1]")] * 2


def test_what_it_cannot_pass_on_is_told(tmp_path: Path) -> None:
    # a server that is not there, bytes that are no HTTP, and connections on which answers cannot be told apart make it useless, and it says so
    with null() as server, serving(lambda _: said(b"[1]")) as target, serving(lambda _: said(b"[2]")) as other, ExitStack() as stack:
        lines = [stack.enter_context(Line(server)) for _ in range(4)]
        assert lines[0].ask("127.0.0.1:1") == b""
        lines[1].send(b"hello\r\n\r\n")
        assert lines[1].exactly(-1) == b""
        lines[2].ask(target.host)
        lines[2].ask(other.host)
        lines[3].send(f"GET / HTTP/1.1\r\nHost: {target.host}\r\n\r\n".encode() * 2)
        assert lines[3].read()
        stack.close()
        refused, *faults = server.faults
        assert refused.startswith("127.0.0.1:1: ")
        assert faults == [
            "the program speaks something else than HTTP/1.1",
            f"the program asks {target.host} and {other.host} on one connection, which is not replayed",
            "the program asks on one connection before it is answered there, which is not replayed",
        ]
        with pytest.raises(LoopdiagError, match=r"127\.0\.0\.1:1"):
            server.replay(tmp_path / "answers.json")


def test_nobody_answers(tmp_path: Path) -> None:
    # a server that ends every connection without a word leaves nothing to replay
    with null() as server, saying(b"") as host:
        with Line(server) as line:
            assert line.ask(host) == b""
        with pytest.raises(LoopdiagError, match="no server answered the program"):
            server.replay(tmp_path / "answers.json")
