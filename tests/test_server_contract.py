"""What every front of the registry keeps: it answers, tells its true service time, stays on loopback, and is who it says it is."""

import ssl
import statistics
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from server_parts import client, port_of, scenario, stderr_of

from loopdiag.errors import InputError
from loopdiag.lab.servers import FRONT_OF, SERVERS
from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.limits import Limits
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.servers.witness import Witness
from loopdiag.model.scenario import Payload, Service

MS = 1_000_000
HTTP = {front: version for version, front in FRONT_OF.items()}
PLANTED_MS = 50.0
#: the median of what a request waited beyond its think time; half of it leaves room for any machine, and would show a doubled wait
TOLERANCE_MS = PLANTED_MS / 2


def test_every_version_has_its_front() -> None:
    # the registry and the scenario's `http` name the same fronts
    assert set(FRONT_OF.values()) == set(SERVERS)


@pytest.mark.parametrize("tls", ["off", "ecdsa-p256"])
@pytest.mark.parametrize("front", list(SERVERS))
def test_a_front_answers_and_tells_its_true_service_time(front: str, tls: str, tmp_path: Path) -> None:
    # every answer is right, on both addresses; each begin lies at least the planted think time after the receipt, and little more
    planned = scenario(
        n=20, http=HTTP[front], tls=tls, service=Service(law="normal", mean_ms=PLANTED_MS, sd_ms=10), payload=Payload(mean_bytes=700)
    )
    with TargetServer.start(planned) as server, client(server) as http:
        assert server.name == front
        for i in range(1, 21):
            answer = http.get(f"/{i}")
            assert (answer.status_code, len(answer.content)) == (200, 700)
            assert answer.http_version == f"HTTP/{HTTP[front]}"
        assert http.post("/1", content=b"x" * 100_000).status_code == 200
        assert http.head("/1").headers["content-length"] == "700"
        assert http.get("/nowhere").status_code == 404
        account = server.collect(tmp_path)
        listening = addresses(server.pid, port_of(server))
        assert stderr_of(server) == ""
    assert listening <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in listening
    assert (account.requests, account.answered, account.connections_opened) == (23, 23, 1)
    assert account.errors_by_status == {404: 1}
    rows = np.load(tmp_path / "server_requests.npy")
    served = rows[rows["status"] == 200]
    behaviour = Behaviour(planned)
    excess = [int(row["begun_ns"]) - int(row["received_ns"]) - behaviour.think_ns(int(row["request"])) for row in served]
    assert min(excess) >= 0
    assert statistics.median(excess) < TOLERANCE_MS * MS
    assert (rows["ended_ns"] >= rows["begun_ns"]).all()
    connections = np.load(tmp_path / "server_connections.npy")
    assert connections["requests"].tolist() == [23]
    if front == "http1":
        assert (connections["accepted_ns"] <= rows["received_ns"].min()).all()
        between = (connections["accepted_ns"] < connections["handshaken_ns"]) & (connections["handshaken_ns"] <= rows["received_ns"].min())
        assert between.all() == (tls != "off")


def addresses(pid: int, port: int) -> set[str]:
    """Local addresses on which a process's network listens at a port (0A: TCP_LISTEN)."""
    found = set()
    for table, names in (("tcp", {"0100007F": "127.0.0.1"}), ("tcp6", {"00000000000000000000000001000000": "::1"})):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            address, _, at = line.split()[1].partition(":")
            if int(at, 16) == port and line.split()[3] == "0A":
                found.add(names.get(address, address))
    return found


@pytest.mark.parametrize("tls", ["ecdsa-p256", "rsa-2048", "rsa-4096"])
@pytest.mark.parametrize("front", list(SERVERS))
def test_tls_verifies_against_its_own_ca_only(front: str, tls: str) -> None:
    # with its CA: a key of the asked kind, the front's ALPN name, TLS 1.3; with the system's CAs: refused; by name and by address
    with TargetServer.start(scenario(http=HTTP[front], tls=tls)) as server:
        assert server.ca_file is not None
        assert b"PRIVATE" not in b"".join(path.read_bytes() for path in server.ca_file.parent.iterdir())
        context = ssl.create_default_context(cafile=server.ca_file)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(["h2", "http/1.1"])
        for name in ("localhost", "127.0.0.1"):
            with connect(server, context, name) as secure:
                assert secure.selected_alpn_protocol() == {"http1": "http/1.1", "http2": "h2"}[front]
                assert secure.version() == "TLSv1.3"
                assert key_of(secure) == {"ecdsa-p256": ("ec", 256), "rsa-2048": ("rsa", 2048), "rsa-4096": ("rsa", 4096)}[tls]
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(server, ssl.create_default_context(), "localhost")
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(server, context, "example.org")
        with client(server) as http:  # refusals harm nobody
            assert http.get("/1").status_code == 200
        assert stderr_of(server) == ""


def connect(server: TargetServer, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    import socket

    plain = socket.create_connection(("127.0.0.1", port_of(server)), timeout=20)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def key_of(secure: ssl.SSLSocket) -> tuple[str, int]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    certificate = secure.getpeercert(binary_form=True)
    assert certificate
    key = x509.load_der_x509_certificate(certificate).public_key()
    return ("rsa" if isinstance(key, rsa.RSAPublicKey) else "ec", key.key_size)  # type: ignore[union-attr] # the kinds that we make


@pytest.mark.parametrize("front", list(SERVERS))
def test_the_rest_of_the_behaviour_is_the_same(front: str, tmp_path: Path) -> None:
    # gzip for those who accept it, the gap, and refusals above the rate: each front alike; a collection renews the rate
    planned = scenario(
        n=4,
        path="/p/{i}?x=1",
        http=HTTP[front],
        service=Service(gap_ms=5, rate_per_s=3, retry_after_s=7, concurrency=1),
        payload=Payload(law="table", table="pokeapi", gzip=True),
    )
    with TargetServer.start(planned) as server, client(server) as http:
        coded = http.get("/p/1?x=1")
        plain = http.get("/p/1?x=1", headers={"accept-encoding": "identity"})
        assert coded.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert coded.json() == plain.json()
        assert coded.json()["id"] == 1
        assert len(plain.content) == 229_401
        refusals = [answer for answer in (http.get("/p/1?x=1") for _ in range(30)) if answer.status_code == 429]
        assert refusals
        assert {answer.headers["retry-after"] for answer in refusals} == {"7"}
        account = server.collect(tmp_path)
        assert account.errors_by_status == {429: len(refusals)}
        assert http.get("/p/1?x=1").status_code == 200
    rows = np.load(tmp_path / "server_requests.npy")
    served = rows[rows["status"] == 200]
    assert (served["ended_ns"] - served["begun_ns"] >= 5 * MS).all()


@pytest.mark.parametrize("tls", ["off", "ecdsa-p256"])
@pytest.mark.parametrize("front", list(SERVERS))
def test_clients_that_give_up_harm_nobody(front: str, tls: str) -> None:
    # giving up in a think time, or in the gap, closes the connection or resets the stream; the next request is served, stderr is silent
    planned = scenario(http=HTTP[front], tls=tls, service=Service(mean_ms=100, gap_ms=100, concurrency=2))
    with TargetServer.start(planned) as server, client(server) as http:
        for _ in range(2):
            with pytest.raises(httpx.TimeoutException):
                http.get("/1", timeout=0.02)
        with http.stream("GET", "/1") as answer:  # left between its head and its body
            assert answer.status_code == 200
        assert http.get("/2").status_code == 200
        assert stderr_of(server) == ""


@pytest.mark.parametrize("service", [Service(keep_alive=False), Service(requests_per_connection=3)])
def test_http2_says_what_it_cannot_do(service: Service) -> None:
    # an end of connections by number is refused with the key and what would be right, before a process listens
    planned = scenario(http="2", service=service)
    with pytest.raises(InputError, match=r"target\.service\.\w+: not with http = \"2\".* would be right"):
        SERVERS["http2"](Behaviour(planned), Limits(service), Witness())
    with pytest.raises(InputError, match=r"target\.service"):
        TargetServer.start(planned)


def test_naming_the_fronts_is_cheap() -> None:
    # who only lists the registry loads no server and no numpy
    code = (
        "import sys; from loopdiag.lab.servers import SERVERS; list(SERVERS);"
        "from loopdiag.lab.servers.process import TargetServer;"
        "print({'numpy', 'uvloop', 'granian', 'httptools', 'trustme', 'cryptography'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
