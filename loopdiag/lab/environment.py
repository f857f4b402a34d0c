"""The machine and its software, as far as they bear on the measurement: recorded with every run."""

import os
import platform
import re
from importlib import metadata

from loopdiag.lab import machine
from loopdiag.lab.machine import steal_ticks
from loopdiag.model.recording import Environment
from loopdiag.model.scenario import Scenario

__all__ = ["client_and_server_cores", "environment", "steal_share", "steal_ticks", "versions"]

SPARE_DESCRIPTORS = 64  # of a process beside its connections: libraries, pipes, the loop
QUICK_CLOCKS = frozenset({"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"})
BELOW = ("httpcore", "h11", "h2", "anyio", "yarl", "multidict", "aiodns")  # what the clients rest on


def environment(scenario: Scenario | None = None) -> Environment:
    """Describe this machine.

    Args:
        scenario: what will run here; it decides who is pinned where, and what is worth a note.
    """
    client, server = _pinned(scenario)
    limits = machine.descriptor_limits()
    memory = machine.memory_mib()
    return Environment(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cpu=machine.cpu_model() or platform.processor() or platform.machine() or "unknown",
        cores=len(machine.allowed_cores()),
        memory_mib=memory,
        clock_resolution_ns=machine.clock_resolution_ns(),
        clock_cost_ns=machine.clock_cost_ns(),
        descriptor_limit=limits[0] if limits else None,
        client_cores=client,
        server_cores=server,
        load_1min=machine.load_1min(),
        versions=versions(),
        notes=tuple(_notes(scenario, client, server)),
    )


def client_and_server_cores() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where to pin the client and the server: one core each, not of the same physical core where there is a choice.

    The kernel's own work tends to the first core, so the client gets the last one.  Both are empty on a machine with one core, and where
    a process cannot be pinned.
    """
    cores = machine.allowed_cores()
    if len(cores) < 2 or not _can_pin():
        return (), ()
    client = cores[-1]
    apart = [core for core in cores if core not in machine.siblings(client)]
    return (client,), ((apart or cores)[-1 if apart else 0],)


def steal_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Return the share of all CPU time between two `steal_ticks` that the hypervisor took; None where it cannot be told."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return max(0, after[0] - before[0]) / (after[1] - before[1])


def versions() -> dict[str, str]:
    """Return the versions of loopdiag, its dependencies and what they rest on, without importing them."""
    names = ["loopdiag"]
    try:
        required = metadata.requires("loopdiag") or []
    except metadata.PackageNotFoundError:
        required = []
    # "httpx<1,>=0.28" is a dependency; 'ruff==…; extra == "dev"' is not
    names += sorted(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line)
    found = {name: version_of(name) for name in dict.fromkeys([*names, *BELOW])}
    import ssl

    return {name: version for name, version in found.items() if version} | {"openssl": ssl.OPENSSL_VERSION.split()[1]}


def version_of(package: str) -> str | None:
    """Return the version of an installed package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _can_pin() -> bool:
    return hasattr(os, "sched_setaffinity")


def _pinned(scenario: Scenario | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pin both where there is an embedded server; a client alone, and a user's program, may run where it likes."""
    if scenario is not None and (
        scenario.program is not None or scenario.target.live or all(arm.client == "fake" for arm in scenario.arms)
    ):
        return (), ()
    return client_and_server_cores()


def _notes(scenario: Scenario | None, client: tuple[int, ...], server: tuple[int, ...]) -> list[str]:
    """Say what of this machine may bend the figures, one line each."""
    cores, load, quota = len(machine.allowed_cores()), machine.load_1min(), machine.cpu_quota()
    limits, source = machine.descriptor_limits(), machine.clock_source()
    soft = limits[0] if limits else None
    need = max(scenario.sweep.n) + SPARE_DESCRIPTORS if scenario else 0
    slow_governors = ", ".join(sorted(machine.governors() - {"performance"}))
    found = (
        (cores == 1, "one core only: client and server share it, and the server's work is in every total"),
        (quota is not None and quota < cores, f"the control group allows the time of {quota:g} CPUs" if quota else ""),
        (
            bool(client and server and set(server) <= machine.siblings(client[0])),
            "client and server run on two threads of one physical core",
        ),
        (machine.is_virtual(), "a virtual machine: other guests may take CPU time (see the share of stolen time)"),
        (bool(slow_governors), f"the CPU's frequency is not fixed (governor {slow_governors}): short trials may run slower than long ones"),
        (source is not None and source not in QUICK_CLOCKS, f"the clock source is {source}, which is slow to read; tsc is quick"),
        (load is not None and load > cores / 2, f"the machine was busy at the start: load {load:.1f} on {cores} cores" if load else ""),
        (soft is not None and soft < need, f"the limit of {soft} open files may be too low for N = {need - SPARE_DESCRIPTORS}"),
        (limits is None, "the limit of open files is not known here"),
        (machine.memory_mib() is None, "the memory's size is not known here"),
        (machine.load_1min() is None, "the load is not known here"),
        (steal_ticks() is None, "the share of stolen CPU time is not known here"),
    )
    return [note for holds, note in found if holds]
