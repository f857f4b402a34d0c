"""Which requests are made when: all at once, by c workers, or at an arrival rate.

In the bare tier nothing of loopdiag's runs between the two clock reads but what any good program would do: one coroutine a request that
keeps its body and counts its failure.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from itertools import accumulate
from random import Random
from types import ModuleType

from loopdiag.lab.clients import REFUSALS, Answer, Client, error_kind
from loopdiag.lab.loops import Clock
from loopdiag.lab.planted import Plants
from loopdiag.model.scenario import Plant, Workload
from loopdiag.model.value import Value

MS = 1_000_000

Request = Callable[[int, int, int], Coroutine[None, None, None]]  # number from 1, due_ns, created_ns


class Outcome(Value, frozen=True, kw_only=True):
    """What a timed part left: its two clock reads, failures by kind, and the bodies in request order (None: failed)."""

    t0_ns: int
    t1_ns: int
    errors: dict[str, int]
    bodies: list[bytes | None]


class Work:
    """The requests of one trial.

    Args:
        client: an open client.
        urls: one address a request.
        workload: how they are made.
        clock: the loop's clock, in nanoseconds.
        arrivals: draws the gaps of a Poisson workload.
        marks: where each request says when it was due, created and done; None in the bare tier.
    """

    def __init__(  # noqa: PLR0913 - a trial's parts
        self, client: Client, urls: Sequence[str], workload: Workload, *, clock: Clock, arrivals: Random, marks: ModuleType | None
    ) -> None:
        self._ask, self._kinds = client.fetch, client.kinds
        self._fetch = self._insist if workload.retries else client.fetch
        self._plants = Plants(workload.plant, len(urls)) if workload.plant != Plant() else None
        self._urls, self._workload, self._clock, self._arrivals = urls, workload, clock, arrivals
        self._marks = marks
        self._decode = json.loads if workload.decode == "json" and workload.decode_when == "inside" else None
        self._bodies: list[bytes | None] = [None] * len(urls)
        self._errors: Counter[str] = Counter()

    async def run(self) -> Outcome:
        """Make the requests; t0 is read just before the first task is created, t1 when the last response is in."""
        if self._workload.kind == "open":
            t0 = await self._open()
        elif self._workload.concurrency:
            t0 = await self._workers(self._workload.concurrency)
        else:
            t0 = await self._at_once()
        return Outcome(t0_ns=t0, t1_ns=self._clock(), errors=dict(self._errors), bodies=self._bodies)

    async def _at_once(self) -> int:
        create, numbers = asyncio.get_running_loop().create_task, range(1, len(self._urls) + 1)
        if self._marks is None:
            t0 = self._clock()
            await asyncio.gather(*[create(self._request(i)) for i in numbers])
            return t0
        t0 = self._clock()
        await asyncio.gather(*[create(self._marked(i, created, created)) for i in numbers for created in (self._clock(),)])
        return t0

    async def _workers(self, count: int) -> int:
        create = asyncio.get_running_loop().create_task
        numbers = iter(range(1, len(self._urls) + 1))
        t0 = self._clock()
        await asyncio.gather(*[create(self._worker(numbers)) for _ in range(min(count, len(self._urls)))])
        return t0

    async def _worker(self, numbers: Iterator[int]) -> None:
        if self._marks is None:
            for i in numbers:
                await self._request(i)
            return
        for i in numbers:
            created = self._clock()
            await self._marked(i, created, created)

    async def _open(self) -> int:
        """Start each request when it is due, whether or not the ones before it have ended."""
        create, clock = asyncio.get_running_loop().create_task, self._clock
        offsets, tasks = offsets_ns(self._workload, len(self._urls), self._arrivals), []
        t0 = clock()
        for i, offset in enumerate(offsets, 1):
            due = t0 + offset
            if (early := due - clock()) > 0:
                await asyncio.sleep(early / 1e9)
            # uvloop counts whole milliseconds, and may wake before its time
            while (early := due - clock()) > 0:  # noqa: ASYNC110 - what is waited for is a time
                await asyncio.sleep(-(-early // MS) / 1e3)
            tasks.append(create(self._request(i) if self._marks is None else self._marked(i, due, clock())))
        await asyncio.gather(*tasks)
        return t0

    async def _request(self, number: int) -> None:
        """One request: keep the body, or count the failure."""
        try:
            status, body, _ = await self._fetch(self._urls[number - 1])
            if status >= 400:
                self._errors[f"status-{status // 100}xx"] += 1
                return
            if self._decode is not None:
                self._decode(body)
            if self._plants is not None:
                await self._plants.after_answer()
            self._bodies[number - 1] = body
        except Exception as error:  # noqa: BLE001 - a failed request is counted, it never ends the trial
            self._errors[failure(error, self._kinds)] += 1

    async def _marked(self, number: int, due_ns: int, created_ns: int) -> None:
        """`_request` with marks at its ends and after decoding."""
        marks = self._marks
        assert marks is not None
        marks.begin(number, due_ns, created_ns)
        try:
            status, body, _ = await self._fetch(self._urls[number - 1])
            if status >= 400:
                self._errors[f"status-{status // 100}xx"] += 1
                return
            if self._decode is not None:
                self._decode(body)
                marks.decoded()
            if self._plants is not None:
                await self._plants.after_answer()
            self._bodies[number - 1] = body
        except Exception as error:  # noqa: BLE001 - a failed request is counted, it never ends the trial
            self._errors[failure(error, self._kinds)] += 1
            marks.failed()
        finally:
            marks.end()

    async def _insist(self, url: str) -> Answer:
        """Ask again after a 429 or a 503, when that said so, up to `retries` times."""
        for _ in range(self._workload.retries):
            answer = await self._ask(url)
            if answer.status not in REFUSALS:
                return answer
            await self._pause(answer.retry_after_s)
        return await self._ask(url)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def offsets_ns(workload: Workload, count: int, arrivals: Random) -> list[int]:
    """When each of `count` requests of an open workload is due, in nanoseconds after t0; the first at once."""
    rate = workload.rate_per_s
    assert rate is not None
    if workload.arrivals == "constant":
        return [round(k / rate * 1e9) for k in range(count)]
    gaps = [0.0, *(arrivals.expovariate(rate) for _ in range(count - 1))]
    return [round(at * 1e9) for at in accumulate(gaps)]


def failure(error: Exception, kinds: Mapping[str, str]) -> str:
    """The kind of a failed request: that its body could not be decoded, or what `error_kind` says; `kinds` are the client's."""
    return "decode" if isinstance(error, ValueError) and _decoding(error) else error_kind(error, kinds)


def _decoding(error: ValueError) -> bool:
    """Whether the body, not the request, was at fault."""
    return isinstance(error, json.JSONDecodeError | UnicodeDecodeError)


def instruments() -> ModuleType | None:
    """The marks of the injected instruments; None where there are none."""
    package = sys.modules.get("loopdiag_instruments")
    marks: ModuleType | None = getattr(package, "marks", None)
    return marks


def decode_all(bodies: list[bytes | None]) -> Counter[str]:
    """Decode every body that came; failures by kind."""
    errors: Counter[str] = Counter()
    for body in bodies:
        if body is not None:
            try:
                json.loads(body)
            except ValueError:
                errors["decode"] += 1
    return errors
