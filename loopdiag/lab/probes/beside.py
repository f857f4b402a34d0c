"""The probe that stands beside a trial, as the trial's parent sees it: at most one, and none in most tiers."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from loopdiag.lab.external import external
from loopdiag.lab.job import Job
from loopdiag.lab.probes import OUTSIDE, PROBES, Notes, Running

SETTLE_S = 5.0


class Beside:
    """Starts, stops and in any case ends the outside probe of one trial.

    Args:
        job: the trial.
        folder: the trial's.
        held: inside it no signal interrupts, so that a process that was started is always known.
        command: of the profiler; empty: the real one.
    """

    def __init__(self, job: Job, folder: Path, held: Callable[[], AbstractContextManager[None]], command: tuple[str, ...]) -> None:
        self._job, self._folder, self._held, self._command = job, folder, held, command
        self._running: Running | None = None

    def start(self, pid: int) -> None:
        """Watch process `pid`, where this trial's tier asks for it, and wait until it is watched."""
        name = OUTSIDE.get(self._job.spec.tier)
        if name is None or external(self._job.spec.arm) is not None:  # the worker says why
            return
        with self._held():
            self._running = PROBES[name](self._command).start(self._job, pid, self._folder)
        self._running.settle(SETTLE_S)

    def stop(self) -> Notes:
        """End it, and say what is to be said."""
        return Notes() if self._running is None else self._running.stop()

    def kill(self) -> None:
        """End it at once, where it has not ended."""
        if self._running is not None:
            self._running.kill()
