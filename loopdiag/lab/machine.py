"""What the kernel says of this machine, one reading each; None where it does not say (another system, a container, a missing file)."""

import os
import re
import time
from pathlib import Path

ROOT = Path("/")  # tests put a tree of their own here
CLOCK_READINGS, CLOCK_ROUNDS = 1_000, 5


def text(path: str) -> str | None:
    """Return a file under /proc or /sys, stripped."""
    try:
        return (ROOT / path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def numbers(path: str) -> tuple[int, ...] | None:
    """Return a file of whole numbers with blanks between them."""
    found = text(path)
    if found is None or not re.fullmatch(r"-?\d+(\s+-?\d+)*", found):
        return None
    return tuple(map(int, found.split()))


def allowed_cores() -> tuple[int, ...]:
    """Return the cores that this process may run on; where the system does not say, as many as there are, from 0."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def siblings(core: int) -> frozenset[int]:
    """Return the cores (hyper-threads) that share a physical core with `core`, itself among them."""
    listed = text(f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list") or ""
    found = {core}
    for part in filter(None, listed.split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


def cpu_model() -> str | None:
    """Return the processor's name as the kernel knows it."""
    found = re.search(r"^(?:model name|Model|cpu model|Hardware)\s*:\s*(.+)$", text("proc/cpuinfo") or "", re.MULTILINE)
    return found[1].strip() if found else None


def is_virtual() -> bool:
    """Whether the processor says that it is a guest of a hypervisor."""
    return bool(re.search(r"^flags\s*:.*\bhypervisor\b", text("proc/cpuinfo") or "", re.MULTILINE))


def memory_mib(field: str = "MemTotal") -> int | None:
    """Return MiB of memory as /proc/meminfo tells them (`MemTotal`, `MemAvailable`)."""
    found = re.search(rf"^{field}:\s*(\d+) kB$", text("proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def cpu_quota() -> float | None:
    """Return how many CPUs' time the control group allows; None: no limit, or not known."""
    quota, _, period = (text("sys/fs/cgroup/cpu.max") or "").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def governors() -> frozenset[str]:
    """Return the frequency governors of the cores; empty where frequency is not ours to see."""
    cores = (ROOT / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return frozenset(filter(None, (text(str(path.relative_to(ROOT))) for path in cores)))


def clock_source() -> str | None:
    """Return the kernel's clock source."""
    return text("sys/devices/system/clocksource/clocksource0/current_clocksource")


def clock_resolution_ns() -> float:
    """Return the resolution that the system states for the monotonic clock, in nanoseconds."""
    return time.get_clock_info("perf_counter").resolution * 1e9


def clock_cost_ns() -> float:
    """Measure what one reading of the clock costs, in nanoseconds: the best of a few rounds, loop included."""
    read = time.perf_counter_ns
    best = float("inf")
    for _ in range(CLOCK_ROUNDS):
        begun = read()
        for _ in range(CLOCK_READINGS):
            read()
        best = min(best, (read() - begun) / CLOCK_READINGS)
    return best


def descriptor_limits() -> tuple[int | None, int | None] | None:
    """Return this process's soft and hard limit of open files (None within: unlimited); None where there is no such limit."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = (None if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    return soft, hard


def load_1min() -> float | None:
    """Return the load average of the last minute."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def steal_ticks() -> tuple[int, int] | None:
    """Return (stolen, all) CPU ticks of the machine since it started, for a reading before and one after; None where not known."""
    found = re.match(r"cpu\s+((?:\d+ ?)+)", text("proc/stat") or "")
    ticks = tuple(map(int, found[1].split())) if found else ()
    # user nice system idle iowait irq softirq steal; guest time stands in user already
    return (ticks[7], sum(ticks[:8])) if len(ticks) >= 8 else None
