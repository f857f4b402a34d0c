"""The null server: what it passes on it knows, and gives again by itself."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from exec_parts import job, python, script
from knob_parts import counting
from msgspec.structs import replace

from loopdiag.errors import LoopdiagError
from loopdiag.lab.program_null import filled
from loopdiag.lab.program_trial import ProgramBench
from loopdiag.lab.servers.null import Answer, NullServer
from loopdiag.model.scenario import Knobs, Sweep

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


def asked(server: NullServer, request: bytes, count: int = 1) -> bytes:
    """What it sends until it ends the connection, or so many answers' ends were seen."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(request * count)
        got = b""
        while got.count(b"[1,2,3]") < count and (piece := line.recv(65536)):
            got += piece
        return got


@pytest.mark.parametrize("name", CLIENTS)
def test_a_program_behind_it(name: str, tmp_path: Path) -> None:
    # the server is asked once for each request of one run, and the program's trials print what they print without it
    bench = ProgramBench()
    try:
        with counting() as server:
            argv = python(script(tmp_path, CLIENTS[name]), "{n}", server.url)
            folder = tmp_path / "run" / "trials" / "one"
            folder.mkdir(parents=True)
            made = job(folder, argv, n=3, tier="bare", knobs=Knobs(null_server=True))
            results = [bench.run(made, folder) for _ in range(2)]
            assert server.requests == 3
    finally:
        bench.close()
    assert [(each.status, each.why) for each in results] == [("ok", None)] * 2
    assert results[0].knobs_acted["null_server"] >= 1
    assert (folder / "program.out").read_text(encoding="utf-8") == "[1, 2, 3]\n" * 3
    assert {path.name for path in (tmp_path / "run" / "null-server").iterdir()} == {"answers.json", "program.out"}


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
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
            line.sendall(request)
            assert b"".join(iter(lambda: line.recv(65536), b"")) == answer  # to the end, which comes when all is known
        server.replay(tmp_path / "answers.json")
        assert server.answers[method, host, "/"] == Answer(answer, closes)
        assert server.faults == []


def test_requests_that_differ_from_run_to_run(tmp_path: Path) -> None:
    # a trial in which the program asks what it did not ask before is no measurement, however the program takes the refusals
    text = "import os, requests, sys\nfor i in range(int(sys.argv[1])):\n    requests.get(f'{sys.argv[2]}{os.getpid()}/{i}')"
    bench, folder = ProgramBench(), tmp_path / "run" / "trials" / "one"
    folder.mkdir(parents=True)
    try:
        with counting() as server:
            made = job(folder, python(script(tmp_path, text), "{n}", server.url), n=3, tier="bare", knobs=Knobs(null_server=True))
            results = [bench.run(made, folder) for _ in range(2)]
    finally:
        bench.close()
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


def test_answers_are_told_apart(tmp_path: Path) -> None:
    # by method, host and path; a path whose query is new gets the answer to another query; what is unknown is a 502, and counted
    with null() as server:
        for path, body in (("/a", b"A"), ("/b?x=1", b"B")):
            server.keep(("GET", "h", path), Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + body + b"[1,2,3]", closes=False))
        server.keep(("GET", "h", "/a"), Answer(b"never", closes=False))
        server.replay(tmp_path / "answers.json")
        assert asked(server, b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 3).count(b"A[1,2,3]") == 3
        assert asked(server, b"GET /b?x=2 HTTP/1.1\r\nHost: h\r\n\r\n").endswith(b"B[1,2,3]")
        assert server.missed == 0
        unknown = b"GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        assert asked(server, unknown).startswith(b"HTTP/1.1 502")
        assert asked(server, unknown.replace(b"GET", b"POST")).startswith(b"HTTP/1.1 502")
        assert server.missed == 2


def test_what_it_cannot_pass_on_is_told(tmp_path: Path) -> None:
    # a server that is not there, and bytes that are no HTTP, make it useless, and it says so
    with null() as server:
        assert asked(server, b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n") == b""
        assert asked(server, b"hello\r\n\r\n") == b""
        assert server.faults[0].startswith("127.0.0.1:1: ")
        assert server.faults[1] == "the program speaks something else than HTTP/1.1"
        with pytest.raises(LoopdiagError, match=r"127\.0\.0\.1:1"):
            server.replay(tmp_path / "answers.json")
