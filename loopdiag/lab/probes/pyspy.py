"""py-spy: reads the client's stacks from outside, at random moments, without stopping it (`--native` does stop it).

It is asked for its trace of stacks that changed (`chrometrace`): of all that it writes, the only one with times.  Its sample counts are not
used for weights; `pyspy_trace` weighs each stack by the CPU that the process spent while it stood, for which `CpuClock` reads along.
py-spy and the reading thread keep off the client's core where there is another.
"""

import contextlib
import gzip
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from loopdiag.lab.job import Job
from loopdiag.lab.machine import allowed_cores
from loopdiag.lab.probes import Failed, Notes, Running
from loopdiag.lab.probes.cpu_clock import CpuClock
from loopdiag.lab.sampling import permission, py_spy, remedy
from loopdiag.model.recording import Tier
from loopdiag.model.value import Value

TRACE, TAKEN = "pyspy.json.gz", "pyspy.taken.json"
DRAFT = "pyspy.json"
STOP_S = 5.0  # to write its file
FEWEST = 20  # samples, for a profile to say anything
SAMPLING, WROTE = b"Sampling process", b"Wrote "


class Taken(Value, frozen=True, kw_only=True):
    """How one trace was taken; times on the machine's monotonic clock."""

    rate_hz: int
    native: bool
    started_ns: int  # when py-spy had been started: its own zero comes soon after
    stopped_ns: int  # when it was told to stop
    wrote_ns: int  # when it said that it had written
    samples: int  # that it took of threads on a CPU
    lost: int  # that it could not take
    cpu_at_ns: list[int]  # readings of the process's CPU clock: when, and how much
    cpu_ns: list[int]


class PySpy:
    """The probe.

    Args:
        command: what to run as py-spy; empty: the one that belongs to this Python.
    """

    tier: Tier = "profile"
    inside = False
    cost = "wall time at most 1.10 times that of a bare trial at the default rate"

    def __init__(self, command: tuple[str, ...] = ()) -> None:
        self._command = command

    @staticmethod
    def available() -> str | None:
        """Return None, or why it cannot be used here."""
        return None if py_spy() else "py-spy is not installed"

    def start(self, job: Job, pid: int, folder: Path) -> Running:
        """Start py-spy on process `pid`."""
        command = self._command or tuple(filter(None, [py_spy()]))
        if not command:
            return Failed("profile", "py-spy is not installed: pip install py-spy")
        cores = [core for core in allowed_cores() if core not in job.cores] if job.cores else []
        try:
            with _on(cores):
                process = _popen([*command, *_arguments(job, pid, folder / DRAFT)])
        except OSError as error:
            return Failed("profile", f"py-spy cannot be run: {error.strerror or error}")
        return Sampling(job, process, CpuClock(pid, cores), folder)


class Sampling:
    """py-spy at work on one process."""

    def __init__(self, job: Job, process: "subprocess.Popen[bytes]", clock: CpuClock, folder: Path) -> None:
        self._started_ns = time.monotonic_ns()
        self._options, self._process, self._clock, self._folder = job.scenario.profile, process, clock, folder
        self._heard = b""
        self._notes: Notes | None = None
        clock.start()

    def settle(self, limit_s: float) -> None:
        """Wait until it takes samples."""
        self._hear(SAMPLING, limit_s)

    def stop(self) -> Notes:
        """Interrupt it, let it write, and keep what it wrote."""
        if self._notes is None:
            self._notes = self._finish()
        return self._notes

    def kill(self) -> None:
        """End it at once."""
        self._clock.stop()
        if self._process.returncode is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        with contextlib.suppress(OSError):
            (self._folder / DRAFT).unlink(missing_ok=True)

    def _finish(self) -> Notes:
        self._clock.stop()
        began = SAMPLING in self._heard
        stopped_ns = time.monotonic_ns()
        self._process.send_signal(signal.SIGINT)
        wrote_ns = self._hear(WROTE, STOP_S)
        ended = self._hear(None, STOP_S - (time.monotonic_ns() - stopped_ns) / 1e9) is not None
        said = self._heard.decode("utf-8", "replace")
        try:
            if not ended:
                return _not_observed(f"py-spy did not end within {STOP_S:g} s and was killed")
            if wrote_ns is None:
                return _not_observed(_failure(said, began=began))
            return self._keep(said, stopped_ns, wrote_ns)
        except OSError as error:
            return _not_observed(f"py-spy's trace cannot be kept: {error.strerror or error}")
        finally:
            self.kill()

    def _keep(self, said: str, stopped_ns: int, wrote_ns: int) -> Notes:
        """Put the trace and how it was taken into the trial's folder."""
        found = re.search(r"Samples: (\d+) Errors: (\d+)", said)
        samples, lost = map(int, found.groups()) if found else (0, 0)
        taken = Taken(
            rate_hz=self._options.rate_hz,
            native=self._options.native,
            started_ns=self._started_ns,
            stopped_ns=stopped_ns,
            wrote_ns=wrote_ns,
            samples=samples,
            lost=lost,
            cpu_at_ns=self._clock.at_ns.tolist(),
            cpu_ns=self._clock.cpu_ns.tolist(),
        )
        if len(taken.cpu_ns) < 2:
            return _not_observed("this system does not tell another process's CPU time")
        (self._folder / TRACE).write_bytes(gzip.compress((self._folder / DRAFT).read_bytes(), 6))
        (self._folder / TAKEN).write_bytes(msgspec.json.encode(taken))
        behind = re.findall(r"([\d.]+m?s) behind in sampling", said)
        late = (
            (f"py-spy fell behind by up to {behind[-1]}: this machine is too busy for {taken.rate_hz} samples a second",) if behind else ()
        )
        short = (
            {"profile.short": f"{samples} samples only: the trial is too short for {taken.rate_hz} a second"} if samples < FEWEST else {}
        )
        return Notes(not_observed=short, warnings=late)

    def _hear(self, wanted: bytes | None, limit_s: float) -> int | None:
        """Read on until py-spy has said `wanted` (None: until it has ended); when it had, None where it did not in time."""
        assert self._process.stdout is not None
        out, deadline = self._process.stdout.fileno(), time.monotonic() + limit_s
        while wanted is None or wanted not in self._heard:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                return None
            heard = os.read(out, 65536)
            self._heard += heard
            if not heard:
                return None if wanted is not None else time.monotonic_ns()
        return time.monotonic_ns()


def _arguments(job: Job, pid: int, output: Path) -> list[str]:
    """What py-spy is asked for.

    Functions by where they begin, so that a stack is one stack on whatever line it stands; whole paths, because its own shortening hides
    which package a file is of.
    """
    options = job.scenario.profile
    how = "--native" if options.native else "--nonblocking"  # it cannot do both
    shape = ["--format", "chrometrace", "--threads", "--function", "--full-filenames", how]
    return ["record", "--pid", str(pid), "--output", str(output), "--rate", str(options.rate_hz), "--duration", "unlimited", *shape]


def _popen(command: list[str]) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if name != "RUST_LOG"}
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        env=environment,
        start_new_session=True,  # the terminal's Ctrl-C is the parent's alone
    )


@contextmanager
def _on(cores: list[int]) -> Iterator[None]:
    """Start processes on these cores, and go back; a process that is pinned later has threads by then that are not."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _failure(said: str, *, began: bool) -> str:
    """Why py-spy left nothing, in one line."""
    lines = [line.strip().removeprefix("py-spy> ") for line in said.splitlines() if line.strip()]
    if "ermission" in said and not began:
        return f"py-spy may not look into the trial ({permission()}): {remedy()}"
    if not began and not lines:
        return "py-spy did not begin to sample"
    telling = [line for line in lines if SAMPLING.decode() not in line]
    return f"py-spy failed: {telling[0].removeprefix('Error: ')}" if telling else "py-spy ended without a word"


def _not_observed(why: str) -> Notes:
    return Notes(not_observed={"profile": why})
