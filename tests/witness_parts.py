"""What the tests against independent witnesses share: a witness inside the system's resolver, and trials that tell how disturbed they were."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import pytest

from loopdiag.lab import columns
from loopdiag.lab.injection import LIGHT, injected_environment
from loopdiag.lab.job import Job
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Instruments, Scenario

ATTEMPTS, ENOUGH = 4, 2
PATIENCE_S = 60.0  # after which nothing is measured again
#: a thread that waits for a CPU for more than this share of its time cannot have 95 of 100 stamps that tell of itself
WAITING = 0.02
#: nor can one on a machine that spends more than this share of its CPUs on other work, some of it in our kernel's stead
ELSEWHERE = 0.1

RESOLVER = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* names only: an address needs no look-up, though libraries ask for some */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    unsigned char address[16];
    if (!node || inet_pton(AF_INET, node, address) == 1 || inet_pton(AF_INET6, node, address) == 1) return next(node, service, hints, found);
    uint64_t stamps[2] = {now(), 0};
    const char *log = getenv("LOOK_UPS");
    for (const char *plan = getenv("PLANTED_LOOK_UPS_MS"); plan && *plan; plan = strchr(plan, ',') ? strchr(plan, ',') + 1 : NULL) {
        char *rest; /* port=ms,port=ms */
        unsigned long port = strtoul(plan, &rest, 10);
        if (!service || port != strtoul(service, NULL, 10)) continue;
        uint64_t until = stamps[0] + strtoull(rest + 1, NULL, 10) * 1000000u;
        struct timespec t = {until / 1000000000u, until % 1000000000u};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL)) {}
    }
    int result = next(node, service, hints, found);
    stamps[1] = now();
    int file = log ? open(log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file >= 0) {
        if (write(file, stamps, sizeof stamps) != sizeof stamps) abort();
        close(file);
    }
    return result;
}
"""

#: what the client's process runs first.  aiodns asks servers by itself, past the system's resolver; without it aiohttp looks names up as a plain
#: installation does.  And the process goes before the machine's other work, where we may ask for that.
SITE = """
import os, sys
sys.modules["aiodns"] = None
try:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
except (AttributeError, OSError):
    pass
"""


def go_first(thread: int) -> None:
    """Let one of our threads run before the machine's other work, where we may."""
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(1))


def build_resolver(folder: Path) -> Path | None:
    """A library for LD_PRELOAD that delays and logs the look-ups of a process, whatever loop asks; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source, library = folder / "resolver.c", folder / "resolver.so"
    source.write_text(RESOLVER, encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, capture_output=True)
    return library


def look_ups(folder: Path) -> np.ndarray:
    """Begin and end of every look-up that the resolver logged, shape (look-ups, 2)."""
    return np.fromfile(folder / "look_ups", dtype=np.uint64).astype(np.int64).reshape(-1, 2)


def witnessing(resolver: Path | None) -> Callable[[Mapping[str, str], Path, Instruments], dict[str, str]]:
    """An injection that takes the resolver with it and keeps aiodns out."""

    def inject(env: Mapping[str, str], folder: Path, options: Instruments = LIGHT) -> dict[str, str]:
        own = folder / "site"
        own.mkdir()
        (own / "sitecustomize.py").write_text(SITE, encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(own), env.get("PYTHONPATH")]))
        preload = {} if resolver is None else {"LD_PRELOAD": str(resolver), "LOOK_UPS": str(folder / "look_ups")}
        return injected_environment({**env, "PYTHONPATH": path, **preload}, folder, options)

    return inject


class Machine(NamedTuple):
    """What the machine did so far (seconds)."""

    at: float
    waited: float  # the given threads were runnable, but not running
    ours: float  # CPU of this process and its children
    busy: float  # CPU of everything, and what the host took

    @classmethod
    def read(cls, *threads: int) -> "Machine":
        """Read all of it; processes that still run are no children yet, and are left out of `ours`."""
        own = os.times()
        ticks = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        return cls(time.monotonic(), sum(map(run_queue_s, threads)), sum(own[:4]), busy)


def disturbance(before: Machine, after: Machine, *, waited_s: float, ours_s: float) -> float:
    """How much the machine's other work took, in units of what is too much.

    Args:
        before: read when the measurement began.
        after: read when it had ended, its children too.
        waited_s: how long the client waited for a CPU.
        ours_s: CPU of processes of ours that go on.
    """
    wall = after.at - before.at
    elsewhere = (after.busy - before.busy - (after.ours - before.ours) - ours_s) / wall / (os.cpu_count() or 1)
    return max(waited_s / wall / WAITING, (after.waited - before.waited) / wall / WAITING, elsewhere / ELSEWHERE)


class Cell(NamedTuple):
    """One trial, its tables, and how much the machine's other work disturbed it; beyond 1 too much."""

    result: TrialResult
    tables: dict[str, np.ndarray]
    folder: Path
    disturbance: float


def run_cell(server: TargetServer, scenario: Scenario, n: int, folder: Path, resolver: Path | None) -> Cell:
    """One timeline trial of the scenario's only arm with `n` requests."""
    folder.mkdir()
    spec = TrialSpec(id="t", arm=scenario.arms[0], n=n, tier="timeline", repetition=0, seed=1)
    ca_file = str(server.ca_file) if server.ca_file else None
    job = Job(scenario=scenario, spec=spec, url=server.url, folder=str(folder), ca_file=ca_file, warm_up=True)
    go_first(server.pid)
    before, server_ns = Machine.read(server.pid), server.cpu_ns()
    result = Bench(server, inject=witnessing(resolver)).run(job, folder)
    after, server_ns = Machine.read(server.pid), server.cpu_ns() - server_ns
    assert result.status == "ok", result.why
    disturbed = disturbance(before, after, waited_s=result.run_queue_s or 0.0, ours_s=server_ns / 1e9)
    return Cell(result, columns.load(folder), folder, disturbed)


def run_queue_s(thread: int) -> float:
    """How long a thread (a process: its first one) was runnable, but not running; 0 where the kernel does not count it."""
    try:
        return int(Path(f"/proc/{thread}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


class Disturbed(Protocol):
    """What was measured, and how much the machine's other work disturbed it."""

    @property
    def disturbance(self) -> float:
        """In units of what is too much."""


Key = TypeVar("Key", bound=Hashable)
Seen = TypeVar("Seen", bound=Disturbed)


class Measured(Generic[Key, Seen]):
    """Measurements that several tests share, made when first asked for, and made again where other work of the machine spoilt them.

    Args:
        measure: (key, attempt from 0) → a measurement.
    """

    def __init__(self, measure: Callable[[Key, int], Seen]) -> None:
        self._measure = measure
        self._patience_ends = time.monotonic() + PATIENCE_S
        self._seen: dict[tuple[Key, int], Seen] = {}

    def get(self, key: Key, attempt: int = 0) -> Seen:
        """The measurement of that number."""
        if (key, attempt) not in self._seen:
            self._seen[key, attempt] = self._measure(key, attempt)
        return self._seen[key, attempt]

    def hold(self, key: Key, faults_of: Callable[[Seen], list[str]]) -> None:
        """Hold that one of ATTEMPTS measurements is without faults.

        A fault of ours is there each time, so it fails the test where two measurements that nothing disturbed have one; a machine that is stopped from outside shows
        no sign of it.  Where all but one were disturbed, nothing can be said, and the test is skipped.
        """
        disturbances: list[float] = []
        for attempt in range(ATTEMPTS):
            seen = self.get(key, attempt)
            faults = faults_of(seen)
            if not faults:
                return
            disturbances.append(seen.disturbance)
            if min(disturbances) > 1 and time.monotonic() > self._patience_ends:
                break
        assert sum(each <= 1 for each in disturbances) < ENOUGH, faults
        pytest.skip(f"other work took {max(disturbances):.1f} times what leaves a measurement whole; the last fault: {faults}")
