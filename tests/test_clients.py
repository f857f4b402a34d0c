"""Every client of the registry, on every loop that is its own, against a real server on loopback."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trustme
from lab_parts import ca_file, serving

from loopdiag.errors import InputError, Unavailable
from loopdiag.lab.clients import ASYNCIO, CLIENTS, Answer, Client, ClientOptions, error_kind, loops_of
from loopdiag.lab.loops import LOOPS, cpu_clock, loop_clock
from loopdiag.lab.loops.virtual import EPOCH_NS, VirtualTimeLoop
from loopdiag.lab.workload import Outcome, Work
from loopdiag.model.scenario import Fake, Pool, Service, Workload

REAL = [(client, loop) for client in CLIENTS if client != "fake" for loop in sorted(loops_of(CLIENTS[client]) & ASYNCIO)]
real = pytest.mark.parametrize(("client", "loop"), REAL)


def use(client: str, loop: str, options: ClientOptions, body: Callable[[Client], Awaitable[Any]]) -> Any:
    """Open a client on a loop, run `body` with it, close it."""

    async def main() -> Any:
        opened = CLIENTS[client]()
        await opened.open(options)
        try:
            return await body(opened)
        finally:
            await opened.close()

    with asyncio.Runner(loop_factory=LOOPS[loop].loop_factory) as runner:
        return runner.run(main())


def outcome(client: str, loop: str, options: ClientOptions, urls: list[str], workload: Workload | None = None) -> Outcome:
    """Run a workload with a client."""

    def body(opened: Client) -> Awaitable[Outcome]:
        clock = loop_clock(asyncio.get_running_loop())
        return Work(opened, urls, workload or Workload(), clock=clock, arrivals=Random(1), marks=None).run()

    return use(client, loop, options, body)


@real
def test_bodies_are_read_whole_and_kept_in_order(client: str, loop: str) -> None:
    # A client reads each body whole, decompressed, and the workload keeps it in its request's place.
    with serving() as server:
        ran = outcome(client, loop, ClientOptions(), [f"{server.url}/{'gzip' if i % 2 else 'plain'}/{i}" for i in range(20)])
    assert [str(i).encode() in (body or b"") for i, body in enumerate(ran.bodies)] == [True] * 20
    assert ran.errors == {}
    assert ran.t1_ns > ran.t0_ns
    assert all("gzip" in headers["accept-encoding"] for headers in server.headers)


@real
def test_the_pool_limit_is_honoured_and_connections_are_reused(client: str, loop: str) -> None:
    # With a limit of 3, no more than 3 connections are ever open, and 30 requests need no more than a few; tornado keeps none.
    with serving() as server:
        outcome(client, loop, ClientOptions(pool=Pool(limit=3, keepalive=None)), [f"{server.url}/{i}" for i in range(30)])
    assert server.open_at_most <= 3
    assert sum(server.paths.values()) == 30
    assert server.connections == 30 if client == "tornado" else server.connections <= 6


@real
def test_no_limit_means_a_connection_for_each_request_at_once(client: str, loop: str) -> None:
    # 0 removes the limit: more than the library's default of 100 are open at once, or the server would never answer.
    with serving() as server:
        ran = outcome(
            client,
            loop,
            ClientOptions(pool=Pool(limit=0, limit_per_host=0, keepalive=0, keepalive_s=0)),
            [f"{server.url}/together/105"] * 105,
        )
    assert server.open_at_most == 105
    assert ran.errors == {}


@real
def test_tls_is_verified(client: str, loop: str, tmp_path: Path) -> None:
    # The right CA is accepted, a wrong one refused, and the refusal is told as `tls`.
    wrong = tmp_path / "wrong.pem"
    trustme.CA().cert_pem.write_to_path(wrong)
    with serving(tls=True) as server:
        good = outcome(client, loop, ClientOptions(ca_file=ca_file(server, tmp_path)), [f"{server.url}/1"])
        bad = outcome(client, loop, ClientOptions(ca_file=str(wrong)), [f"{server.url}/1"])
    assert good.errors == {}
    assert bad.errors == {"tls": 1}


@real
@pytest.mark.parametrize(
    ("path", "kind"), [("slow", "timeout"), ("reset", "reset"), ("503", "status-5xx"), ("404", "status-4xx"), ("text", "decode")]
)
def test_failures_are_counted_by_kind(client: str, loop: str, path: str, kind: str) -> None:
    # A failed request is counted by its kind and does not disturb the others.
    work = Workload(decode="json", decode_when="inside")
    others = 0 if kind == "timeout" else 3
    with serving() as server:
        options = ClientOptions(timeout_s=60 if others else 0.3)
        ran = outcome(client, loop, options, [f"{server.url}/{path}", *[f"{server.url}/{i}" for i in range(others)]], work)
    assert ran.errors == {kind: 1}
    assert [body is not None for body in ran.bodies] == [False] + [True] * others


@real
def test_a_refused_connection_is_kind_connect(client: str, loop: str) -> None:
    # Nobody listens: kind `connect`.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        ran = outcome(client, loop, ClientOptions(), [f"http://127.0.0.1:{bound.getsockname()[1]}/"])
    assert ran.errors == {"connect": 1}


@real
def test_nothing_is_taken_from_the_environment(client: str, loop: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Neither proxies nor credentials of the environment are used; a live target is told who asks, an embedded one what the library says.
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving() as server:
        assert outcome(client, loop, ClientOptions(user_agent="loopdiag/1.2.3"), [f"{server.url}/1"]).errors == {}
        assert outcome(client, loop, ClientOptions(), [f"{server.url}/1"]).errors == {}
    assert all("authorization" not in headers for headers in server.headers)
    assert server.headers[0]["user-agent"] == "loopdiag/1.2.3"
    assert client in server.headers[1]["user-agent"].lower()


@pytest.mark.parametrize("name", list(CLIENTS))
def test_every_client_tells_its_versions_and_whether_it_is_there(name: str) -> None:
    # An installed client is available and names the version of each library that does the work.
    why = CLIENTS[name].available()
    if why is not None and name == "node-fetch":
        pytest.skip(f"{why}; no extra brings Node")
    assert why is None
    assert all(version[0].isdigit() for version in CLIENTS[name].versions().values())


@pytest.mark.parametrize(
    ("client", "options", "word"),
    [
        ("aiohttp", ClientOptions(http="2"), "HTTP/1.1 only"),
        ("aiohttp", ClientOptions(pool=Pool(keepalive=20)), "pool.keepalive"),
        ("tornado", ClientOptions(http="2"), "HTTP/1.1 only"),
        ("tornado", ClientOptions(pool=Pool(keepalive=20)), "pool.keepalive"),
        ("fake", ClientOptions(service=Service(law="table", table="x")), "service.law"),
        ("fake", ClientOptions(service=Service(concurrency=3)), "service.concurrency"),
        ("fake", ClientOptions(service=Service(accept_ms=3)), "service.accept_ms"),
    ],
)
def test_what_a_client_cannot_do_is_said(client: str, options: ClientOptions, word: str) -> None:
    # An option that a client has no means for is refused in one line, never ignored.
    with pytest.raises(Unavailable, match=word):
        use(client, "asyncio", options, lambda opened: opened.fetch("http://127.0.0.1/"))


@pytest.mark.parametrize(
    ("client", "options", "word"),
    [
        ("httpx.get", ClientOptions(http="2"), "HTTP/1.1 only"),
        ("httpx.get", ClientOptions(pool=Pool(limit=5)), "no pool"),
        ("twisted", ClientOptions(http="2"), "HTTP/1.1 only"),
        ("twisted", ClientOptions(pool=Pool(limit=3)), "idle connections only"),
    ],
)
def test_what_a_client_elsewhere_cannot_do_is_said(client: str, options: ClientOptions, word: str) -> None:
    # The same of clients that no loop of asyncio's runs.
    opened: Any = CLIENTS[client]()
    with pytest.raises(Unavailable, match=word):
        opened.open(options) if client == "httpx.get" else opened.open(options).send(
            None
        )  # twisted's is a coroutine, which gets no further


def test_the_fake_client_times_out_and_honours_its_limit() -> None:
    # The fake client fails by the same rules: slower than the time-out is `timeout`, and no more than `limit` connections are opened.
    options = ClientOptions(service=Service(mean_ms=50), timeout_s=0.01, fake=Fake(cpu_us=1))
    assert outcome("fake", "virtual", options, ["/"] * 4).errors == {"timeout": 4}
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:

        async def main() -> int:
            client = CLIENTS["fake"]()
            await client.open(ClientOptions(service=Service(mean_ms=50), pool=Pool(limit=3)))
            await asyncio.gather(*(client.fetch("/") for _ in range(10)))
            return client.connections_opened  # type: ignore[attr-defined] # only the fake client counts

        assert runner.run(main()) == 3


def test_unknown_names_say_what_is_known() -> None:
    # A misspelt client or loop is answered with the nearest name.
    with pytest.raises(InputError, match="did you mean 'aiohttp'"):
        CLIENTS["aiohtp"]
    with pytest.raises(InputError, match="did you mean 'uvloop'"):
        LOOPS["uvlop"]


@pytest.mark.parametrize(
    ("name", "module"), [("asyncio", "asyncio.unix_events"), ("uvloop", "uvloop"), ("virtual", "loopdiag.lab.loops.virtual")]
)
def test_the_loop_is_really_the_one_used(name: str, module: str) -> None:
    # A loop's factory makes a loop of that library, with its clocks; only virtual time has clocks of its own.
    assert LOOPS[name].available() is None

    async def main() -> tuple[str, int, int]:
        loop = asyncio.get_running_loop()
        return type(loop).__module__, loop_clock(loop)(), cpu_clock(loop)()

    with asyncio.Runner(loop_factory=LOOPS[name].loop_factory) as runner:
        used, now, spent = runner.run(main())
    assert used == module
    assert (now == EPOCH_NS and spent == 0) is LOOPS[name].virtual


def test_virtual_time_stands_still_rather_than_wait() -> None:
    # A program that waits for what can never come is told so instead of hanging.
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualTimeLoop()
    with pytest.raises(RuntimeError, match="stands still"):
        loop.run_until_complete(main())
    loop.close()


def linked(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EMFILE, "too many"), "descriptors"),
        (linked(RuntimeError("wrapped"), OSError(errno.EMFILE, "too many")), "descriptors"),
        (linked(OSError("all attempts"), ExceptionGroup("two", [OSError(errno.ENFILE, "x"), OSError("y")])), "descriptors"),
        (linked(RuntimeError("wrapped"), ssl.SSLCertVerificationError("bad")), "tls"),
        (TimeoutError(), "timeout"),
        (socket.gaierror(-2, "unknown"), "connect"),
        (ConnectionRefusedError(), "connect"),
        (BrokenPipeError(), "reset"),
        (KeyError("x"), "named"),
        (ValueError("x"), "ValueError"),
    ],
)
def test_kinds_come_from_the_system_first_and_the_library_next(error: BaseException, kind: str) -> None:
    # What the system said anywhere down the chain goes before the library's wrapping; what nobody names keeps its class.
    assert error_kind(error, {"LookupError": "named"}) == kind


def test_answers_are_plain() -> None:
    # An answer is a status and a body, and no time to wait for.
    assert Answer(200, b"x") == (200, b"x", 0.0)
