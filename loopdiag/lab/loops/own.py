"""No loop of ours: the client brings its own, in this process (`Bringing`) or as a program in another language (`command`)."""

import contextlib
import time
from typing import Any, Protocol

from loopdiag.errors import Unavailable
from loopdiag.lab.clients import Client, ClientOptions
from loopdiag.lab.job import Job, WorkerReport
from loopdiag.lab.loops import BuiltInLoop
from loopdiag.lab.measuring import Timed, Urls, options_of, urls_of
from loopdiag.lab.workload import Outcome, instruments
from loopdiag.model.scenario import Workload


class Bringing(Protocol):
    """A client that makes all requests of a workload by a loop of its own."""

    def begin(self, options: ClientOptions) -> None:
        """Build the client; raises Unavailable where it cannot do what the options ask."""

    def run(self, urls: Urls, workload: Workload, *, marks: Any = None) -> Outcome:
        """Make the requests; `marks` are the instruments' in the timeline tier."""

    def end(self) -> None:
        """Close the client and its connections."""


class OwnLoop(BuiltInLoop):
    """The loop of a client that brings one."""

    @staticmethod
    def runner(client_class: type[Client], job: Job) -> WorkerReport:
        """Let the client run the trial.

        Raises:
            Unavailable: it has no loop of its own.
        """
        if not hasattr(client_class, "run"):
            raise Unavailable(f"{job.spec.arm.client} has no loop of its own; it needs asyncio or uvloop")
        made: Any = client_class  # a type[Bringing], which the registry of clients cannot tell
        return run_own(made, job)


def run_own(client_class: type[Bringing], job: Job) -> WorkerReport:
    """Open the client, warm up, wait for the word, run the timed part, report."""
    options, urls, workload = options_of(job), urls_of(job), job.scenario.workload
    began = time.perf_counter_ns()
    client = client_class()
    client.begin(options)
    setup_ns = time.perf_counter_ns() - began
    if job.warm_up:
        with contextlib.suppress(Exception):  # the timed part will tell
            client.run(Urls(job.url.rstrip("/"), job.scenario.target.path, 1), Workload(timeout_s=workload.timeout_s))
        client.end()
        client = client_class()
        client.begin(options)
    marks = instruments() if job.spec.tier == "timeline" else None
    timed = Timed(job)
    timed.begin()
    outcome = client.run(urls, workload, marks=marks)
    timed.end()
    client.end()
    return timed.report(outcome, setup_ns)
