"""A run: the target is started, the plan's trials are run one after the other, and each is on disk as soon as it ends.

Whatever goes wrong, what was measured comes back: a worker that hangs or dies is a trial with that status; a target that dies is started
once more and the trial repeated; Ctrl-C, a full disk and a second death of the target end the run early, as partial.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from loopdiag.errors import LoopdiagError, TargetDied
from loopdiag.lab.cells import HalfWidth, Predict
from loopdiag.lab.injection import injected_environment
from loopdiag.lab.interrupts import Interrupts
from loopdiag.lab.job import Job
from loopdiag.lab.plan import Plan
from loopdiag.lab.preparing import prepare
from loopdiag.lab.program_trial import Heard, ProgramBench
from loopdiag.lab.runnable import check
from loopdiag.lab.store import NO_ROOM, Store, lost
from loopdiag.lab.trial import Bench, Inject, Target
from loopdiag.lab.watching import Progress, Silent
from loopdiag.model.recording import Environment, Recording, Skipped, TrialResult, TrialSpec
from loopdiag.model.scenario import Scenario

__all__ = ["WORLD", "Progress", "Run", "World", "blank", "check", "prepare", "record"]


def start_target(scenario: Scenario, cores: tuple[int, ...]) -> Target:
    """Start the embedded target.

    Raises:
        TargetDied: it does not come up.
    """
    from loopdiag.lab.servers.process import TargetServer

    return TargetServer.start(scenario, cores=cores)


@dataclass(frozen=True, kw_only=True)
class World:
    """What a run touches outside itself; tests put their own in."""

    start: Callable[[Scenario, tuple[int, ...]], Target] = start_target
    inject: Inject = injected_environment
    command: tuple[str, ...] = ()  # of a worker; empty: the real one
    profiler: tuple[str, ...] = ()  # of py-spy; empty: the real one
    heard: Heard | None = None  # of a program's output; None: nobody listens
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


WORLD = World()


def blank(scenario: Scenario, environment: Environment, now: datetime) -> Recording:
    """The recording of a run that begins now."""
    started = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Recording(
        loopdiag=version("loopdiag"), started=started, scenario=scenario, environment=environment, plan_seed=scenario.sweep.seed
    )


def record(  # noqa: PLR0913 - the analysis comes in as functions, because the lab may not import it
    scenario: Scenario,
    store: Store,
    *,
    environment: Environment,
    predict: Predict,
    half_width: HalfWidth,
    progress: Progress | None = None,
    live_allowed: bool = False,
    deadline: float | None = None,
    world: World = WORLD,
) -> Recording:
    """Run the scenario's trials.

    Args:
        scenario: what to run.
        store: where it goes; begun with `blank`.
        environment: the machine, with the cores for client and target.
        predict: T (seconds) at an N from the totals of others.
        half_width: half the slope's 95 % interval over the slope, from N → totals.
        progress: who watches.
        live_allowed: whether --live was given.
        deadline: time on ``time.monotonic()`` at which measuring ends at the latest.
        world: for tests.

    Returns:
        Everything that was measured; `partial` where the run was interrupted or ended by a fault, `warnings` say which.

    Raises:
        InputError: the scenario cannot run here; one line a fault, before anything is started.
        TargetDied: the embedded target never came up.
    """
    check(scenario, live_allowed=live_allowed)
    if not world.command:
        prepare(scenario, (progress or Silent()).note)
    live = scenario.target.live and scenario.program is None
    pace_s = 60 / scenario.live.runs_per_minute if live else 0.0
    budget_s = scenario.sweep.budget_s if deadline is None else min(scenario.sweep.budget_s, max(0.0, deadline - world.clock()))
    max_n = scenario.live.max_n if live else None
    plan = Plan(scenario, predict=predict, half_width=half_width, budget_s=budget_s, least_s=pace_s, max_n=max_n)
    with Interrupts() as interrupts:
        run = Run(scenario, store, environment, progress or Silent(), world, interrupts)
        return run.through(plan, pace_s)


class Run:
    """One run in progress: `through` a plan, or step by step: `open`, `trial` as often as wanted, `close`, `finish`."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a run
        self, scenario: Scenario, store: Store, environment: Environment, progress: Progress, world: World, interrupts: Interrupts
    ) -> None:
        self._scenario, self._store, self._environment = scenario, store, environment
        self._progress, self._world, self._interrupts = progress, world, interrupts
        self._bench: Bench | ProgramBench | None = None
        self._restarts = 0
        self._next_turn = 0.0
        self._trials: list[TrialResult] = []
        self._skipped: list[Skipped] = []
        self._warnings: list[str] = []
        self._partial = self._interrupted = False

    def through(self, plan: Plan, pace_s: float) -> Recording:
        """Run the plan to its end or to the first thing that ends it."""
        try:
            self.open()
            self._progress.begin(plan.remaining_s())
            while (item := plan.next_trial()) is not None:
                if isinstance(item, Skipped):
                    self._skipped.append(item)
                else:
                    began = self._turn(pace_s)
                    result = self.trial(item, plan.remaining_s())
                    plan.observe(result, self._world.clock() - began)
                    self._progress.trial_ended(result, plan.remaining_s())
        except KeyboardInterrupt:
            self.interrupted()
        except LoopdiagError as fault:
            if not self._trials:
                raise
            self.stop("; ".join(fault.faults))
        finally:
            self._interrupts.done()
            self.close()
            self._progress.end()
        return self.finish()

    # -- the target

    def open(self) -> None:
        """Start the target, where any arm needs one; raises TargetDied where it does not come up."""
        with self._interrupts.held():  # a target that is being started is not lost sight of
            self._open()

    def _open(self) -> None:
        world, held = self._world, self._interrupts.held
        if self._scenario.program is not None:  # it has a target of its own
            self._bench = ProgramBench(heard=world.heard, profiler=world.profiler, held=held)
            return
        target = None
        if not self._scenario.target.live and any(arm.client != "fake" for arm in self._scenario.arms):
            target = self._world.start(self._scenario, self._environment.server_cores)
        cores = len(self._environment.server_cores)
        self._bench = Bench(target, server_cores=cores, inject=world.inject, command=world.command, profiler=world.profiler, held=held)

    def close(self) -> None:
        """End the target."""
        if self._bench is not None and self._bench.target is not None:
            self._bench.target.stop()
        if isinstance(self._bench, ProgramBench):
            self._bench.close()

    def _again(self, trial: str) -> None:
        """Start the target once more; raises TargetDied the second time."""
        self.close()
        if self._restarts:
            raise TargetDied(f"the target died again, during trial {trial}; the run ends here")
        self._restarts += 1
        line = f"the target died during trial {trial}; it was started once more and the trial repeated"
        self._warnings.append(line)
        self._progress.note(line)
        self.open()

    # -- one trial

    def _turn(self, pace_s: float) -> float:
        """Wait until a live target may be asked again; when the wait began."""
        now = self._world.clock()
        if pace_s:
            if now < self._next_turn:
                self._world.sleep(self._next_turn - now)
            self._next_turn = max(now, self._next_turn) + pace_s
        return now

    def trial(self, spec: TrialSpec, eta_s: float) -> TrialResult:
        """Run one trial, once more if the target died under it; it is on disk when this returns.

        Raises:
            TargetDied: it died a second time.
            KeyboardInterrupt: the trial is kept as interrupted.
            LoopdiagError: it cannot be kept.
        """
        while True:
            result = self._once(spec, eta_s)
            if not self._target_died():
                self._keep(result)
                return result
            self._keep(msgspec.structs.replace(result, status="repeated", why="the target died during this trial"))
            self._again(spec.id)
            spec = msgspec.structs.replace(spec, id=f"{spec.id}-again")

    def _target_died(self) -> bool:
        assert self._bench is not None
        return self._bench.target is not None and not self._bench.target.alive()

    def _once(self, spec: TrialSpec, eta_s: float) -> TrialResult:
        assert self._bench is not None
        try:
            self._progress.trial_started(spec, eta_s)
            folder = self._store.trial_folder(spec.id)
            return self._bench.run(self._job(spec, str(folder)), folder)
        except KeyboardInterrupt:
            self._keep(TrialResult(spec=spec, status="interrupted", why="interrupted"))
            raise
        except OSError as error:
            if error.errno in NO_ROOM:
                raise lost(Path(error.filename or self._store.folder), error) from error
            return TrialResult(spec=spec, status="failed", why=f"the worker cannot be run: {error.strerror or error}")

    def _job(self, spec: TrialSpec, folder: str) -> Job:
        assert self._bench is not None
        target, live = self._bench.target, self._scenario.target.live
        ca_file = target.ca_file if target is not None else None
        return Job(
            scenario=self._scenario,
            spec=spec,
            url=target.url if target is not None else self._scenario.target.url or "fake:",
            folder=folder,
            ca_file=str(ca_file) if ca_file is not None else None,
            cores=self._environment.client_cores,
            warm_up=target is not None and spec.arm.client != "fake",
            user_agent=f"loopdiag/{version('loopdiag')}" if live else None,
        )

    # -- what is kept

    def _keep(self, result: TrialResult) -> None:
        """Put a trial on disk and on the list; a signal waits until both are done."""
        with self._interrupts.held():
            self._trials.append(result)
            self._store.save_trial(result)

    def interrupted(self) -> None:
        """Somebody asked for the end."""
        self._interrupted = True
        self.stop("interrupted: what was measured by then is kept")

    def stop(self, line: str) -> None:
        """Say that the run ends early, and why."""
        self._partial = True
        self._warnings.append(line)
        self._progress.note(line)

    def finish(self) -> Recording:
        """The whole recording, on disk as far as that goes."""
        made = self._recording()
        try:
            self._store.finish(made)
        except LoopdiagError as fault:
            self.stop("; ".join(fault.faults))
            return self._recording()
        return made

    def _recording(self) -> Recording:
        return msgspec.structs.replace(
            self._store.recording,
            environment=self._environment,
            trials=tuple(self._trials),
            skipped=tuple(self._skipped),
            warnings=tuple(self._warnings),
            partial=self._partial,
            interrupted=self._interrupted,
            ended=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        )
