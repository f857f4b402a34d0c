"""What the runners for blocking clients share: the instruments, and a client that is warm."""

import contextlib
import importlib
import time
from types import ModuleType

from loopdiag.lab.clients import BlockingClient
from loopdiag.lab.job import Job
from loopdiag.lab.measuring import options_of, urls_of
from loopdiag.lab.workload import instruments

SEVERAL = "kept for one thread, and the requests are made by several"


def drivers() -> ModuleType | None:
    """The injected instruments' part for drivers of other kinds than asyncio's; None where there are none."""
    return importlib.import_module("loopdiag_instruments.drivers") if instruments() is not None else None


def observe(job: Job) -> ModuleType | None:
    """The marks of the timeline tier, with blocking clients watched; None in the other tiers."""
    marks = instruments() if job.spec.tier == "timeline" else None
    if marks is not None and (driving := drivers()) is not None:
        driving.blocking()
    return marks


def opened(client_class: type[BlockingClient], job: Job) -> tuple[BlockingClient, int]:
    """An open client, and how many nanoseconds the first opening of one took; warmed up by a request on another one where the job says so."""
    began = time.perf_counter_ns()
    first = client_class()
    first.open(options_of(job))
    opened_ns = time.perf_counter_ns() - began
    if not job.warm_up:
        return first, opened_ns
    with contextlib.suppress(Exception):  # the timed part will tell
        first.fetch(urls_of(job)[0])
    first.close()
    client = client_class()
    client.open(options_of(job))
    return client, opened_ns
