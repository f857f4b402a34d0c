"""HTTP/1.1 byte for byte: what well-behaved, odd and rude clients get, and what the witness says of it."""

import asyncio
import gzip
import json
import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_parts import Line, on_uvloop, reset, serving, until

from loopdiag.lab.servers.exchange import accepts_gzip
from loopdiag.lab.servers.http1 import PIPELINE_LIMIT, Http1Connection
from loopdiag.lab.servers.witness import Witness
from loopdiag.model.scenario import Payload, Service

MS = 1_000_000
SMALL = Payload(mean_bytes=100)


async def closed(witness: Witness, count: int) -> None:
    """Wait until the server has noticed the end of `count` connections."""
    await until(lambda: np.count_nonzero(witness.connections["closed_ns"]) >= count)


@on_uvloop
async def test_an_answer_is_json_of_the_asked_size() -> None:
    # status, type, length, body; the connection stays open
    async with serving(payload=SMALL) as (port, witness), Line(port) as line:
        for i in (1, 2):
            line.send(f"GET /{i} HTTP/1.1\nhost: x\n\n")
            status, fields, body = await line.answer()
            assert (status, len(body)) == (200, 100)
            assert fields == {"content-type": "application/json", "content-length": "100"}
            json.loads(body)
        assert witness.requests["request"].tolist() == [1, 2]
        assert witness.requests["connection"].tolist() == [1, 1]
        assert witness.connections["peer_port"].tolist() == [line.writer.get_extra_info("sockname")[1]]


def test_connections_send_without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    # TCP_NODELAY is set on every connection that is accepted: no answer waits for an acknowledgement
    seen: list[int] = []
    made = Http1Connection.connection_made

    def look(self: Http1Connection, transport: asyncio.BaseTransport) -> None:
        seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(self, transport)

    monkeypatch.setattr(Http1Connection, "connection_made", look)

    @on_uvloop
    async def run() -> None:
        async with serving(payload=SMALL) as (port, _), Line(port) as line:
            line.send("GET /1 HTTP/1.1\n\n")
            await line.answer()

    run()
    assert seen == [1]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@on_uvloop
async def test_every_method_of_a_workload_is_answered(method: str) -> None:
    # a request's body, plain or chunked, is read and let go
    async with serving(payload=SMALL) as (port, _), Line(port) as line:
        line.send(f"{method} /1 HTTP/1.1\ncontent-length: 5\n\nhello")
        assert (await line.answer())[0] == 200
        line.send(f"{method} /2 HTTP/1.1\ntransfer-encoding: chunked\n\n3\nabc\n0\n\n")
        assert (await line.answer())[0] == 200


@pytest.mark.parametrize("gap_ms", [0.0, 1.0])
@on_uvloop
async def test_head_has_no_body(gap_ms: float) -> None:
    # the fields of GET, no body, and the next answer follows at once
    async with serving(payload=SMALL, service=Service(gap_ms=gap_ms)) as (port, witness), Line(port) as line:
        line.send("HEAD /1 HTTP/1.1\n\nHEAD /4 HTTP/1.1\n\nGET /1 HTTP/1.1\n\n")
        status, fields, _ = await line.answer(head_only=True)
        assert status == 200
        assert fields.get("content-length", "100") == "100"
        assert (await line.answer(head_only=True))[0] == 200
        assert len((await line.answer())[2]) == 100
        assert witness.requests["body_bytes"].tolist() == [0, 0, 100]


@on_uvloop
async def test_a_gap_parts_the_head_from_the_chunked_body() -> None:
    # the head comes first, the body is chunked and begins a gap later, an empty body too
    for size in (0, 100, 200_000):
        async with serving(payload=Payload(mean_bytes=size), service=Service(gap_ms=5)) as (port, witness), Line(port) as line:
            line.send("GET /1 HTTP/1.1\n\n")
            _, fields, body = await line.answer()
            assert fields["transfer-encoding"] == "chunked"
            assert len(body) == size
            line.send("GET /2 HTTP/1.1\n\n")
            await line.answer()
            begun, ended = witness.requests["begun_ns"], witness.requests["ended_ns"]
            assert all(end - begin >= 5 * MS for begin, end in zip(begun, ended, strict=True) if end)


@on_uvloop
async def test_http_1_0_gets_a_length_and_an_end() -> None:
    # no chunks for a client that knows none, even with a gap
    async with serving(payload=SMALL, service=Service(gap_ms=1)) as (port, _), Line(port) as line:
        line.send("GET /1 HTTP/1.0\n\n")
        _, fields, body = await line.answer()
        assert fields["content-length"] == "100"
        assert fields["connection"] == "close"
        assert len(body) == 100
        assert await line.ended()


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("GZip", True),
        ("*", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("br", False),
        ("identity", False),
        ("", False),
    ],
)
def test_what_accepts_gzip(value: str, accepted: bool) -> None:
    # RFC 9110, 12.5.3
    assert accepts_gzip(value) is accepted


@on_uvloop
async def test_gzip_only_for_those_who_accept_it() -> None:
    # the coded body is the same document; without the field it comes plain; caches are told
    async with serving(payload=Payload(mean_bytes=5000, gzip=True)) as (port, witness), Line(port) as line:
        line.send("GET /1 HTTP/1.1\naccept-encoding: gzip, deflate\n\nGET /1 HTTP/1.1\n\n")
        _, coded, packed = await line.answer()
        _, plain, text = await line.answer()
        assert coded["content-encoding"] == "gzip"
        assert "content-encoding" not in plain
        assert coded["vary"] == plain["vary"] == "accept-encoding"
        assert gzip.decompress(packed) == text
        assert len(text) == 5000
        assert witness.requests["body_bytes"].tolist() == [len(packed), 5000]


@on_uvloop
async def test_without_keep_alive_the_server_closes_after_one() -> None:
    # told in the head, done after the body; what was sent behind it is not answered
    async with serving(payload=SMALL, service=Service(keep_alive=False)) as (port, _), Line(port) as line:
        line.send("GET /1 HTTP/1.1\n\nGET /2 HTTP/1.1\n\n")
        assert (await line.answer())[1]["connection"] == "close"
        assert await line.ended()


@on_uvloop
async def test_a_connection_ends_after_its_number_of_requests() -> None:
    # requests_per_connection = 3: the third says close
    async with serving(payload=SMALL, service=Service(requests_per_connection=3)) as (port, _), Line(port) as line:
        said = []
        for i in (1, 2, 3):
            line.send(f"GET /{i} HTTP/1.1\n\n")
            said.append((await line.answer())[1].get("connection"))
        assert said == [None, None, "close"]
        assert await line.ended()


@on_uvloop
async def test_the_client_may_ask_for_the_end() -> None:
    # Connection: close is honoured
    async with serving(payload=SMALL) as (port, witness), Line(port) as line:
        line.send("GET /1 HTTP/1.1\nconnection: close\n\n")
        await line.answer()
        assert await line.ended()
        await closed(witness, 1)


@on_uvloop
async def test_pipelined_requests_are_answered_in_order() -> None:
    # thinking in between, longer for the earlier ones: order is the connection's, not the clock's
    sizes = Payload(law="normal", mean_bytes=500, sd_bytes=100)
    service = Service(law="lognormal", mean_ms=2, sd_ms=4)
    async with serving(payload=sizes, service=service, n=20) as (port, witness), Line(port) as line:
        line.send("".join(f"GET /{i} HTTP/1.1\n\n" for i in range(1, 21)))
        got = [len((await line.answer())[2]) for _ in range(20)]
        assert got == witness.requests["body_bytes"].tolist()
        assert len(set(got)) > 10
        assert sorted(witness.requests["begun_ns"].tolist()) == witness.requests["begun_ns"].tolist()


@on_uvloop
async def test_a_huge_pipeline_needs_no_deep_stack_and_little_memory() -> None:
    # far more at once than one connection may queue; every request has an answer and a row
    count = PIPELINE_LIMIT * 50
    async with serving(payload=Payload(mean_bytes=10)) as (port, witness), Line(port) as line:
        line.send("GET /1 HTTP/1.1\n\n" * count)
        for _ in range(count):
            assert (await line.answer())[0] == 200
        assert witness.collect(None).answered == count


@on_uvloop
async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    # the server stops at what the sockets hold, and goes on when the client reads
    async with serving(payload=Payload(mean_bytes=50_000)) as (port, witness), Line(port) as line:
        count = 2000
        line.send("GET /1 HTTP/1.1\n\n" * count)
        await until(lambda: np.count_nonzero(witness.requests["begun_ns"]) > 0)
        await asyncio.sleep(0.1)  # ample for all of them, if it did not stop
        assert np.count_nonzero(witness.requests["begun_ns"]) < count
        for _ in range(count):
            await line.answer()
        assert all(witness.requests["begun_ns"])


@on_uvloop
async def test_the_expectation_to_continue_is_met() -> None:
    # a client that asks before it sends its body is told to go on
    async with serving(payload=SMALL) as (port, _), Line(port) as line:
        line.send("POST /1 HTTP/1.1\nexpect: 100-continue\ncontent-length: 2\n\n")
        assert (await line.answer(head_only=True))[0] == 100
        line.send("ok")
        assert (await line.answer())[0] == 200


@on_uvloop
async def test_the_wish_for_another_protocol_is_passed_over() -> None:
    # Upgrade: h2c is answered in HTTP/1.1, and the connection goes on
    async with serving(payload=SMALL) as (port, _), Line(port) as line:
        line.send("GET /1 HTTP/1.1\nconnection: upgrade\nupgrade: h2c\n\nGET /2 HTTP/1.1\n\n")
        assert (await line.answer())[0] == 200
        assert (await line.answer())[0] == 200


@pytest.mark.parametrize(
    "request_text",
    [
        "\0\0\0\n\n",
        "hello\n\n",
        "GET / HTTP/9.9\n\n",
        "GET /1 HTTP/1.1\ncontent-length: x\n\n",
        "POST /1 HTTP/1.1\ntransfer-encoding: chunked\n\nzz\n",
        "PRI * HTTP/2.0\n\nSM\n\n",
        "\x16\x03\x01\x02\x00\x01\x00",
    ],
)
@on_uvloop
async def test_what_is_no_http_gets_400_and_the_end(request_text: str) -> None:
    # one row with status 400 and no number
    async with serving() as (port, witness), Line(port) as line:
        line.send(request_text)
        status, fields, _ = await line.answer()
        assert (status, fields["connection"]) == (400, "close")
        assert await line.ended()
        assert (witness.requests["status"].tolist(), witness.requests["request"].tolist()) == ([400], [0])


@pytest.mark.parametrize("path", ["/", "/x", "/0", "/1/2", "/1?q", "*", "http://other/1"])
@on_uvloop
async def test_other_paths_get_404(path: str) -> None:
    # the connection stays usable
    async with serving(payload=SMALL) as (port, _), Line(port) as line:
        line.send(f"OPTIONS {path} HTTP/1.1\n\nGET /1 HTTP/1.1\n\n")
        assert (await line.answer())[0] == 404
        assert (await line.answer())[0] == 200


@on_uvloop
async def test_above_the_rate_come_429_and_when_to_retry() -> None:
    # a second's worth passes, the rest is refused without thinking
    async with serving(payload=SMALL, service=Service(rate_per_s=3, retry_after_s=1.2, mean_ms=1)) as (port, witness), Line(port) as line:
        line.send("GET /1 HTTP/1.1\n\n" * 5)
        answers = [await line.answer() for _ in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
        assert answers[-1][1]["retry-after"] == "2"
        assert witness.collect(None).errors_by_status == {429: 2}


@on_uvloop
async def test_service_is_limited_and_in_order_of_arrival() -> None:
    # two places: a request begins to be served only when one of the two before it has been
    async with serving(payload=SMALL, service=Service(concurrency=2, mean_ms=10)) as (port, witness):
        lines = [Line(port) for _ in range(6)]
        for line in lines:
            await line.__aenter__()
            line.send("GET /1 HTTP/1.1\n\n")
        for line in lines:
            assert (await line.answer())[0] == 200
            line.writer.close()
        received, begun = sorted(witness.requests["received_ns"].tolist()), witness.requests["begun_ns"].tolist()
        assert begun == sorted(begun)
        for i in range(2, 6):
            assert begun[i] - begun[i - 2] >= 10 * MS
        assert begun[0] - received[0] >= 10 * MS


@on_uvloop
async def test_who_leaves_while_waiting_gives_the_place_back() -> None:
    # one in service and one in the queue reset their connections; the third is answered
    async with serving(payload=SMALL, service=Service(concurrency=1, mean_ms=100)) as (port, witness):
        for count in range(2):
            rude = socket.create_connection(("127.0.0.1", port))
            rude.sendall(b"GET /1 HTTP/1.1\r\n\r\n")
            await until(lambda count=count: witness.arrived > count)  # type: ignore[misc] # binds the loop's value
            reset(rude)
        async with Line(port) as line:
            line.send("GET /3 HTTP/1.1\n\n")
            assert (await line.answer())[0] == 200
        begun, ended = witness.requests["begun_ns"].tolist(), witness.requests["ended_ns"].tolist()
        assert len(begun) == 3
        assert [bool(at) for at in begun] == [bool(at) for at in ended]
        assert begun[1] == 0  # it left the queue unanswered


@on_uvloop
async def test_a_reset_in_the_middle_of_an_answer_harms_nobody_else() -> None:
    # after the head and before the body, and amid a body larger than the buffers
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with serving(payload=Payload(mean_bytes=8_000_000), service=Service(gap_ms=5)) as (port, witness):
        for size in (0, 20, 100_000):
            rude = socket.create_connection(("127.0.0.1", port))
            rude.sendall(b"GET /1 HTTP/1.1\r\n\r\n" * 2)
            loop = asyncio.get_running_loop()
            rude.setblocking(False)
            got = 0
            while got < size:
                got += len(await loop.sock_recv(rude, 4096))
            reset(rude)
        await closed(witness, 3)
        async with Line(port) as line:
            line.send("GET /2 HTTP/1.1\n\n")
            assert len((await line.answer())[2]) == 8_000_000
    assert faults == []


@on_uvloop
async def test_a_connection_outlives_a_collection() -> None:
    # it gets a row again for its next request, and does not count as opened twice
    async with serving(payload=SMALL) as (port, witness), Line(port) as line:
        line.send("GET /1 HTTP/1.1\n\n")
        await line.answer()
        first = witness.collect(None)
        line.send("GET /2 HTTP/1.1\n\n")
        await line.answer()
        assert witness.requests["connection"].tolist() == [1]
        assert witness.connections["peer_port"].tolist() == [line.writer.get_extra_info("sockname")[1]]
        second = witness.collect(None)
    assert (first.connections_opened, second.connections_opened) == (1, 0)
    assert (first.requests, second.requests) == (1, 1)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 200), max_size=8), count=st.integers(1, 6))
def test_requests_may_come_in_any_pieces(cuts: list[int], count: int) -> None:
    # wherever TCP cuts the stream, the same requests are seen
    @on_uvloop
    async def run() -> None:
        stream = b"".join(b"POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc" % i for i in range(1, count + 1))
        pieces, at = [], 0
        for cut in [*cuts, len(stream)]:
            pieces.append(stream[at : at + cut])
            at += cut
        async with serving(payload=SMALL) as (port, witness), Line(port) as line:
            for piece in filter(None, pieces):
                line.writer.write(piece)
                await asyncio.sleep(0)
            for _ in range(count):
                assert (await line.answer())[0] == 200
            assert witness.requests["request"].tolist() == list(range(1, count + 1))

    run()


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(min_size=1, max_size=300))
def test_no_bytes_upset_the_server(junk: bytes) -> None:
    # whatever comes, the next client is served and nothing is complained about
    @on_uvloop
    async def run() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        async with serving(payload=SMALL) as (port, _):
            async with Line(port) as rude:
                rude.writer.write(junk)
            async with Line(port) as line:
                line.send("GET /1 HTTP/1.1\n\n")
                assert (await line.answer())[0] == 200
        assert faults == []

    run()
