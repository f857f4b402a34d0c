"""One run of a user's program: started in a group of its own, waited for with a deadline, held for its profiler, and ended with everything that it started."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

OUT, ERR = "program.out", "program.err"
GONE_S = 2.0  # for killed processes to be gone
LOOK_AT_S = (0.03, 0.1, 0.3, 1.0)  # when the processes below are looked at, in a run that looks
PIECE = 1 << 16


class ProgramRun:
    """A program that runs, until `kill`, which whoever makes one calls in any case.

    Args:
        command: its command line.
        env: its environment.
        cwd: where it runs.
        folder: where its output goes.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: list[str], env: dict[str, str], cwd: str | None, folder: Path) -> None:
        self._folder, self._mark = folder, f"LOOPDIAG_RECORD={env['LOOPDIAG_RECORD']}".encode()
        with (folder / OUT).open("wb") as out, (folder / ERR).open("wb") as err:
            self.began_ns = time.perf_counter_ns()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd, start_new_session=True
            )
        self.pid = self._process.pid
        self.ended_ns = 0
        self.seen: list[list[str]] = []  # command lines of the processes below it

    @property
    def exit_code(self) -> int:
        """How it ended; negative: the signal that killed it."""
        return self._process.returncode

    def wait(self, limit_s: float, hold: "Holding | None" = None, *, look: bool = False) -> None:
        """Wait until it has ended, serving `hold` meanwhile.

        Args:
            limit_s: from its start.
            hold: what its profiler waits for.
            look: note the processes below it now and then, in `seen`.

        Raises:
            TimeoutError: it has not ended in time.
        """
        deadline = self.began_ns / 1e9 + limit_s
        looks = [self.began_ns / 1e9 + at for at in LOOK_AT_S] if look else []
        with _ending(self.pid) as ending:
            while not self._over():
                now = time.perf_counter_ns() / 1e9
                if now >= deadline:
                    raise TimeoutError
                until = min([deadline, *looks[:1]])
                watched = [*ending, *([hold.tell] if hold else [])]
                ready = select.select(watched, [], [], max(0.0, min(until - now, 60.0 if ending else 0.005)))[0]
                if hold is not None and hold.tell in ready:
                    hold.answer()
                if looks and time.perf_counter_ns() / 1e9 >= looks[0]:
                    looks.pop(0)
                    self._look()
        self.ended_ns = time.perf_counter_ns()

    def _over(self) -> bool:
        """Whether it has ended; it is not reaped, so that its id, which is its group's, stays its own."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        """End it and all that it started, also what has left its group, and wait until they are gone; drop output that is empty."""
        if self._process.returncode is None:
            known = self._marked()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self._end(known)
        for name in (OUT, ERR):
            with contextlib.suppress(OSError):
                if (self._folder / name).stat().st_size == 0:
                    (self._folder / name).unlink()

    def _end(self, known: list[int]) -> None:
        """Kill what bears its mark until nothing of that, and nothing of `known`, runs any more: a killed process does for a moment."""
        deadline = time.monotonic() + GONE_S
        while True:
            for pid in (left := self._marked()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            known = [pid for pid in {*known, *left} if _runs(pid)]
            if not known or time.monotonic() > deadline:
                return
            time.sleep(0.002)

    def _look(self) -> None:
        for pid in _own_processes():
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.pid:
                    line = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                    self.seen.append([os.fsdecode(word) for word in line])

    def _marked(self) -> list[int]:
        """Processes that bear this trial's mark in their environment."""
        found = []
        for pid in _own_processes():
            with contextlib.suppress(OSError):
                if self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found.append(pid)
        return found

    def last_words(self) -> str:
        """The last line that it wrote to stderr; empty where there is none."""
        try:
            with (self._folder / ERR).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - PIECE))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Holding:
    """The parent's side of `instruments.hold`.

    Args:
        prefix: of the FIFOs' paths.
        attach: called with the process that waits.
        detach: called before that process ends.

    Raises:
        OSError: the FIFOs cannot be made.
    """

    def __init__(self, prefix: Path, attach: Callable[[int], None], detach: Callable[[], object]) -> None:
        self._prefix, self._attach, self._detach = prefix, attach, detach
        self._paths = [prefix.with_name(prefix.name + end) for end in (".tell", ".go")]
        for path in self._paths:
            os.mkfifo(path)
        # for reading and writing, so that neither side ever finds the other one missing
        self.tell, self._go = (os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC) for path in self._paths)
        self.attached = False

    def answer(self) -> None:
        """Do what the process asks for, and let it go on."""
        for line in os.read(self.tell, 4096).decode("ascii", "replace").split():
            if line.isdecimal():
                self.attached = True
                self._attach(int(line))
            else:
                self._detach()
            os.write(self._go, b"\n")

    def close(self) -> None:
        """Remove the FIFOs."""
        for file in (self.tell, self._go):
            os.close(file)
        for path in (*self._paths, self._prefix.with_name(self._prefix.name + ".taken")):
            with contextlib.suppress(OSError):
                path.rmdir() if path.suffix == ".taken" else path.unlink()


@contextlib.contextmanager
def _ending(pid: int) -> Iterator[list[int]]:
    """Descriptors that become readable when the process ends; none where the kernel has no such thing."""
    try:
        file = os.pidfd_open(pid)
    except (OSError, AttributeError):
        yield []
        return
    try:
        yield [file]
    finally:
        os.close(file)


def _runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _own_processes() -> list[int]:
    """The user's processes, without this one."""
    user, found = os.getuid(), []
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if entry.stat().st_uid == user and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found
