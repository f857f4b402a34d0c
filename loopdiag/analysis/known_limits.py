"""What a scenario says of the client: its workload, and its pool with each library's own defaults."""

from dataclasses import dataclass

from loopdiag.analysis.machine import Machine
from loopdiag.model.scenario import Arm, Scenario

#: no limit is reached with so many streams on one connection
MANY_STREAMS = 1_000_000


@dataclass(frozen=True)
class Library:
    """A client's pool, as its library makes it.

    Attributes:
        limit: connections at most, where the scenario does not say; 0: no limit.
        keepalive: idle ones at most, likewise; None: all are kept.
        counts_all: as in `Machine`.
        scans: each start and end of a request looks at every connection for every queued request.
        connection_s: CPU of the loop to open a connection, without TLS, as far as is known beforehand.
        caches: whether a name is looked up once.
    """

    limit: int = 100
    keepalive: int | None = None
    counts_all: bool = False
    scans: bool = False
    connection_s: float = 0.0002
    caches: bool = False


LIBRARIES = {
    "aiohttp": Library(caches=True),
    "httpx": Library(keepalive=20, counts_all=True, scans=True, connection_s=0.0007),
    "httpx2": Library(keepalive=20, connection_s=0.0007),
    "urllib3": Library(limit=0, keepalive=10),
    "requests": Library(limit=0, keepalive=10),
    "http.client": Library(limit=0),
    "httpx-sync": Library(keepalive=20, counts_all=True, scans=True, connection_s=0.0007),
    "httpx.get": Library(limit=0, connection_s=0.0007),
    **dict.fromkeys(("go", "go-2"), Library(limit=0, keepalive=2)),
    **dict.fromkeys(("go-h2", "node-fetch"), Library(limit=0)),
    "fake": Library(connection_s=0.0),
}

#: workers of a pool, where the workload does not say
WORKERS = {"threads": 8, "processes": 8}


def blocking(loop: str) -> bool:
    """Whether the arm has no event loop: calls block their thread."""
    return loop == "sync" or loop in WORKERS


def at_once(loop: str, asked: int | None) -> int | None:
    """How many requests are under way at most before the client is asked; None: all."""
    return 1 if loop == "sync" else asked or WORKERS.get(loop)


def library(arm: Arm) -> Library:
    """The arm's; a client that is not known has the common defaults."""
    return LIBRARIES.get(arm.client, Library())


def known(scenario: Scenario, arm: Arm) -> Machine:
    """A machine without costs: limits and arrivals alone."""
    own, pool, work = library(arm), scenario.pool, scenario.workload
    bounds = [bound for bound in (own.limit if pool.limit is None else pool.limit, pool.limit_per_host) if bound]
    limit = min(bounds) if bounds else None
    keepalive = own.keepalive if pool.keepalive is None or own.keepalive is None else pool.keepalive or None
    if keepalive is not None and limit is not None:
        keepalive = min(keepalive, limit)
    is_open = work.kind == "open" and work.rate_per_s is not None
    return Machine(
        limit=limit,
        keepalive=keepalive,
        counts_all=own.counts_all,
        blocking=blocking(arm.loop),
        workers=None if is_open else at_once(arm.loop, work.concurrency),
        interval=1 / work.rate_per_s if is_open and work.rate_per_s else None,
        streams=MANY_STREAMS if scenario.target.http == "2" else None,
        lookups_at_once=4 if arm.loop == "uvloop" else 6,
    )
