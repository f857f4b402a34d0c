"""The worker of an arm with an environment of its own, on CPython 3.8 and later, with the standard library alone.

It sees nothing of loopdiag but this folder.  It has the same talk with its parent, and makes the same requests in the same way, as
`loopdiag.lab.worker` does, as far as a closed workload of plain requests goes; the scenario's rules refuse what it cannot do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import platform
import signal
import ssl
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from importlib import import_module
from importlib.metadata import distributions
from resource import RUSAGE_SELF, getrusage
from typing import Any

from . import TOOLS
from .clients import CLASSES, error_kind

PR_SET_PDEATHSIG = 1
READY, GO, DONE = b"ready\n", b"go\n", b"done\n"


class Work:
    """The requests of one trial, all at once or by c workers; `marks` is None in the bare tier."""

    def __init__(self, client: Any, urls: list[str], workload: dict[str, Any], marks: Any) -> None:
        self._fetch, self._kinds = client.fetch, client.kinds
        self._urls, self._count, self._marks = urls, workload["concurrency"], marks
        self._decode = json.loads if workload["decode"] == "json" and workload["decode_when"] == "inside" else None
        self.bodies: list[bytes | None] = [None] * len(urls)
        self.errors: Counter[str] = Counter()

    async def run(self) -> tuple[int, int]:
        """Make them; the clock just before the first task is created, and when the last response is in."""
        create, clock = asyncio.get_running_loop().create_task, time.perf_counter_ns
        numbers = iter(range(1, len(self._urls) + 1))
        if self._count:
            t0 = clock()
            await asyncio.gather(*[create(self._worker(numbers)) for _ in range(min(self._count, len(self._urls)))])
        elif self._marks is None:
            t0 = clock()
            await asyncio.gather(*[create(self._request(i)) for i in numbers])
        else:
            t0 = clock()
            await asyncio.gather(*[create(self._marked(i, clock())) for i in numbers])
        return t0, clock()

    async def _worker(self, numbers: Iterator[int]) -> None:
        for i in numbers:
            await (self._request(i) if self._marks is None else self._marked(i, time.perf_counter_ns()))

    async def _request(self, number: int) -> None:
        """One request: keep the body, or count the failure."""
        try:
            status, body = await self._fetch(self._urls[number - 1])
            if status >= 400:
                self.errors[f"status-{status // 100}xx"] += 1
                return
            if self._decode is not None:
                self._decode(body)
            self.bodies[number - 1] = body
        except Exception as error:  # noqa: BLE001 - a failed request is counted, it never ends the trial
            self.errors[self._kind(error)] += 1

    async def _marked(self, number: int, created_ns: int) -> None:
        """`_request` with marks at its ends and after decoding."""
        marks = self._marks
        marks.begin(number, created_ns, created_ns)
        try:
            status, body = await self._fetch(self._urls[number - 1])
            if status >= 400:
                self.errors[f"status-{status // 100}xx"] += 1
                return
            if self._decode is not None:
                self._decode(body)
                marks.decoded()
            self.bodies[number - 1] = body
        except Exception as error:  # noqa: BLE001 - a failed request is counted, it never ends the trial
            self.errors[self._kind(error)] += 1
            marks.failed()
        finally:
            marks.end()

    def _kind(self, error: Exception) -> str:
        return "decode" if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)) else error_kind(error, self._kinds)


def main() -> None:
    """Do the job that stands on stdin."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # the parent died before the line above
    job = json.loads(sys.stdin.buffer.readline())
    if job["cores"]:
        os.sched_setaffinity(0, job["cores"])
    opened_ns = _on_loop(job, _warm_up(job)) if job["warm_up"] else None
    report = _on_loop(job, _measure(job, opened_ns))
    report["versions"] = _versions()
    path = os.path.join(job["folder"], "worker.json")
    with open(path + ".tmp", "w") as file:
        file.write(json.dumps(report))
    os.replace(path + ".tmp", path)


def _on_loop(job: dict[str, Any], what: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a loop of the arm's kind, as programs of each time did."""
    name = job["spec"]["arm"]["loop"]
    if sys.version_info >= (3, 11):
        factory = asyncio.SelectorEventLoop if name == "asyncio" else import_module(name).new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(what)
    if name != "asyncio":
        import_module(name).install()
    return asyncio.run(what)


async def _warm_up(job: dict[str, Any]) -> int:
    """One request by a client of its own; how many nanoseconds opening that took, the library's import included."""
    client = _client(job)
    began = time.perf_counter_ns()
    await client.open(job)
    opened_ns = time.perf_counter_ns() - began
    with contextlib.suppress(Exception):  # the timed part will tell
        await client.fetch(_urls(job)[0])
    await client.close()
    return opened_ns


async def _measure(job: dict[str, Any], first_opened_ns: int | None) -> dict[str, Any]:
    """Open the client, wait for the word, run the timed part, decode, report."""
    marks = getattr(sys.modules.get("loopdiag_instruments"), "marks", None) if job["spec"]["tier"] == "timeline" else None
    client = _client(job)
    began = time.perf_counter_ns()
    await client.open(job)
    opened_ns = time.perf_counter_ns() - began
    work = Work(client, _urls(job), job["scenario"]["workload"], marks)
    os.write(sys.stdout.fileno(), READY)
    if sys.stdin.buffer.readline() != GO:
        raise EOFError("the parent is gone")
    before = _meter()
    t0, t1 = await work.run()
    after = _meter()
    os.write(sys.stdout.fileno(), DONE)
    await client.close()
    return _report(job, work, (t0, t1), (before, after), opened_ns if first_opened_ns is None else first_opened_ns)


def _report(job: dict[str, Any], work: Work, times: tuple[int, int], meters: tuple[Any, Any], setup_ns: int) -> dict[str, Any]:
    """What was measured, as `loopdiag.lab.job.WorkerReport` has it."""
    workload, (before, after) = job["scenario"]["workload"], meters
    decode_s: float | None = None
    if workload["decode"] == "json" and workload["decode_when"] == "after" and job["spec"]["tier"] == "timeline":
        began = time.perf_counter_ns()
        for body in work.bodies:
            if body is not None:
                try:
                    json.loads(body)
                except ValueError:
                    work.errors["decode"] += 1
        decode_s = (time.perf_counter_ns() - began) / 1e9
    waited = None if before[1] is None or after[1] is None else (after[1] - before[1]) / 1e9
    return {
        "t0_ns": times[0],
        "t1_ns": times[1],
        "total_s": (times[1] - times[0]) / 1e9,
        "setup_s": setup_ns / 1e9,
        "cpu_s": (after[0] - before[0]) / 1e9,
        "run_queue_s": waited,
        "rss_peak_kib": _rss_peak_kib(),
        "gc_collections": after[2] - before[2],
        "errors": dict(work.errors),
        "succeeded": sum(body is not None for body in work.bodies),
        "body_bytes": sum(len(body) for body in work.bodies if body is not None),
        "decode_s": decode_s,
        "not_observed": {"run_queue_s": "the kernel keeps no /proc/self/schedstat"} if waited is None else {},
    }


def _client(job: dict[str, Any]) -> Any:
    name = job["spec"]["arm"]["client"]
    return CLASSES[name](name)


def _urls(job: dict[str, Any]) -> list[str]:
    address = job["url"].rstrip("/") + job["scenario"]["target"]["path"]
    return [address.replace("{i}", str(i)) for i in range(1, job["spec"]["n"] + 1)]


def _meter() -> tuple[int, int | None, int]:
    """CPU of the process and waiting for a core so far, in nanoseconds, and collections."""
    waited = None
    with contextlib.suppress(OSError, IndexError, ValueError), open("/proc/self/schedstat", "rb") as file:
        waited = int(file.read().split()[1])
    return time.process_time_ns(), waited, sum(generation["collections"] for generation in gc.get_stats())


def _rss_peak_kib() -> int:
    """The most memory that this program held; ru_maxrss keeps the parent's from before the exec."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1])
    return getrusage(RUSAGE_SELF).ru_maxrss


def _versions() -> dict[str, str]:
    """Of the interpreter, of its OpenSSL, and of all that is installed beside it, but for the installers."""
    found = {one.metadata["Name"]: one.version for one in distributions()}
    own = {"python": platform.python_version(), "openssl": ssl.OPENSSL_VERSION.split()[1]}
    return {**own, **{name: found[name] for name in sorted(filter(None, found)) if name.lower() not in TOOLS}}
