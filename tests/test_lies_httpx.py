"""Where httpx's and httpcore's public hooks mislead, and our numbers do not: one test a lie, over both loops, against what a server in this process stamped.

Tolerances are half of the planted delays or less, so that a busy machine passes and the lie does not.
"""

from pathlib import Path

import pytest
from httpx_parts import MS, http1, http2, observe

LOOPS = ("asyncio", "uvloop")
LIBRARIES = ("httpx", "httpx2")

each_loop = pytest.mark.parametrize("loop", LOOPS)
each = pytest.mark.parametrize(("library", "loop"), [(library, loop) for library in LIBRARIES for loop in LOOPS])

MULTI_ASSIGN = """
pool_request = importlib.import_module(core.__name__ + "._async.connection_pool").AsyncPoolRequest
before = pool_request.assign_to_connection
def assign(self, connection):
    told.setdefault(self.request.url.target.decode(), []).append(clock())
    before(self, connection)
pool_request.assign_to_connection = assign
async def main():
    async with lib.AsyncClient(limits=lib.Limits(max_connections=1), timeout=30) as client:
        await asyncio.gather(*[client.get(f"{url}/{i}?think=80") for i in range(1, 7)])
go(main())
"""


@each
def test_the_first_assignment_is_not_the_one_that_counts(tmp_path: Path, library: str, loop: str) -> None:
    # Lie: "the pool gave it a connection" (a naive hook, the first time).  httpcore 1.x gives one idle connection to all who wait, and all but one wait again:
    # the sixth request is first assigned when the first has ended, 4 × 80 ms before it is sent.  Truth: the server's receipt, within 40 ms of our last
    # assignment.  httpcore2 assigns once.
    with http1() as server:
        seen = observe(tmp_path, MULTI_ASSIGN, library, loop, server)
    for number in range(1, 7):
        told = seen.told[f"/{number}?think=80"]
        received = server.seen[str(number)].received
        assert seen.at(number, "assigned") <= received
        assert received - 40 * MS <= seen.at(number, "assigned") or "reused" not in seen.of(number).flags
        assert seen.of(number).assignments == len(told)
    lies = [server.seen[str(number)].received - seen.told[f"/{number}?think=80"][0] for number in range(1, 7)]
    pool = [sum(p.end_ns - p.start_ns for p in seen.of(number).phases if p.name == "pool") for number in range(1, 7)]
    assert max(pool) >= 5 * 80 * MS
    if library == "httpx":
        assert max(lies) >= 3 * 80 * MS  # what the naive hook takes off the wait
        assert sum(len(told) for told in seen.told.values()) >= 2 * 6
    else:
        assert max(lies) <= 40 * MS
        assert {len(told) for told in seen.told.values()} == {1}


LOCK_GAP = """
async def main():
    async with lib.AsyncClient(http2=True, verify=context, timeout=30) as client:
        async def one(i):
            events = told[i] = []
            async def trace(name, info):
                events.append((clock(), name))
            events.append((clock(), "begun"))
            await client.get(f"{url}/{i}?think=10", extensions={"trace": trace})
        await asyncio.gather(*[one(i) for i in range(1, 7)])
go(main())
"""


@each
def test_waiting_for_another_requests_connect_is_seen(tmp_path: Path, library: str, loop: str) -> None:
    # Lie: with HTTP/2 the trace extension shows nothing of the five requests that wait on a lock for the sixth's connect (80 ms of handshake): their first event
    # is the sending of their head, and the wait before it could be anything.  Truth: our rows say on which connection they waited and until when it was made
    # (>= 70 ms), and flag them.
    with http2(tls=tmp_path, handshake_ms=80) as server:
        seen = observe(tmp_path / "r", LOCK_GAP, library, loop, server)
    assert server.connections == 1
    (link,) = seen.line.connections
    made = link.stamps["made"]
    assert link.requests == 6
    opener = [n for n in range(1, 7) if "shared_connect" not in seen.of(n).flags]
    assert opener == [link.request]
    for number in set(range(1, 7)) - set(opener):
        begun, first = seen.told[str(number)][:2]
        assert first[0] - begun[0] >= 70 * MS
        assert first[1] == "http2.send_request_headers.started"
        attempt = seen.of(number)
        assert attempt.connection == link.number
        assert made - attempt.stamps["assigned"] >= 70 * MS
        assert attempt.stamps["resumed"] >= made
        assert sum(p.end_ns - p.start_ns for p in attempt.phases if p.name == "shared") >= 70 * MS


CONSUMER = """
size = int(sys.argv[5]) if len(sys.argv) > 5 else SIZE
async def main():
    async with lib.AsyncClient(http2=HTTP2, http1=not HTTP2, timeout=30) as client:
        async def trace(name, info):
            told[name.partition(".")[2]] = clock()
        async with client.stream("GET", f"{url}/1?size={size}", extensions={"trace": trace}) as response:
            await asyncio.sleep(0.12)
            told["asked"] = clock()
            await response.aread()
go(main())
"""


@each
def test_a_slow_consumer_does_not_lengthen_the_receipt(tmp_path: Path, library: str, loop: str) -> None:
    # Lie: receive_response_body.complete comes when the consumer has taken the body, 120 ms after it was there.  Truth: a body that came with the head was received
    # then: our last byte is within 50 ms of the server's sending.
    with http1() as server:
        seen = observe(tmp_path, CONSUMER.replace("SIZE", "2000").replace("HTTP2", "False"), library, loop, server)
    sent = server.seen["1"].sent
    assert seen.told["receive_response_body.complete"] - sent >= 110 * MS
    assert abs(seen.at(1, "last_byte") - sent) <= 50 * MS
    assert seen.at(1, "body") >= seen.told["asked"]


@each
def test_what_nobody_asked_for_is_not_received(tmp_path: Path, library: str, loop: str) -> None:
    # What we claim no more: anyio reads only while a task asks.  A body larger than the buffers below is received when the consumer comes for it, so its last byte is
    # stamped between the consumer's coming and the event, and the receipt holds the consumer's time.  That is when the loop had it: it is no lie, but it is not the network's.
    with http1() as server:
        seen = observe(tmp_path, CONSUMER.replace("SIZE", "30_000_000").replace("HTTP2", "False"), library, loop, server)
    assert seen.told["asked"] <= seen.at(1, "last_byte") <= seen.told["receive_response_body.complete"]
    assert seen.at(1, "first_byte") <= seen.told["receive_response_headers.complete"]


READ_BY_ANOTHER = """
async def main():
    async with lib.AsyncClient(http2=True, http1=False, timeout=30) as client:
        async def lazy():
            async def trace(name, info):
                told[name.partition(".")[2]] = clock()
            async with client.stream("GET", f"{url}/1?gap=20&size=30000", extensions={"trace": trace}) as response:
                await asyncio.sleep(0.2)
                await response.aread()
        async def busy():
            await asyncio.sleep(0.01)
            await client.get(f"{url}/2?think=100")
        await asyncio.gather(lazy(), busy())
go(main())
"""


@each
def test_a_stream_that_another_task_reads_is_received_then(tmp_path: Path, library: str, loop: str) -> None:
    # Lie: as before, over HTTP/2, where another request's task reads what is the lazy one's.  Truth: each stream's last byte is its own: within 50 ms of the
    # server's sending, 100 ms and more before the event, and before the other's first.
    with http2() as server:
        seen = observe(tmp_path, READ_BY_ANOTHER, library, loop, server)
    lazy, busy = server.seen["1"], server.seen["2"]
    assert seen.told["receive_response_body.complete"] - lazy.sent >= 100 * MS
    assert abs(seen.at(1, "last_byte") - lazy.sent) <= 50 * MS
    assert seen.of(1).wire_bytes is not None
    assert 30_000 < seen.of(1).wire_bytes < 30_300
    assert abs(seen.at(2, "first_byte") - busy.head) <= 50 * MS
    assert seen.at(2, "last_byte") > seen.at(1, "last_byte")


CONTEXT = """
from contextvars import ContextVar
request = ContextVar("request", default=0)
seen = told["seen"] = []
def watch(owner):
    before = owner.data_received
    def data_received(self, data):
        if data:
            seen.append(request.get())
        before(self, data)
    owner.data_received = data_received
async def one(i, fetch):
    request.set(i)
    await fetch(f"{url}/{i}?think=100")
async def main():
    if library == "aiohttp":
        watch(lib.client_proto.ResponseHandler)
        async with lib.ClientSession(connector=lib.TCPConnector(limit=1)) as session:
            async def fetch(url):
                async with session.get(url) as response:
                    await response.read()
            for i in range(1, 5):
                await asyncio.create_task(one(i, fetch))
    else:
        watch(importlib.import_module("anyio._backends._asyncio").StreamProtocol)
        async with lib.AsyncClient(limits=lib.Limits(max_connections=1)) as client:
            for i in range(1, 5):
                await asyncio.create_task(one(i, client.get))
go(main())
"""


@pytest.mark.parametrize(("library", "loop"), [(library, loop) for library in ("aiohttp", *LIBRARIES) for loop in LOOPS])
def test_a_context_variable_names_the_wrong_request(tmp_path: Path, library: str, loop: str) -> None:
    # Lie: a context variable that is read in data_received names the request that opened the connection, for ever after; only httpx on asyncio, whose every read
    # adds the socket's reader anew in its own context, is right.  Truth: by ownership of the connection, each request's first byte is within 50 ms of the server's sending
    # of its answer (100 ms apart from the next).
    with http1() as server:
        seen = observe(tmp_path, CONTEXT, library, loop, server)
    assert server.connections == 1
    right = library != "aiohttp" and loop == "asyncio"
    assert seen.told["seen"] == ([1, 2, 3, 4] if right else [1, 1, 1, 1])
    assert len({seen.of(number).connection for number in range(1, 5)}) == 1
    for number in range(1, 5):
        assert abs(seen.at(number, "first_byte") - server.seen[str(number)].head) <= 50 * MS
