"""The requests of one trial where each call blocks its thread: made one by one, or handed to workers."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType

from loopdiag.lab.clients import REFUSALS, Answer, BlockingClient
from loopdiag.lab.job import Job
from loopdiag.lab.measuring import arrivals_of
from loopdiag.lab.workload import Outcome, failure, offsets_ns
from loopdiag.model.scenario import Workload

WORKERS = 8  # of a pool, where the scenario says nothing: the blog's

Made = tuple[bytes | None, str | None]  # a body, or the kind of its failure


def workers(workload: Workload) -> int:
    """How many work side by side."""
    return workload.concurrency or WORKERS


class BlockingWork:
    """Makes single requests, in whichever thread it is called.

    Args:
        client: an open client.
        urls: one address a request.
        workload: how they are made.
        marks: where each request says when it was due, created and done; None in the bare tier.
    """

    def __init__(self, client: BlockingClient, urls: Sequence[str], workload: Workload, marks: ModuleType | None) -> None:
        self._client, self._urls, self._marks = client, urls, marks
        self._retries = workload.retries
        self._decode = json.loads if workload.decode == "json" and workload.decode_when == "inside" else None

    def request(self, number: int, due_ns: int = 0, created_ns: int = 0) -> Made:
        """One request: its body, or how it failed."""
        return self._request(number) if self._marks is None else self._marked(self._marks, number, due_ns, created_ns)

    def _request(self, number: int) -> Made:
        try:
            status, body, _ = self._fetch(self._urls[number - 1])
            if status >= 400:
                return None, f"status-{status // 100}xx"
            if self._decode is not None:
                self._decode(body)
        except Exception as error:  # noqa: BLE001 - a failed request is counted, it never ends the trial
            return None, failure(error, self._client.kinds)
        return body, None

    def _marked(self, marks: ModuleType, number: int, due_ns: int, created_ns: int) -> Made:
        """`_request` with marks at its ends and after decoding."""
        marks.begin(number, due_ns, created_ns)
        try:
            status, body, _ = self._fetch(self._urls[number - 1])
            if status >= 400:
                return None, f"status-{status // 100}xx"
            if self._decode is not None:
                self._decode(body)
                marks.decoded()
        except Exception as error:  # noqa: BLE001 - a failed request is counted, it never ends the trial
            marks.failed()
            return None, failure(error, self._client.kinds)
        finally:
            marks.end()
        return body, None

    def _fetch(self, url: str) -> Answer:
        """Ask, and after a 429 or a 503 ask again, when that said so, up to `retries` times."""
        for _ in range(self._retries):
            answer = self._client.fetch(url)
            if answer.status not in REFUSALS:
                return answer
            time.sleep(answer.retry_after_s)
        return self._client.fetch(url)


def handed_out(job: Job, hand: Callable[[int, int, int], None]) -> int:
    """Give each request's number, and when it was due and created, to `hand`, all at once or when each is due; t0, read just before the first."""
    workload, clock = job.scenario.workload, time.perf_counter_ns
    if workload.kind == "closed":
        t0 = clock()
        for number in range(1, job.spec.n + 1):
            created = clock()
            hand(number, created, created)
        return t0
    offsets = offsets_ns(workload, job.spec.n, arrivals_of(job))
    t0 = clock()
    for number, offset in enumerate(offsets, 1):
        if (early := t0 + offset - clock()) > 0:
            time.sleep(early / 1e9)
        hand(number, t0 + offset, clock())
    return t0


def outcome(t0_ns: int, t1_ns: int, made: Iterable[Made]) -> Outcome:
    """What the timed part left, from what each request left, in their order."""
    bodies, kinds = zip(*made, strict=True)
    return Outcome(t0_ns=t0_ns, t1_ns=t1_ns, errors=dict(Counter(kind for kind in kinds if kind is not None)), bodies=list(bodies))
