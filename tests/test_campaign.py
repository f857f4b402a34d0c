"""A whole run: every trial on disk at once, and nothing lost or left behind whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lab_parts import ENVIRONMENT, FAKE, scenario, serving, slow
from test_trial import gone

from loopdiag.errors import InputError, LoopdiagError, TargetDied
from loopdiag.lab import campaign, store
from loopdiag.lab.campaign import World, blank
from loopdiag.lab.clients.fake import exact_total_ns
from loopdiag.lab.interrupts import Interrupts
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.store import Store
from loopdiag.lab.trial import Target as Running
from loopdiag.lab.watching import Silent
from loopdiag.model.recording import Recording, TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Live, Scenario, Sweep, Target

AIOHTTP = Arm(client="aiohttp")
QUICK = Sweep(n=(2, 4, 8), repetitions=1, warmups=0, budget_s=3000, max_repetitions=3, trial_timeout_s=600)

SHORT = msgspec.structs.replace(QUICK, n=(2, 4), max_repetitions=1)


def guess(_points: Mapping[int, list[float]], _n: int) -> float | None:
    return None


def precise(_points: Mapping[int, list[float]]) -> float | None:
    return 0.0


class Watch(Silent):
    """Keeps what a run tells, and does `at` something when a trial starts or ends."""

    def __init__(self, **at: Any) -> None:
        self.lines: list[str] = []
        self.ended: list[TrialResult] = []
        self.etas: list[float] = []
        self.over = False
        self._at = at

    def begin(self, total_estimate_s: float, what: str = "measuring") -> None:
        """Keep the estimate."""
        del what
        self.etas.append(total_estimate_s)

    def trial_started(self, spec: TrialSpec, eta_s: float) -> None:
        """Keep the time left."""
        self.etas.append(eta_s)
        if "started" in self._at:
            self._at["started"](spec)

    def trial_ended(self, result: TrialResult, eta_s: float) -> None:
        """Keep the result."""
        self.etas.append(eta_s)
        self.ended.append(result)
        if "ended" in self._at:
            self._at["ended"](result)

    def note(self, line: str) -> None:
        """Keep the line."""
        self.lines.append(line)

    def end(self) -> None:
        """Note the end."""
        self.over = True


def run(folder: Path, made: Scenario, *, watch: Watch | None = None, **options: Any) -> Recording:
    """Record a scenario into a folder."""
    opened = Store.create(folder, blank(made, ENVIRONMENT, datetime.now(UTC)))
    return campaign.record(made, opened, environment=ENVIRONMENT, predict=guess, half_width=precise, progress=watch or Watch(), **options)


def no_target(_scenario: Scenario, _cores: tuple[int, ...]) -> Running:
    raise AssertionError("no target is needed")


def test_a_run_of_the_fake_client_is_exact_and_needs_no_target(tmp_path: Path) -> None:
    # Every cell is measured with the exact total, bare and timeline; the folder says the same as what is returned.
    made = scenario(FAKE, sweep=msgspec.structs.replace(QUICK, warmups=1))
    watch = Watch()
    ran = run(tmp_path, made, watch=watch, world=World(start=no_target))
    assert store.load(tmp_path) == ran
    assert (ran.partial, ran.interrupted, ran.skipped, ran.warnings) == (False, False, (), ())
    assert {(trial.spec.n, trial.spec.tier) for trial in ran.trials} == {(n, tier) for n in QUICK.n for tier in ("bare", "timeline")}
    for trial in ran.trials:
        assert trial.total_s == (exact_total_ns(made, trial.spec.n) or 0) / 1e9
    assert sum(trial.spec.repetition < 0 for trial in ran.trials) == 3
    assert tuple(watch.ended) == ran.trials
    assert watch.over
    assert all(0 <= eta <= 3000 for eta in watch.etas)
    assert ran.ended is not None
    assert "attempts" in store.columns(tmp_path, next(t.spec.id for t in ran.trials if t.spec.tier == "timeline"))


def test_each_trial_is_on_disk_when_it_ends(tmp_path: Path) -> None:
    # When the watcher hears of a trial's end, its file can be read.
    seen: list[bool] = []
    watch = Watch(ended=lambda result: seen.append(store.load(tmp_path).trials[-1] == result))
    run(tmp_path, scenario(sweep=QUICK), watch=watch)
    assert seen
    assert all(seen)


def test_a_real_run_has_the_targets_account(tmp_path: Path) -> None:
    # Real clients run against the embedded target, which tells connections and CPU, without the warm-up's.
    made = scenario(AIOHTTP, Arm(client="httpx", loop="uvloop"), FAKE, sweep=SHORT, target=Target(tls="ecdsa-p256"))
    ran = run(tmp_path, made)
    real = [trial for trial in ran.trials if trial.spec.arm.client != "fake"]
    assert {trial.status for trial in ran.trials} == {"ok"}
    assert all(trial.connections_opened is not None and 1 <= trial.connections_opened <= trial.spec.n for trial in real)
    assert all(trial.server_utilisation is not None and trial.server_utilisation > 0 for trial in real)
    tables = store.columns(tmp_path, real[0].spec.id)
    assert len(tables["server_requests"]) == real[0].spec.n


def test_what_cannot_run_is_told_before_anything_starts(tmp_path: Path) -> None:
    # Unknown parts, a real client on virtual time and a live target without --live: one line each, all at once.
    made = scenario(
        Arm(client="aiohtp"),
        Arm(client="aiohttp", loop="virtual"),
        Arm(client="fake", loop="uvlop"),
        target=Target(url="http://127.0.0.1:9"),
    )
    with pytest.raises(InputError) as caught:
        run(tmp_path, made, world=World(start=no_target))
    lines = caught.value.faults
    assert len(lines) == 4
    assert "did you mean 'aiohttp'" in lines[0]
    assert "virtual time is for the fake client only" in lines[1]
    assert "did you mean 'uvloop'" in lines[2]
    assert "give --live" in lines[3]


def test_a_target_that_does_not_come_up_ends_the_run(tmp_path: Path) -> None:
    # Nothing was measured: the reason is raised.
    def start(_scenario: Scenario, _cores: tuple[int, ...]) -> Running:
        raise TargetDied("the port is taken")

    watch = Watch()
    with pytest.raises(TargetDied, match="the port is taken"):
        run(tmp_path, scenario(AIOHTTP), watch=watch, world=World(start=start))
    assert watch.over


class Mortal:
    """The real target, killed when its CPU is asked for the `dies_at`-th time: with the worker ready, just before it is told to go."""

    def __init__(self, server: TargetServer, dies_at: int) -> None:
        self.server, self._left = server, dies_at
        self.url, self.ca_file = server.url, server.ca_file

    def alive(self) -> bool:
        """As the server says."""
        return self.server.alive()

    def cpu_ns(self) -> int:
        """As the server says, which may be the last thing it says."""
        self._left -= 1
        if self._left == 0:
            os.kill(self.server.pid, signal.SIGKILL)
            self.server._process.wait()
        return self.server.cpu_ns()

    def collect(self, folder: Path | None) -> Any:
        """As the server says."""
        return self.server.collect(folder)

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop()


def test_a_target_killed_mid_trial_is_started_again_and_the_trial_repeated(tmp_path: Path) -> None:
    # The trial under which the target died is kept as `repeated`; the same cell is run again, and the run is whole.
    made: list[Mortal] = []

    def start(chosen: Scenario, cores: tuple[int, ...]) -> Running:
        made.append(Mortal(TargetServer.start(chosen, cores=cores), dies_at=3 if not made else 0))
        return made[-1]

    watch = Watch()
    ran = run(tmp_path, scenario(AIOHTTP, sweep=SHORT), watch=watch, world=World(start=start))
    died = [trial for trial in ran.trials if trial.status == "repeated"]
    assert [trial.why for trial in died] == ["the target died during this trial"]
    again = [trial for trial in ran.trials if trial.spec.id == f"{died[0].spec.id}-again"]
    assert [trial.status for trial in again] == ["ok"]
    assert len(made) == 2
    assert not ran.partial
    assert watch.lines == list(ran.warnings)
    assert "started once more and the trial repeated" in ran.warnings[0]
    assert all(gone(server.server.pid) for server in made)


def test_a_target_that_dies_twice_ends_the_run_with_what_is_there(tmp_path: Path) -> None:
    # The second death is the end: partial, with the reason, and every trial kept.
    def start(chosen: Scenario, cores: tuple[int, ...]) -> Running:
        return Mortal(TargetServer.start(chosen, cores=cores), dies_at=3)

    ran = run(tmp_path, scenario(AIOHTTP, sweep=SHORT), world=World(start=start))
    assert ran.partial
    assert not ran.interrupted
    assert [trial.status for trial in ran.trials] == ["ok", "repeated", "ok", "repeated"]
    assert "died again" in ran.warnings[-1]
    assert store.load(tmp_path) == ran


def test_a_worker_that_always_fails_is_given_up(tmp_path: Path) -> None:
    # Each cell is tried three times; the run ends, with every failure and the reason.
    world = World(command=(sys.executable, "-c", "import no_such_module_of_ours"))
    ran = run(tmp_path, scenario(sweep=Sweep(n=(2, 4), repetitions=1, warmups=0, budget_s=3000)), world=world)
    bare = [trial for trial in ran.trials if trial.spec.tier == "bare"]
    assert {trial.status for trial in ran.trials} == {"crashed"}
    assert len(bare) == 6
    assert all("failed 3 times in a row: ModuleNotFoundError" in item.why for item in ran.skipped)


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(tmp_path: Path) -> None:
    # When a trial cannot be saved the run ends as partial with one line, and what was saved before is on disk.
    class Full(Store):
        def save_trial(self, result: TrialResult) -> None:
            if len(list(self.folder.glob("trials/*/trial.json"))) == 2:
                raise LoopdiagError("trial.json: cannot be written: No space left on device")
            super().save_trial(result)

    made = scenario(sweep=QUICK)
    Store.create(tmp_path, blank(made, ENVIRONMENT, datetime.now(UTC)))
    full = Full(tmp_path, store.load(tmp_path))
    ran = campaign.record(made, full, environment=ENVIRONMENT, predict=guess, half_width=precise)
    assert ran.partial
    assert ran.warnings == ("trial.json: cannot be written: No space left on device",)
    assert len(ran.trials) == 3
    assert len(list(tmp_path.glob("trials/*/trial.json"))) == 2


def test_a_deadline_ends_measuring(tmp_path: Path) -> None:
    # A deadline that has passed leaves no time for any cell, and each says so.
    ran = run(tmp_path, scenario(sweep=QUICK), deadline=0.0, world=World(clock=lambda: 5.0))
    assert ran.trials == ()
    assert len(ran.skipped) == 6


class Clock:
    """A clock that passes only where somebody sleeps, and a little with each look."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


def test_a_live_target_is_asked_no_oftener_than_allowed(tmp_path: Path) -> None:
    # At 4 runs a minute, 15 s pass from one run's start to the next; requests carry loopdiag's name; nothing is started.
    clock = Clock()
    with serving() as server:
        made = scenario(
            AIOHTTP,
            target=Target(url=server.url + "/", path="/x/{i}"),
            live=Live(runs_per_minute=4, max_n=4),
            sweep=Sweep(n=(2, 4, 8), repetitions=1, warmups=0, budget_s=600, max_repetitions=1),
        )
        ran = run(tmp_path, made, live_allowed=True, world=World(start=no_target, clock=clock, sleep=clock.sleep))
        agents = {headers["user-agent"] for headers in server.headers}
    assert [trial.status for trial in ran.trials] == ["ok"] * 4
    assert clock.slept == [15.0] * 3
    assert agents == {f"loopdiag/{ran.loopdiag}"}
    assert {item.why for item in ran.skipped} == {"aiohttp/asyncio N = 8: over live.max_n = 4"}
    assert sum(server.paths.values()) == sum(trial.spec.n for trial in ran.trials)


INTERRUPTED = """
    import sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    import msgspec
    from lab_parts import slow
    from test_campaign import Watch, run
    def started(spec):
        print("started", flush=True)
    ran = run(Path({folder!r}), slow(), watch=Watch(started=started))
    print(msgspec.json.encode({{"partial": ran.partial, "interrupted": ran.interrupted, "status": [t.status for t in ran.trials]}}).decode())
"""


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT, signal.SIGTERM]])
def test_an_interrupted_run_leaves_nothing_running_and_keeps_what_is_there(tmp_path: Path, signals: list[signal.Signals]) -> None:
    # Ctrl-C, once or more, or SIGTERM: the worker is gone, the run comes back as partial and interrupted, with the trial that ran.
    script = textwrap.dedent(INTERRUPTED).format(tests=str(Path(__file__).parent), folder=str(tmp_path / "run"))
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    for number in signals:
        parent.send_signal(number)
    told = json.loads(parent.stdout.read())
    parent.stdout.close()
    assert parent.wait() == 0
    assert told == {"partial": True, "interrupted": True, "status": ["interrupted"]}
    loaded = store.load(tmp_path / "run")
    assert loaded.interrupted
    assert [trial.status for trial in loaded.trials] == ["interrupted"]
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(path)]
    assert loaded.warnings == ("interrupted: what was measured by then is kept",)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes() + b" " + (path.parent / "fd").joinpath("2").readlink().as_posix().encode()
    except OSError:
        return b""


def test_an_interrupt_waits_for_what_must_be_finished() -> None:
    # Inside `held` a signal waits for the end; afterwards it is raised once; once the run is done, none is raised.
    order: list[str] = []
    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs ignore it
    with Interrupts() as interrupts:
        try:
            with interrupts.held():
                os.kill(os.getpid(), signal.SIGINT)
                order.append("finished")
            order.append("never")
        except KeyboardInterrupt:
            order.append("raised")
        os.kill(os.getpid(), signal.SIGTERM)
        interrupts.done()
        os.kill(os.getpid(), signal.SIGINT)
    assert order == ["finished", "raised"]
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_signals_are_left_alone(tmp_path: Path) -> None:
    # A run in another thread works; signals stay the program's own.
    done: list[Recording] = []
    thread = threading.Thread(target=lambda: done.append(run(tmp_path, scenario(sweep=Sweep(n=(2,), repetitions=1, warmups=0)))))
    thread.start()
    thread.join()
    assert not done[0].partial


def test_the_slow_scenario_is_slow() -> None:
    # The scenario that interrupted runs use cannot end by itself.
    assert slow().target.service.mean_ms >= 3_600_000
