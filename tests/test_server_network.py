"""What the embedded target plays of networks and old addresses: redirects, a short listening queue, and an IPv6 address that is silent."""

import select
import socket
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from server_parts import READ_TIMEOUT_S, Line, client, on_uvloop, port_of, scenario, serving

from loopdiag.errors import InputError
from loopdiag.lab.scenario_file import parse_scenario
from loopdiag.lab.servers.listening import open_sockets
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.servers.redirects import Redirects
from loopdiag.model.scenario import Service

CONNECT_S = 0.2  # on loopback a SYN is answered within microseconds, or lost


# -- redirects


@pytest.mark.parametrize(
    ("hops", "url", "path", "location"),
    [
        (0, b"/7", b"/7", b""),
        (2, b"/7", b"/7", b"/-/1/7"),
        (2, b"/-/1/7?a=b", b"/7?a=b", b"/-/2/7?a=b"),
        (2, b"/-/2/7", b"/7", b""),
        (2, b"/-/9/7", b"/7", b""),  # further than it was sent
        (0, b"/-/1/7", b"/-/1/7", b""),  # an address of the scenario's own
    ],
)
def test_addresses_count_their_hops(hops: int, url: bytes, path: bytes, location: bytes) -> None:
    # an address says how often it was sent on, and the last one is answered
    assert Redirects(hops).follow(url) == (path, location)


@on_uvloop
async def test_each_hop_is_one_answer() -> None:
    # 302 with the next address and no body, on a connection that stays open
    async with serving(service=Service(redirects=1)) as (port, _), Line(port) as line:
        line.writer.write(b"GET /3 HTTP/1.1\r\nhost: x\r\n\r\n")
        status, fields, body = await line.answer()
        assert (status, fields["location"], body) == (302, "/-/1/3", b"")
        line.writer.write(b"GET /-/1/3 HTTP/1.1\r\nhost: x\r\n\r\n")
        status, fields, body = await line.answer()
        assert (status, "location" in fields, bool(body)) == (200, False, True)


def test_a_client_follows_to_the_end(tmp_path: Path) -> None:
    # every hop takes the think time, and stands in the account under the request's own number
    with TargetServer.start(scenario(service=Service(redirects=3, mean_ms=20))) as server:
        with client(server, follow_redirects=True) as asking:
            answer = asking.get("/5")
        account = server.collect(tmp_path)
    assert [hop.status_code for hop in answer.history] == [302, 302, 302]
    assert (answer.status_code, account.requests, account.answered, account.connections_opened) == (200, 4, 4, 1)
    rows = np.load(tmp_path / "server_requests.npy")
    assert set(rows["request"].tolist()) == {5}
    assert (rows["ended_ns"] - rows["received_ns"] >= 20_000_000).all()


def test_what_is_not_there_is_not_redirected() -> None:
    # an unknown address is told at once
    with TargetServer.start(scenario(service=Service(redirects=3))) as server, client(server) as asking:
        assert asking.get("/nowhere").status_code == 404


# -- the listening queue


def test_a_full_queue_loses_connections() -> None:
    # one more than it holds is queued by the kernel; the next one's SYN is lost
    (listening,) = open_sockets(0, 2, ipv6=False)
    address = listening.getsockname()
    queued = [socket.create_connection(address, CONNECT_S) for _ in range(3)]
    try:
        with pytest.raises(TimeoutError):
            socket.create_connection(address, CONNECT_S)
    finally:
        for each in (*queued, listening):
            each.close()


def test_a_late_server_with_a_short_queue_serves_everybody_in_the_end() -> None:
    # who was lost comes again after a second
    with TargetServer.start(scenario(service=Service(backlog=1, accept_ms=100))) as server:
        begun = time.monotonic()
        sockets = [socket.socket() for _ in range(4)]
        for each in sockets:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port_of(server)))
        for each in sockets:
            assert select.select([], [each], [], READ_TIMEOUT_S)[1]
            each.settimeout(READ_TIMEOUT_S)
            each.sendall(b"GET /1 HTTP/1.0\r\n\r\n")
            assert each.recv(12).startswith(b"HTTP/1.1 200")
            each.close()
    assert time.monotonic() - begun >= 0.9


# -- IPv6


def test_a_silent_address_hears_no_syn() -> None:
    # ::1 answers nothing, neither yes nor no; 127.0.0.1 serves
    with TargetServer.start(scenario(service=Service(ipv6="silent"))) as server:
        port = port_of(server)
        with pytest.raises(TimeoutError):
            socket.create_connection(("::1", port), CONNECT_S)
        assert httpx.get(f"http://127.0.0.1:{port}/1", trust_env=False).status_code == 200


# -- rules


@pytest.mark.parametrize(
    ("key", "front"),
    [("redirects = 2", "fake"), ("backlog = 4", "fake"), ("redirects = 2", "http2"), ("backlog = 4", "http2")],
)
def test_what_cannot_be_played_is_refused(key: str, front: str, tmp_path: Path) -> None:
    # the fake client has no network, and the front for HTTP/2 has neither
    text = {
        "fake": f'arms = ["fake/virtual"]\n[target.service]\n{key}\n',
        "http2": f'arms = ["httpx/asyncio"]\n[target]\nhttp = "2"\n[target.service]\n{key}\n',
    }[front]
    with pytest.raises(InputError, match=f"target.service.{key.split(maxsplit=1)[0]}: "):
        parse_scenario(text, source="x.toml", folder=tmp_path, default_name="x")
