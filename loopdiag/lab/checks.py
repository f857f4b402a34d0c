"""What this machine allows, one check each with its remedy: what `loopdiag check` prints.

Nothing here changes the machine; a check that cannot find out says "unknown" (`ok` is None), not "ok".
"""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from loopdiag.lab import machine
from loopdiag.lab.environment import QUICK_CLOCKS, SPARE_DESCRIPTORS, client_and_server_cores, version_of
from loopdiag.lab.sampling import sampling
from loopdiag.model.value import Value

LARGEST_N = 800  # of the default sweep; below it, a limit is worth a remedy
PORTS = 10_000  # a port stays taken for a minute after its connection: 800 each, about 12 trials a minute
BACKLOG = 1_024
CLOCK_NS = 250
MEMORY_MIB = 512
REPORTS = Path("reports")


class Check(Value, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    ok: bool | None  # None: unknown here
    found: str
    remedy: str = ""  # one line; empty where there is nothing to do


def checks() -> list[Check]:
    """Look at everything that bears on a measurement; takes about a second."""
    return [found for look in LOOKS for found in look()]


def _descriptors() -> Iterator[Check]:
    limits = machine.descriptor_limits()
    if limits is None:
        yield Check(name="open files", ok=None, found="this system does not tell its limit")
        return
    soft, hard = limits
    need = LARGEST_N + SPARE_DESCRIPTORS
    ok = soft is None or soft >= need
    enough = "enough for any N" if soft is None else f"enough for N ≤ {max(0, soft - SPARE_DESCRIPTORS)} connections at once"
    words = [("unlimited" if limit is None else str(limit)) for limit in limits]
    may = hard is None or hard >= need
    remedy = (
        f"ulimit -n {need if hard is None else min(hard, 4096)}"
        if may
        else f"raise the hard limit to {need} or more (limits.conf, or ulimit as root)"
    )
    yield Check(name="open files", ok=ok, found=f"soft limit {words[0]}, hard limit {words[1]}: {enough}", remedy="" if ok else remedy)


def _ports() -> Iterator[Check]:
    span = machine.numbers("proc/sys/net/ipv4/ip_local_port_range")
    if span is None or len(span) != 2:
        yield Check(name="local ports", ok=None, found="this system does not tell their range")
        return
    count = span[1] - span[0] + 1
    ok = count >= PORTS
    remedy = "" if ok else 'sysctl -w net.ipv4.ip_local_port_range="15000 60999"'
    yield Check(
        name="local ports", ok=ok, found=f"{count} ({span[0]} to {span[1]}); each connection takes one, for a minute longer", remedy=remedy
    )


def _backlog() -> Iterator[Check]:
    most = machine.numbers("proc/sys/net/core/somaxconn")
    if most is None:
        yield Check(name="listen backlog", ok=None, found="this system does not tell its limit (somaxconn)")
        return
    ok = most[0] >= BACKLOG
    found = f"somaxconn is {most[0]}: so many connections may wait to be accepted; more of them at once lose their SYN, and wait a second"
    yield Check(name="listen backlog", ok=ok, found=found, remedy="" if ok else "sysctl -w net.core.somaxconn=4096")


def _sampling() -> Iterator[Check]:
    ok, found, remedy = sampling()
    yield Check(name="py-spy", ok=ok, found=found, remedy=remedy)


def _clock() -> Iterator[Check]:
    source, cost = machine.clock_source(), machine.clock_cost_ns()
    ok = cost <= CLOCK_NS
    found = f"source {source or 'unknown'}, {cost:.0f} ns a reading, resolution {machine.clock_resolution_ns():g} ns"
    remedy = "" if ok else "boot with clocksource=tsc where the machine allows it; a slow clock makes the timeline tier dearer"
    if source and source not in QUICK_CLOCKS and ok:
        found += " (an unusual source, but quick enough)"
    yield Check(name="clock", ok=ok, found=found, remedy=remedy)


def _cores() -> Iterator[Check]:
    cores, quota = machine.allowed_cores(), machine.cpu_quota()
    (client, server) = client_and_server_cores()
    if quota is not None and quota < 2:
        found, ok = f"{len(cores)}, but the control group allows the time of {quota:g} CPUs", False
    elif client:
        found, ok = f"{len(cores)}; the client runs on core {client[0]}, the embedded server on core {server[0]}", True
    else:
        found, ok = f"{len(cores)}; client and embedded server are not kept apart", False
    remedy = "" if ok else "allow two or more cores (taskset, docker --cpus); else the server's work is in every total"
    yield Check(name="cores", ok=ok, found=found, remedy=remedy)


def _parts() -> Iterator[Check]:
    for package, use, absent, remedy in (
        ("uvloop", "the loop uvloop", "scenarios with the loop uvloop cannot run", "pip install uvloop"),
        ("h2", "HTTP/2 with httpx", 'scenarios with http = "2" cannot run', 'pip install "loopdiag[http2]"'),
        ("aiodns", "aiohttp's name look-up", "aiohttp looks names up in threads, as its users without aiodns do", "pip install aiodns"),
    ):
        version = version_of(package)
        found = f"{version} ({use})" if version else f"not installed: {absent}"
        yield Check(name=package, ok=version is not None, found=found, remedy="" if version else remedy)


def _memory() -> Iterator[Check]:
    total, free = machine.memory_mib(), machine.memory_mib("MemAvailable")
    if free is None:
        yield Check(name="memory", ok=None, found="this system does not tell how much is free")
        return
    ok = free >= MEMORY_MIB
    remedy = "" if ok else f"free {MEMORY_MIB} MiB or use smaller N: swapping would be measured, too"
    yield Check(name="memory", ok=ok, found=f"{free} MiB free of {total} MiB", remedy=remedy)


def _reports() -> Iterator[Check]:
    """Try to write where runs go, or, where there is no such folder yet, where it would be made."""
    folder = next(place for place in (REPORTS.absolute(), *REPORTS.absolute().parents) if place.exists())
    place = f"{REPORTS}/" if folder == REPORTS.absolute() else f"{REPORTS}/ (to be made in {folder})"
    try:
        with tempfile.TemporaryFile(dir=folder):
            free_mib = _free_mib(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        yield Check(
            name="reports",
            ok=False,
            found=f"{place} cannot be written: {reason.lower()}",
            remedy="loopdiag run … --out DIR, with a folder of yours",
        )
        return
    yield Check(name="reports", ok=True, found=f"{place} can be written, {free_mib} MiB free")


def _free_mib(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize >> 20


def _localhost() -> Iterator[Check]:
    try:
        found = sorted({str(entry[4][0]) for entry in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)})
    except OSError as error:
        found, reason = [], error.strerror or str(error)
    else:
        reason = f"resolves to {' and '.join(found)}"
    ok = "127.0.0.1" in found
    remedy = "" if ok else 'add the line "127.0.0.1 localhost" to /etc/hosts'
    yield Check(name="localhost", ok=ok, found=reason, remedy=remedy)


LOOKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _descriptors,
    _ports,
    _backlog,
    _localhost,
    _cores,
    _clock,
    _memory,
    _reports,
    _sampling,
    _parts,
)
