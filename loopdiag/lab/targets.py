"""Embedded targets that several runs share: one process for each way to serve, started when first asked for."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from loopdiag.lab.trial import Account, Target
from loopdiag.model.scenario import Scenario

Start = Callable[[Scenario, tuple[int, ...]], Target]


class Targets:
    """Running targets; scenarios that are served alike get the same one.  They end with the context, or by `close`."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._running: dict[object, Target] = {}

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End them all."""
        self.close()

    def start(self, scenario: Scenario, cores: tuple[int, ...]) -> Target:
        """The target for this scenario: one that runs and serves alike, else a new one.

        Raises:
            TargetDied: it does not come up.
        """
        key = (scenario.target, scenario.workload.plant, max(scenario.sweep.n), scenario.sweep.seed, cores)
        running = self._running.get(key)
        if running is None or not running.alive():
            if running is not None:
                running.stop()
            self._running[key] = running = self._start(scenario, cores)
        return Shared(running)

    def close(self) -> None:
        """End all."""
        while self._running:
            self._running.popitem()[1].stop()


class Shared:
    """A target that its user may leave, but not end."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.url, self.ca_file = target.url, target.ca_file

    def alive(self) -> bool:
        """As the target says."""
        return self._target.alive()

    def cpu_ns(self) -> int:
        """As the target says."""
        return self._target.cpu_ns()

    def collect(self, folder: Path | None) -> Account:
        """As the target says."""
        return self._target.collect(folder)

    def stop(self) -> None:
        """Leave it to the others."""
