"""The parent's side of the embedded target: starts its process, speaks with it, ends it."""

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

import loopdiag
from loopdiag.errors import InputError, TargetDied
from loopdiag.lab.servers import FRONT_OF
from loopdiag.lab.servers.messages import Account, Collect, Collected, Ready, Refused, Reply, Start, Stop, Unwritable
from loopdiag.model.scenario import Scenario

START_TIMEOUT_S = 60.0  # RSA-4096 and large bodies take their time
REPLY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
STDERR_LINES = 5
CPU_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED: see clock_getcpuclockid(3)


class TargetServer:
    """A running target; made by `start`, ended by `stop` or by leaving its context.

    Attributes:
        name: the front that serves, one of SERVERS.
        pid: of its process.
        url: scheme, host and port, without a path.
        ca_file: the certificate of the only CA that vouches for it, in a private folder that `stop` removes; None without TLS.
    """

    url: str
    ca_file: Path | None = None

    def __init__(self, scenario: Scenario) -> None:
        self.name = FRONT_OF[scenario.target.http]
        self._folder = Path(tempfile.mkdtemp(prefix="loopdiag-"))  # 0700
        self._input = b""
        self._cpu_ns = 0
        source = str(Path(loopdiag.__file__).parents[1])
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        with (self._folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "loopdiag.lab.servers.main"],  # -P: a user's ssl.py in the working folder is not ours
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": path},
                process_group=0,  # the terminal's Ctrl-C is the parent's alone
            )
        self.pid = self._process.pid

    @classmethod
    def start(cls, scenario: Scenario, *, cores: tuple[int, ...] = (), port: int = 0) -> Self:
        """Start a target in a process of its own and wait until it answers.

        Args:
            scenario: resolved; its target has no `url`, and its tables are absolute paths.
            cores: where to pin the process; empty: nowhere.
            port: on loopback; 0 for any free one.

        Raises:
            InputError: the port is taken, or a table or combination of the scenario is wrong.
            TargetDied: the process ended before it answered.
        """
        target = cls(scenario)
        try:
            target._send(Start(scenario=scenario, front=target.name, port=port, folder=str(target._folder), cores=cores))
            ready = target._receive(START_TIMEOUT_S)
            assert isinstance(ready, Ready)
        except BaseException:
            target.stop()
            raise
        secure = scenario.target.tls != "off"
        target.url = f"{'https' if secure else 'http'}://localhost:{ready.port}"
        target.ca_file = target._folder / "ca.pem" if secure else None
        return target

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def cpu_ns(self) -> int:
        """CPU time of the process so far, over all its threads, those that ended too; after its end, the last that was read."""
        with suppress(OSError):
            self._cpu_ns = time.clock_gettime_ns((~self.pid << 3) | CPU_CLOCK_OF_PROCESS)
        return self._cpu_ns

    def collect(self, folder: Path | None) -> Account:
        """Sum up what the target saw since the last time; it forgets it.

        Args:
            folder: where to write server_requests.npy and server_connections.npy (columns: witness.py); None: nowhere.

        Raises:
            TargetDied: the process has ended, or does not answer.
            OSError: the folder cannot be written; nothing is forgotten.
        """
        self._send(Collect(folder=None if folder is None else str(folder.absolute())))
        collected = self._receive(REPLY_TIMEOUT_S)
        assert isinstance(collected, Collected)
        return collected.account

    def stop(self) -> None:
        """End the process and remove the private folder; a second time does nothing."""
        process = self._process
        self.cpu_ns()
        with suppress(TargetDied):
            self._send(Stop())
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _send(self, message: Start | Collect | Stop) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            raise TargetDied("the embedded target was stopped")
        try:
            stdin.write(msgspec.json.encode(message) + b"\n")
        except BrokenPipeError:
            raise self._death() from None

    def _receive(self, timeout_s: float) -> Ready | Collected:
        reply: Reply = msgspec.json.decode(self._line(timeout_s), type=Reply)
        if isinstance(reply, Refused):
            raise InputError(*reply.faults)
        if isinstance(reply, Unwritable):
            raise OSError(reply.number, reply.reason, reply.path)
        return reply

    def _line(self, timeout_s: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()  # not select(): a descriptor may lie above 1023
        poll.register(descriptor, select.POLLIN)
        end_s = time.monotonic() + timeout_s
        while b"\n" not in self._input:
            if not poll.poll(max(0.0, end_s - time.monotonic()) * 1000):
                raise TargetDied(f"the embedded target (process {self.pid}) has not answered for {timeout_s:g} s", *self._last_lines())
            piece = os.read(descriptor, 65536)
            if not piece:
                raise self._death()
            self._input += piece
        line, _, self._input = self._input.partition(b"\n")
        return line

    def _death(self) -> TargetDied:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        code = self._process.returncode
        how = "" if code is None else f" by signal {-code}" if code < 0 else f" with exit code {code}"
        return TargetDied(f"the embedded target (process {self.pid}) has ended{how}", *self._last_lines())

    def _last_lines(self) -> tuple[str, ...]:
        try:
            with (self._folder / "stderr").open(encoding="utf-8", errors="replace") as stderr:
                return tuple(line.rstrip() for line in deque(stderr, STDERR_LINES))
        except OSError:
            return ()
