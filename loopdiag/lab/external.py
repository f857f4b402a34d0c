"""Clients in other languages: programs that talk as lab/job.py says, started in the place of loopdiag's own worker."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from loopdiag.errors import Unavailable
from loopdiag.lab.clients import CLIENTS
from loopdiag.lab.job import Job
from loopdiag.lab.own_environments import Note
from loopdiag.model.recording import Tier
from loopdiag.model.scenario import Arm, Plant, Scenario

#: of the profilers' tiers
PYTHON_ONLY = "the profilers watch Python only, and the client is a program in another language"
ONE_PROCESS = "the profilers watch one process, and the requests are made by several"


class External(Protocol):
    """A client that is a program of its own; its arms run on the loop `own`."""

    #: fields of the workload's plant that it can play
    plants: frozenset[str]
    #: how many it uses; one that uses more than a trial is pinned to is not pinned
    cores: int

    @staticmethod
    def available() -> str | None:
        """Return None, or why it cannot be run here."""

    @staticmethod
    def versions() -> Mapping[str, str]:
        """Return the version of its language."""

    @staticmethod
    def command(folder: Path) -> tuple[str, ...]:
        """Return its command line for a trial whose folder this is; compiled now where it was not yet.

        Raises:
            Unavailable: it cannot be compiled.
        """

    @staticmethod
    def ready() -> bool:
        """Whether `command` has nothing to compile."""

    @staticmethod
    def environment(job: Job) -> Mapping[str, str]:
        """Return what it wants in its environment."""

    @staticmethod
    def refuses(scenario: Scenario) -> Iterator[str]:
        """Yield what of a scenario it has no means for, one line each."""


def external(arm: Arm) -> type[External] | None:
    """The arm's client where that is a program of its own."""
    if arm.apart or arm.client not in CLIENTS:
        return None
    found: Any = CLIENTS[arm.client]
    return found if hasattr(found, "command") else None


def command(arm: Arm, folder: Path) -> tuple[str, ...] | None:
    """The command line of the arm's worker; None where that is loopdiag's own."""
    client = external(arm)
    return None if client is None else client.command(folder)


def environment(job: Job) -> dict[str, str]:
    """What the job's client wants in its environment beside what every trial has."""
    client = external(job.spec.arm)
    return {} if client is None else dict(client.environment(job))


@contextmanager
def pinned(job: Job) -> Iterator[None]:
    """Whatever this thread starts inside runs on the job's cores, where its client is a program of its own: not every language can pin itself."""
    client = external(job.spec.arm)
    if client is None or not client.cores <= len(job.cores):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, job.cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def refused(arm: Arm) -> dict[Tier, str]:
    """The tiers that an arm cannot be run in, each with why."""
    if arm.loop == "processes":
        return {"profile": ONE_PROCESS, "calls": ONE_PROCESS}
    return {} if external(arm) is None else {"profile": PYTHON_ONLY, "calls": PYTHON_ONLY}


def faults(arm: Arm, scenario: Scenario) -> Iterator[str]:
    """Say what of the scenario the arm's client cannot do."""
    client = external(arm)
    if client is None:
        return
    plant, none = scenario.workload.plant, Plant()
    for name in plant.__struct_fields__:
        if getattr(plant, name) != getattr(none, name) and name not in client.plants:
            yield f"{arm.client} is no Python program and cannot play workload.plant.{name}; remove the key, or the arm"
    if scenario.workload.kind == "open" and scenario.workload.arrivals == "poisson":
        yield f'{arm.client} cannot draw the other arms\' arrivals; expected workload.arrivals = "constant", or remove the arm'
    yield from client.refuses(scenario)


def prepare(scenario: Scenario, note: Note) -> None:
    """Compile what is to be compiled, outside of any trial.

    Raises:
        Unavailable: it cannot be.
    """
    failed: list[str] = []
    for arm in scenario.arms:
        client = external(arm)
        if client is not None:
            if (why := client.available()) is not None:
                failed.append(f"arm {arm.name}: {why}")
                continue
            if not client.ready():
                note(f"{arm.client}: its program is compiled, once; that may take a minute")
            try:
                client.command(Path())
            except Unavailable as fault:
                failed += fault.faults
    if failed:
        raise Unavailable(*dict.fromkeys(failed))
