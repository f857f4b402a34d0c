"""The contract of every client's instruments on every loop: whatever fate a request has, its attempts are told as they were."""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from fates import ONWARD, Account, Seen, Served, Server, serving

from loopdiag.analysis.timelines import resolve
from loopdiag.lab import columns
from loopdiag.lab.clients import ASYNCIO, CLIENTS, loops_of
from loopdiag.lab.injection import injected_environment, observed
from loopdiag.model.events import legal
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm
from loopdiag.model.timeline import Attempt, Timeline

ROOT = Path(__file__).parent.parent
PROGRAM = Path(__file__).with_name("fates_program.py")
REAL = [
    (client, loop) for client in CLIENTS if client not in {"fake", "tornado"} for loop in sorted(loops_of(CLIENTS[client]) & ASYNCIO)
]  # nothing sees into tornado

#: loopdiag's own clients, which no program uses: they stamp themselves
OWN = {"streams", "protocol"}
#: clients that make an idempotent request once more where its connection broke before an answer
RETRYING = {"aiohttp"}
FLAGS = {"retried", "redirected", "cancelled", "error", "timed_out"}
MARKED, PLAIN = 100_000, 500_000  # first request numbers with and without marks; unmarked requests get numbers of their own, from 1
TICK_NS = 128


@dataclass(frozen=True)
class Fate:
    """What is asked for and what its attempts must be: "status flag …" each, "-" where no status was received."""

    path: str
    attempts: tuple[str, ...]
    retrying: tuple[str, ...] | None = None  # where a client of RETRYING differs
    listener: str = "http"
    cancel: str | None = None  # the state in which the program cancels it
    waits: str | None = None  # the phase in which it spends most of its life


OK = ("200",)
MIXED = (
    Fate("plain", OK),
    Fate("plain", OK, listener="https"),
    Fate("close", OK),
    Fate("redirect", ("301 redirected", "200")),
    Fate("chain3", ("301 redirected", "301 redirected", "301 redirected", "200")),
    Fate("otherport", ("301 redirected", "200")),
    Fate("toscheme", ("301 redirected", "200")),
    Fate("unavailable", ("503",)),
    Fate("busy", ("429",)),
    Fate("nocontent", ("204",)),
    Fate("unchanged", ("304",)),
    Fate("empty", OK),
    Fate("big", OK),
    Fate("chunked", OK),
    Fate("early", OK),
    Fate("continue", OK),
    Fate("reset", ("- error",), retrying=("- error retried", "- error")),
    Fate("cutoff", ("200 error",)),
    Fate("truncated", ("200 error",)),
    Fate("none", ("- error",), listener="closed"),
    Fate("none", ("- error",), listener="nowhere"),
    Fate("none", ("- cancelled",), listener="full", cancel="connect"),
    Fate("none", ("- cancelled",), listener="mute", cancel="ssl"),
    Fate("slow", ("- cancelled",), cancel="wait"),
    Fate("stuck", ("200 cancelled",), cancel="receive"),
)
LATE = (
    Fate("none", ("- timed_out",), listener="full", waits="connect"),
    Fate("none", ("- timed_out",), listener="mute", waits="ssl"),
    Fate("slow", ("- timed_out",), waits="wait"),
    Fate("stuck", ("200 timed_out",), waits="receive"),
)
HEADS = (Fate("plain", OK), Fate("big", OK), Fate("busy", ("429",)), Fate("redirect", ("301 redirected", "200")))
ASKED_AT_ONCE = 50
TIMEOUT_S = 0.5


class Plan:
    """The groups of one program, and each request's fate by its number."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._options = {"timeout_s": 30, "ca_file": str(folder / "ca.pem")}
        self.groups: list[dict[str, object]] = []
        self.fates: dict[int, Fate] = {}

    def add(self, first: int, fates: list[tuple[Fate, dict[str, object]]], *, sequential: bool = False, **options: object) -> None:
        """One group: a client of its own, and requests numbered from `first`."""
        requests = []
        for number, (fate, more) in enumerate(fates, first):
            self.fates[number] = fate
            cancel = {"cancel": fate.cancel} if fate.cancel else {}
            requests.append({"number": number, "url": f"{self._server.urls[fate.listener]}/{fate.path}/{number}", **cancel, **more})
        self.groups.append({"options": self._options | options, "marked": first < PLAIN, "sequential": sequential, "requests": requests})

    def fill(self, first: int) -> None:
        """Every fate once, from number `first`."""
        order = [MIXED[index % len(MIXED)] for index in range(ASKED_AT_ONCE)]
        Random(first).shuffle(order)
        self.add(first, [(fate, {}) for fate in order])
        self.add(first + 100, [(fate, {}) for fate in LATE], timeout_s=TIMEOUT_S)
        stale = Fate("stale", ("- error",), retrying=("- error retried", "200"))
        turns = [(MIXED[0], {}), (stale, {}), (Fate("bye", OK), {}), (MIXED[0], {"closed": first + 202})]
        self.add(first + 200, turns, sequential=True, pool={"limit": 1})  # type: ignore[arg-type] # what a request is given more is open
        # one holds the only lease until the others, which wait for it, have ended
        given_up = "- timed_out" if first < PLAIN else "- cancelled"  # a program's own time-out looks like a cancellation from inside
        holder = (Fate("slow", ("- cancelled",), cancel="wait"), {"after": first + 302})
        waiting = (Fate("slow", ("- cancelled",), cancel="pool"), {})
        bored = (Fate("slow", (given_up,), waits="pool"), {"within_s": 0.2})
        self.add(first + 300, [holder, waiting, bored], pool={"limit": 1})  # type: ignore[list-item] # likewise
        self.add(first + 400, [(fate, {}) for fate in HEADS], method="HEAD")


class Told:
    """What the instruments tell of one program, beside what the server saw."""

    def __init__(self, client: str, loop: str, server: Server, folder: Path, plan: Plan) -> None:
        record = folder / "record"
        record.mkdir()
        asked = {"client": client, "loop": loop, "server": server.urls["http"], "groups": plan.groups}
        told = run(["-W", "ignore", str(PROGRAM)], record, json.dumps(asked))
        self.client, self.fates = client, plan.fates
        self.outcomes: dict[str, str] = told["outcomes"]
        self.tables = columns.load(record)
        spec = TrialSpec(id="t", arm=Arm(client=client, loop=loop), n=len(plan.fates), tier="timeline", repetition=0, seed=1)
        self.began_ns: int = told["began_ns"]
        self.line = resolve(self.tables, TrialResult(spec=spec, status="ok", t0_ns=self.began_ns))
        self.notes = observed(record)
        self.account = server.account

    def expected(self, number: int) -> list[str]:
        """The attempts that request `number` should have."""
        fate = self.fates[number]
        return list(fate.retrying if fate.retrying is not None and self.client in RETRYING else fate.attempts)


def run(arguments: list[str], record: Path, given: str = "") -> dict[str, object] | object:
    """Run a Python program under the instruments; what it prints, as JSON."""
    environment = injected_environment({**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"}, record)
    ended = subprocess.run(
        [sys.executable, *arguments], env=environment, input=given, capture_output=True, text=True, check=False, timeout=100, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def by_request(line: Timeline) -> dict[int, list[Attempt]]:
    """Attempts of each request, in the order of their rows."""
    found: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in line.attempts:
        found[attempt.request].append(attempt)
    return found


def summary(attempt: Attempt) -> str:
    """An attempt in the words of `Fate.attempts`."""
    return " ".join([str(attempt.status or "-"), *sorted(FLAGS & set(attempt.flags))])


def sorted_words(attempts: list[str]) -> list[str]:
    return [" ".join([words.split()[0], *sorted(words.split()[1:])]) for words in attempts]


def connected(line: Timeline, tables: dict[str, np.ndarray], account: Account) -> dict[int, Served]:
    """Each of the instruments' connections that the server accepted: of one local port, the k-th that was opened is the k-th that was accepted."""
    ours: dict[int, list[int]] = defaultdict(list)
    theirs: dict[int, list[Served]] = defaultdict(list)
    for link in sorted(line.connections, key=lambda link: link.stamps.get("tcp_end", 0)):
        if "tcp_end" in link.stamps and (port := int(tables["connections"][link.number]["local_port"])):
            ours[port].append(link.number)
    for served in account.connections:
        theirs[served.peer_port].append(served)
    assert {port: len(links) for port, links in ours.items()} == {port: len(found) for port, found in theirs.items()}
    return {number: served for port, links in ours.items() for number, served in zip(links, theirs[port], strict=True)}


def matched(line: Timeline, tables: dict[str, np.ndarray], account: Account) -> list[tuple[Attempt, Seen, int]]:
    """Each request that the server saw, with the attempt that made it and its place on its connection.

    On one connection requests come one after the other, so the k-th that was sent is the k-th that was received.
    """
    links = connected(line, tables, account)
    sent: dict[Served, list[Attempt]] = defaultdict(list)
    for attempt in line.attempts:
        if "send_start" in attempt.stamps and attempt.connection is not None:
            sent[links[attempt.connection]].append(attempt)
    seen: dict[Served, list[Seen]] = defaultdict(list)
    for one in account.requests:
        seen[one.connection].append(one)
    assert {served: len(found) for served, found in sent.items()} == {served: len(found) for served, found in seen.items()}
    pairs = []
    for served, found in sent.items():
        found.sort(key=lambda attempt: attempt.stamps["send_start"])
        pairs += [(attempt, one, place) for place, (attempt, one) in enumerate(zip(found, seen[served], strict=True))]
    return pairs


def check_lives(line: Timeline) -> None:
    """Every attempt keeps the rules: legal order, its phases fill it without overlap, its number counts from 0."""
    assert line.faults == ()
    for request, attempts in by_request(line).items():
        assert [attempt.number for attempt in attempts] == list(range(len(attempts)))
        for attempt, following in zip(attempts, [*attempts[1:], None], strict=True):
            told = [(at, list(attempt.stamps).index(name), name) for name, at in attempt.stamps.items() if name != "due"]
            assert legal([name for *_, name in sorted(told)]) is None, (request, sorted(told))
            for one, two in pairwise(attempt.phases):
                assert one.end_ns == two.start_ns
            first = min(attempt.stamps[name] for name in ("created", "first_run", "enqueued") if name in attempt.stamps)
            assert attempt.phases[0].start_ns == first
            last = attempt.phases[-1].end_ns
            if following is not None:
                assert last == following.stamps["enqueued"]
            elif "done" in attempt.stamps:
                assert last == attempt.stamps["done"]
            assert len(FLAGS & {"error", "cancelled", "timed_out"} & set(attempt.flags)) <= 1


def check_account(pairs: list[tuple[Attempt, Seen, int]], since: int) -> None:
    """What the server saw agrees: whose request came over which connection, when, how often the connection had served, how much was answered."""
    for attempt, one, place in pairs:
        assert attempt.stamps["send_start"] + since <= one.received_ns, one
        assert ("reused" in attempt.flags) == (place > 0), (attempt, one)
        if "first_byte" in attempt.stamps:
            assert one.answered_ns <= attempt.stamps["first_byte"] + since + TICK_NS, one
        else:
            assert not one.answered_ns, one
        if "body" in attempt.stamps and not FLAGS & set(attempt.flags):
            assert attempt.wire_bytes == one.sent_bytes, one
        if attempt.status is not None:
            assert attempt.status == one.status, one


@pytest.fixture(scope="module", params=REAL, ids=["-".join(pair) for pair in REAL])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Every fate, with marks and without, in one program."""
    client, loop = request.param
    folder = tmp_path_factory.mktemp(f"{client}-{loop}")
    with serving(folder) as server:
        plan = Plan(server, folder)
        plan.fill(MARKED)
        plan.fill(PLAIN)
        yield Told(client, loop, server, folder, plan)


def test_every_fate_came_true(told: Told) -> None:
    # The tricks worked, or what follows would prove nothing: those that end well ended so for the program, the others did not.
    for number, outcome in ((int(key), outcome) for key, outcome in told.outcomes.items()):
        last = told.expected(number)[-1].split()
        assert outcome.split()[0] == last[0] if len(last) == 1 else outcome[0].isalpha(), (told.fates[number], outcome)
    assert not told.notes.warnings
    assert not [name for name, why in told.notes.not_observed.items() if "Error" in why or "is not there" in why]


def test_marked_requests_are_told_as_they_were(told: Told) -> None:
    # Each request has the attempts that it had, with their statuses and ends, under its driver's number.
    found = {number: attempts for number, attempts in by_request(told.line).items() if number >= MARKED}
    assert found.keys() == {number for number in told.fates if number < PLAIN}
    wrong = {
        (number, told.fates[number].path): ([summary(attempt) for attempt in attempts], told.expected(number))
        for number, attempts in found.items()
        if [summary(attempt) for attempt in attempts] != sorted_words(told.expected(number))
    }
    assert wrong == {}


def test_unmarked_requests_are_told_as_they_were(told: Told) -> None:
    # Without marks too; the server tells which request is which, and what never came to it is counted by its end.
    found = {number: attempts for number, attempts in by_request(told.line).items() if number < MARKED}
    asked: dict[int, set[int]] = defaultdict(set)
    for attempt, one, _ in matched(told.line, told.tables, told.account):
        if attempt.request < MARKED:
            asked[attempt.request].add(one.number)
    assert all(len(numbers) == 1 for numbers in asked.values())
    names = {own: numbers.pop() for own, numbers in asked.items()}
    assert len(set(names.values())) == len(names)
    wrong = {
        (names[own], told.fates[names[own]].path): ([summary(attempt) for attempt in attempts], told.expected(names[own]))
        for own, attempts in found.items()
        if own in names and [summary(attempt) for attempt in attempts] != sorted_words(told.expected(names[own]))
    }
    assert wrong == {}
    unseen = Counter(summary(attempt) for own, attempts in found.items() if own not in names for attempt in attempts)
    never_came = [number for number in told.fates if number >= PLAIN and number not in names.values()]
    assert unseen == Counter(words for number in never_came for words in told.expected(number))


def test_every_life_is_legal_and_whole(told: Told) -> None:
    # Orders are legal, stamps never go back, and phases fill each attempt.
    check_lives(told.line)


def test_the_server_agrees(told: Told) -> None:
    # No stamp is charged to another request: connection by connection, the server saw the same requests in the same order, within their stamps.
    pairs = matched(told.line, told.tables, told.account)
    check_account(pairs, told.began_ns)
    assert all(attempt.request == one.number for attempt, one, _ in pairs if attempt.request >= MARKED)


def test_connections_are_those_that_the_server_accepted(told: Told) -> None:
    # As many as it accepted, each with as many requests as it saw on it; what never came about is known too, and who began it.
    accepted = connected(told.line, told.tables, told.account)
    assert all(link.requests == accepted[link.number].requests for link in told.line.connections if link.number in accepted)
    never_made = [fate for fate in told.fates.values() if fate.listener in {"closed", "nowhere", "full"}]
    assert len(told.line.connections) - len(accepted) == len(never_made)
    links = {link.number: link for link in told.line.connections}
    for number, attempts in by_request(told.line).items():
        if number in told.fates and told.fates[number].listener in {"closed", "nowhere", "full", "mute"}:
            link = links[attempts[0].connection or 0]
            assert link.request == number
            assert "made" not in link.stamps


@pytest.mark.parametrize("wait", ["pool", "connect", "ssl", "wait", "receive"])
def test_a_wait_that_never_ends_has_its_name(told: Told, wait: str) -> None:
    # What is given up while it waits was waiting for just that: a lease, the connect, the handshake, the first byte, the rest of the body.
    attempts = by_request(told.line)
    names = []
    for number, fate in told.fates.items():
        if fate.waits == wait and number < PLAIN:
            lengths: Counter[str] = Counter()
            for phase in attempts[number][-1].phases:
                lengths[phase.name] += phase.end_ns - phase.start_ns
            names.append(lengths.most_common(1)[0][0])
    assert set(names) == {wait}


def test_hops_are_counted(told: Told) -> None:
    # An attempt knows how many redirects it is away from what was asked for.
    rows = told.tables["attempts"][1:]
    hops = {(int(row["request"]), int(row["flags"]) >> 16 & 0xFF): int(row["flags"]) >> 24 for row in rows if row["request"] >= MARKED}
    for number, fate in told.fates.items():
        if number < PLAIN:
            redirects = fate.path in ONWARD
            for attempt in range(len(told.expected(number))):
                assert hops[number, attempt] == (attempt if redirects else 0)


#: what plain programs do beyond one request a task: the number in the path is the request's
AIOHTTP = """
import asyncio, aiohttp, json, sys, time
urls = json.load(sys.stdin)
async def main():
    async with aiohttp.ClientSession() as session:
        try:
            await session.get(urls["closed"] + "/none/1")
        except aiohttp.ClientError:  # the next one in the same task, and where the first one's failure is handled
            async with session.get(urls["http"] + "/plain/2") as answer:
                await answer.read()
            (await session.get(urls["http"] + "/big/13")).close()  # not that failure's end
        for answer in await asyncio.gather(session.get(urls["http"] + "/plain/3"), session.get(urls["http"] + "/plain/4")):
            await answer.read()
        async with session.get(urls["http"] + "/chunked/5") as outer:
            async with session.get(urls["http"] + "/big/6") as inner:
                await inner.read()
            await outer.read()
        try:
            async with session.get(urls["http"] + "/cutoff/7") as answer:
                async for part in answer.content.iter_any():
                    pass
        except aiohttp.ClientError:
            pass
        async with session.get(urls["http"] + "/big/8") as answer:
            await answer.content.read(10)
        try:
            async with asyncio.timeout(0.2):
                async with session.get(urls["http"] + "/stuck/9") as answer:
                    await answer.content.read()
        except TimeoutError:
            pass
        await (await session.get(urls["http"] + "/redirect/10")).read()
        await (await session.get(urls["http"] + "/plain/11")).read()
        try:
            await session.get(urls["http"] + "/busy/12", raise_for_status=True)
        except aiohttp.ClientResponseError:
            pass
"""
HTTPX = """
import asyncio, httpx, json, sys, time
urls = json.load(sys.stdin)
async def main():
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as client:
        try:
            await client.get(urls["closed"] + "/none/1")
        except httpx.HTTPError:
            await client.get(urls["http"] + "/plain/2")
            async with client.stream("GET", urls["http"] + "/big/13"):
                pass  # not that failure's end
        made = [client.build_request("GET", urls["http"] + f"/plain/{k}") for k in (3, 4)]
        await asyncio.gather(*(client.send(one) for one in made))
        async with client.stream("GET", urls["http"] + "/chunked/5") as outer:
            async with client.stream("GET", urls["http"] + "/big/6") as inner:
                await inner.aread()
            await outer.aread()
        try:
            async with client.stream("GET", urls["http"] + "/cutoff/7") as answer:
                async for part in answer.aiter_bytes():
                    pass
        except httpx.HTTPError:
            pass
        async with client.stream("GET", urls["http"] + "/big/8") as answer:
            async for part in answer.aiter_bytes():
                break
        try:
            async with asyncio.timeout(0.2):
                async with client.stream("GET", urls["http"] + "/stuck/9") as answer:
                    await answer.aread()
        except TimeoutError:
            pass
        await client.get(urls["http"] + "/redirect/10")
        await client.get(urls["http"] + "/plain/11")
        await client.get(urls["http"] + "/busy/12")
        try:
            await client.get(urls["http"].replace("http", "ftp") + "/none/14")
        except httpx.UnsupportedProtocol:
            pass
"""
RUN = """
began = time.perf_counter_ns()
if sys.argv[1] == "uvloop":
    import uvloop
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
else:
    runner = asyncio.Runner()
with runner:
    runner.run(main())
print(json.dumps({"began_ns": began}))
"""
PROGRAMS = {"aiohttp": AIOHTTP, "httpx": HTTPX, "httpx2": HTTPX.replace("httpx", "httpx2")}
PLAIN_ENDS = {
    2: ["200"], 3: ["200"], 4: ["200"], 5: ["200"], 6: ["200"], 7: ["200 error"], 8: ["200"], 9: ["200 cancelled"],
    10: ["301 redirected", "200"], 11: ["200"], 13: ["200"],
}  # fmt: skip
OTHERS = {
    "aiohttp": {1: ["- error"], 12: ["429 error"]},  # it was asked to raise for that status
    "httpx": {1: ["- error"], 12: ["429"], 14: ["- error"]},
}  # fmt: skip
WHOLE = {2, 3, 4, 5, 6, 10, 11}  # were read whole by one call


@pytest.mark.parametrize(("client", "loop"), [pair for pair in REAL if pair[0] not in OWN])
def test_a_plain_program_is_told_as_it_was(tmp_path: Path, client: str, loop: str) -> None:
    # Failures handled by asking again, bodies read in pieces, two answers open in one task, requests made in one task and run in others.
    record = tmp_path / "record"
    record.mkdir()
    with serving(tmp_path) as server:
        began = run(["-W", "ignore", "-c", PROGRAMS[client] + RUN, loop], record, json.dumps(server.urls))["began_ns"]  # type: ignore[index]
        tables, account = columns.load(record), server.account
    spec = TrialSpec(id="t", arm=Arm(client=client, loop=loop), n=12, tier="timeline", repetition=0, seed=1)
    line = resolve(tables, TrialResult(spec=spec, status="ok", t0_ns=began))
    pairs = matched(line, tables, account)
    check_account(pairs, began)
    check_lives(line)
    names = {attempt.request: one.number for attempt, one, _ in pairs}
    attempts = by_request(line)
    names |= dict(zip(sorted(attempts.keys() - names.keys()), (1, 14), strict=False))  # never came to the server
    told = {names[own]: [summary(attempt) for attempt in found] for own, found in attempts.items()}
    assert told == PLAIN_ENDS | OTHERS.get(client, OTHERS["httpx"])
    assert {names[own] for own, found in attempts.items() if "body" in found[-1].stamps} >= WHOLE


def test_every_real_client_has_a_plain_program() -> None:
    # A client that is added to the registry comes under this contract.
    assert set(PROGRAMS) == {client for client, _ in REAL} - OWN
