"""The parent side of a trial: one fresh process, started, told to go, watched, killed in time, and its account taken."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import msgspec

from loopdiag.errors import TargetDied
from loopdiag.lab import columns, external, own_environments
from loopdiag.lab.injection import Observed, injected_environment, observed
from loopdiag.lab.job import DONE, GO, READY, REPORT, Job, WorkerReport
from loopdiag.lab.probes import Notes
from loopdiag.lab.probes.beside import Beside
from loopdiag.model.recording import Status, TrialResult
from loopdiag.model.scenario import Instruments

Inject = Callable[[Mapping[str, str], Path, Instruments], dict[str, str]]

#: kept of Python's own variables: where it finds its packages, and nothing that changes how it runs
KEPT = frozenset({"PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"})
DROPPED = frozenset(
    {"SSLKEYLOGFILE", "AIOHTTP_NO_EXTENSIONS", "YARL_NO_EXTENSIONS", "MULTIDICT_NO_EXTENSIONS", "UVLOOP_DEBUG", "NETRC"}
) | {
    *("GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"),  # Go's switches
    *("NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "UV_THREADPOOL_SIZE"),  # and Node's
}
WORKER = (sys.executable, "-P", "-m", "loopdiag.lab.worker")
LOOK_S = 0.5  # how often the parent looks whether the target lives while it waits


class Account(Protocol):
    """What the target counted since the last time it was asked."""

    @property
    def connections_opened(self) -> int:
        """Connections accepted."""

    @property
    def requests(self) -> int:
        """Requests answered."""


class Target(Protocol):
    """The embedded target, as far as a trial needs it; `servers.process.TargetServer` is one."""

    @property
    def url(self) -> str:
        """Scheme, host and port."""

    @property
    def ca_file(self) -> Path | None:
        """The only authority that its clients trust."""

    def alive(self) -> bool:
        """Whether its process runs."""

    def cpu_ns(self) -> int:
        """CPU that it has spent."""

    def collect(self, folder: Path | None) -> Account:
        """Its account since the last call, with the tables written into `folder`."""

    def stop(self) -> None:
        """End it."""


class Bench:
    """Where trials run: the target (None: a live one, or none at all), its share of the machine, the injection."""

    def __init__(  # noqa: PLR0913 - what a trial touches outside itself, each with a default
        self,
        target: Target | None,
        *,
        server_cores: int = 1,
        inject: Inject = injected_environment,
        command: tuple[str, ...] = (),
        profiler: tuple[str, ...] = (),
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.target = target
        self._server_cores = max(1, server_cores)
        self._inject, self._held, self._profiler = inject, held, profiler
        self._command = command

    def run(self, job: Job, folder: Path) -> TrialResult:
        """Run one job in a fresh process; `folder` exists and gets the worker's and the target's tables.

        The process is gone when this returns or raises, whatever happened.  A result always comes back, except where the parent is
        interrupted or the worker cannot be started at all (OSError).
        """
        log = folder / "worker.log"
        environment = clean_environment(os.environ) | external.environment(job)
        if job.spec.arm.apart:
            environment = own_environments.without_paths(environment)
        if job.spec.tier == "timeline":
            environment = self._inject(environment, folder, job.scenario.instruments)
        process, beside = None, Beside(job, folder, self._held, self._profiler)
        try:
            with self._held():  # a process that was started is always known here
                process = self._start(job, environment, log)
            return self._follow(job, folder, _Talk(process, job.scenario.sweep.trial_timeout_s), beside)
        finally:
            beside.kill()
            if process is not None:
                kill(process)
                self._tidy(job, folder, log)

    def _start(self, job: Job, environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
        arm = job.spec.arm
        command = self._command or (own_environments.command(arm) if arm.apart else external.command(arm, log.parent) or WORKER)
        with log.open("wb") as stderr, external.pinned(job):
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment, start_new_session=True
            )

    def _tidy(self, job: Job, folder: Path, log: Path) -> None:
        """Keep what is worth it: the rows that were opened, and what the worker said, if it did."""
        if job.spec.tier == "timeline":
            columns.cut(folder)
        if log.stat().st_size == 0:
            log.unlink()

    def _follow(self, job: Job, folder: Path, talk: "_Talk", beside: Beside) -> TrialResult:
        """Talk the worker through its job, and turn whatever happens into a result."""
        server: dict[str, Any] = {}
        try:
            talk.say(msgspec.json.encode(job) + b"\n")
            talk.await_line(READY, self._look)
            if self.target is not None:
                self.target.collect(None)  # the warm-up's account
            beside.start(talk.process.pid)
            if self.target is not None:
                before = self.target.cpu_ns()
            talk.say(GO)
            talk.await_line(DONE, self._look)
            if self.target is not None:
                server["server_cpu_s"] = (self.target.cpu_ns() - before) / 1e9
            notes = beside.stop()
            talk.await_end(self._look)
        except TimeoutError:
            return _failed(job, "timeout", f"killed after {job.scenario.sweep.trial_timeout_s:g} s")
        except TargetDied as died:
            return _failed(job, "failed", f"the target died: {died}")
        except (EOFError, BrokenPipeError):
            return _failed(job, "crashed", _last_words(talk.process, folder))
        report = _read(folder)
        if report is None or talk.process.returncode != 0:
            return _failed(job, "crashed", _last_words(talk.process, folder))
        (folder / REPORT).unlink()  # trial.json says it all
        server |= self._account(folder)
        return self._result(job, report, server, folder, notes)

    def _look(self) -> None:
        if self.target is not None and not self.target.alive():
            raise TargetDied("its process ended during the trial")

    def _account(self, folder: Path) -> dict[str, Any]:
        """What the target counted; where it died after the last response, nothing."""
        if self.target is None:
            return {}
        try:
            return {"connections_opened": self.target.collect(folder).connections_opened}
        except TargetDied as died:
            return {"warnings": (f"the target died before it gave its account: {died}",)}
        except OSError as error:
            return {"warnings": (f"the target could not write its tables: {error.strerror or error}",)}

    def _result(self, job: Job, report: WorkerReport, server: dict[str, Any], folder: Path, notes: Notes) -> TrialResult:
        """Put the worker's, the target's, the instruments' and the profiler's accounts together."""
        fields = {name: getattr(report, name) for name in report.__struct_fields__} | server
        cpu_s = server.get("server_cpu_s")
        if cpu_s is not None and report.total_s > 0:
            fields["server_utilisation"] = cpu_s / report.total_s / self._server_cores
        seen = observed(folder) if job.spec.tier == "timeline" else Observed()
        fields["not_observed"] = report.not_observed | seen.not_observed | notes.not_observed
        fields["warnings"] = (*report.warnings, *server.get("warnings", ()), *seen.warnings, *notes.warnings)
        failed = report.succeeded == 0
        kinds = ", ".join(f"{count} {kind}" for kind, count in report.errors.items())
        return TrialResult(
            spec=job.spec,
            status="failed" if failed else "ok",
            why=f"no request succeeded: {kinds}" if failed else None,
            lost=seen.lost,
            counters=seen.counters,
            histograms=seen.histograms,
            costs_ns=seen.costs_ns,
            **fields,
        )


class _Talk:
    """Both ends of a worker's pipes, with a deadline on every wait."""

    def __init__(self, process: "subprocess.Popen[bytes]", limit_s: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        self._deadline = time.monotonic() + limit_s
        self._heard = b""

    def say(self, line: bytes) -> None:
        """Send one line whole."""
        while line:
            line = line[os.write(self._in, line) :]

    def await_line(self, wanted: bytes, look: Callable[[], None]) -> None:
        """Wait until the worker has said `wanted`.

        Raises:
            TimeoutError: the trial's time is over.
            EOFError: the worker ended first.
        """
        while wanted not in self._heard:
            if not self._hear(look):
                raise EOFError
        self._heard = b""

    def await_end(self, look: Callable[[], None]) -> None:
        """Wait until the worker has ended; raises TimeoutError as above."""
        while self._hear(look):
            pass
        try:
            self.process.wait(max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    def _hear(self, look: Callable[[], None]) -> bool:
        """Wait for output; False at its end."""
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if select.select([self._out], [], [], min(left, LOOK_S))[0]:
                break
            look()
        heard = os.read(self._out, 65536)
        self._heard += heard
        return bool(heard)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a trial: no proxies, no key log, none of Python's switches; hashes the same in every trial."""

    def stays(name: str) -> bool:
        if name.startswith("PYTHON"):
            return name in KEPT
        return name not in DROPPED and not name.lower().endswith("_proxy") and not name.startswith("LOOPDIAG_")

    return {name: value for name, value in environment.items() if stays(name)} | {"PYTHONHASHSEED": "0"}


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the worker and whatever it started, and close its pipes."""
    if process.returncode is None:  # not waited for yet, so its id, which is its group's, is still its own
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def signal_name(number: int) -> str:
    """What a signal is called; most of the real-time ones have a number alone."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _failed(job: Job, status: Status, why: str) -> TrialResult:
    return TrialResult(spec=job.spec, status=status, why=why)


def _read(folder: Path) -> WorkerReport | None:
    try:
        return msgspec.json.decode((folder / REPORT).read_bytes(), type=WorkerReport)
    except (OSError, msgspec.DecodeError):
        return None


def _last_words(process: "subprocess.Popen[bytes]", folder: Path) -> str:
    """Why a worker ended: the last line that it wrote to stderr, or the signal that killed it."""
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        return "it closed its output and went on"
    lines = (folder / "worker.log").read_text(encoding="utf-8", errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if code < 0:
        return f"killed by {signal_name(-code)}" + (f": {said}" if said else "")
    return said or f"exit code {code} without a word"
