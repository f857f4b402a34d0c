"""Scenarios side by side: interleaved, the same seeds, each in a folder of its own, and nothing lost whatever happens on the way."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lab_parts import ENVIRONMENT, FAKE, scenario
from test_campaign import Clock, Watch, no_target

from loopdiag.errors import TargetDied
from loopdiag.lab import store
from loopdiag.lab.campaign import World, blank
from loopdiag.lab.clients.fake import exact_total_ns
from loopdiag.lab.pairs import Rounds, Side, alone, paired, run_pairs
from loopdiag.lab.store import Store
from loopdiag.lab.targets import Targets
from loopdiag.lab.trial import Target as Running
from loopdiag.model.recording import Recording, TrialSpec
from loopdiag.model.scenario import Arm, Fake, Scenario, Target

NS = (2, 4)
BASE = alone(scenario(FAKE, fake=Fake(cpu_us=1000)), NS)
FASTER = alone(scenario(FAKE, fake=Fake(cpu_us=100)), NS)


def rounds(**parts: Any) -> Rounds:
    """Two rounds over two N with time enough."""
    expected = dict.fromkeys(NS, 0.5)
    return Rounds(**({"ns": NS, "budget_s": 600.0, "expected_s": (expected, expected), "most": 2} | parts))


def run(folder: Path, *scenarios: Scenario, watch: Watch | None = None, wanted: Rounds | None = None, **more: Any) -> tuple[Recording, ...]:
    """Run scenarios side by side, each in a folder of its own."""
    names = ("base", "treated")
    sides = [
        Side(each, Store.create(folder / name, blank(each, ENVIRONMENT, datetime.now(UTC))))
        for name, each in zip(names, scenarios, strict=True)
    ]
    return run_pairs(sides, wanted or rounds(), environment=ENVIRONMENT, progress=watch or Watch(), **more)


def test_sides_alternate_with_the_same_seeds(tmp_path: Path) -> None:
    # warm-ups first; then in each round every N once on each side, one right after the other, with one seed; the treated side's timelines last
    watch = Watch()
    base, treated = run(tmp_path, BASE, FASTER, watch=watch, wanted=rounds(timelines=(4, 2)), world=World(start=no_target))
    specs = [result.spec for result in watch.ended]
    assert [spec.repetition for spec in specs[:2]] == [-1, -1]
    pairs = list(zip(specs[2:10:2], specs[3:10:2], strict=True))
    assert all((one.n, one.repetition, one.seed) == (two.n, two.repetition, two.seed) for one, two in pairs)
    assert sorted((one.repetition, one.n) for one, _ in pairs) == [(0, 2), (0, 4), (1, 2), (1, 4)]
    assert [(spec.tier, spec.n) for spec in specs[10:]] == [("timeline", 4), ("timeline", 2)]
    assert store.load(tmp_path / "base") == base
    assert store.load(tmp_path / "treated") == treated
    assert {trial.spec.tier for trial in base.trials} == {"bare"}
    for made, seconds in zip((base, treated), paired(base, treated), strict=True):
        assert seconds == {n: [(exact_total_ns(made.scenario, n) or 0) / 1e9] * 2 for n in NS}


def test_only_whole_pairs_count(tmp_path: Path) -> None:
    # a round in which one side failed is left out on the other side, too
    base, treated = run(tmp_path, BASE, FASTER, world=World(start=no_target))
    broken = [
        msgspec.structs.replace(trial, status="crashed") if (trial.spec.n, trial.spec.repetition) == (4, 1) else trial
        for trial in treated.trials
    ]
    one, two = paired(base, msgspec.structs.replace(treated, trials=tuple(broken)))
    assert {n: len(seconds) for n, seconds in one.items()} == {n: len(seconds) for n, seconds in two.items()} == {2: 2, 4: 1}


def test_a_side_that_always_fails_ends_the_comparison(tmp_path: Path) -> None:
    # three failures in a row: both recordings are kept, as partial, with the reason
    world = World(start=no_target, command=(sys.executable, "-c", "import no_such_module_of_ours"))
    made = run(tmp_path, BASE, FASTER, world=world, wanted=rounds(most=8))
    assert all(each.trials and {trial.status for trial in each.trials} == {"crashed"} for each in made)
    assert any("3 failures in a row: ModuleNotFoundError" in line for each in made for line in each.warnings)
    assert paired(*made) == ({}, {})


def test_the_budget_holds(tmp_path: Path) -> None:
    # a round that does not fit is not begun; a sufficient one ends it
    clock = Clock()
    none = run(tmp_path / "none", BASE, FASTER, world=World(start=no_target, clock=clock), wanted=rounds(budget_s=0.9))
    assert [len(made.trials) for made in none] == [1, 1]  # the warm-ups
    seen: list[int] = []

    def enough(sides: Sequence[Any]) -> bool:
        seen.append(sum(len(seconds) for seconds in sides[1].values()))
        return True

    one = run(tmp_path / "one", BASE, FASTER, world=World(start=no_target), wanted=rounds(least=1, most=5, enough=enough))
    assert [len(made.trials) for made in one] == [3, 3]
    assert seen == [2]


def test_a_second_round_that_is_too_long_is_run_at_its_smaller_n(tmp_path: Path) -> None:
    # two rounds are the least; where the second does not fit, its smaller N are run, so that something is repeated
    clock = Clock()

    def started(spec: TrialSpec) -> None:
        clock.now += {2: 1.0, 4: 10.0}[spec.n]

    world = World(start=no_target, clock=clock)
    made = run(tmp_path, BASE, FASTER, watch=Watch(started=started), world=world, wanted=rounds(budget_s=40.0))
    for each in made:
        assert sorted((trial.spec.n, trial.spec.repetition) for trial in each.trials) == [(2, -1), (2, 0), (2, 1), (4, 0)]


def test_an_interrupt_keeps_what_ended(tmp_path: Path) -> None:
    # Ctrl-C: both sides come back as interrupted, with their trials, and one line tells it
    def started(spec: TrialSpec) -> None:
        if spec.repetition == 1:
            raise KeyboardInterrupt

    watch = Watch(started=started)
    made = run(tmp_path, BASE, FASTER, watch=watch, world=World(start=no_target))
    assert all(each.interrupted and each.partial for each in made)
    assert sum(len(each.trials) for each in made) == 7
    assert watch.lines == ["interrupted: what was measured by then is kept"]
    assert store.load(tmp_path / "treated") == made[1]


class Counted:
    """A target that only counts."""

    url, ca_file = "http://127.0.0.1:9", None

    def __init__(self) -> None:
        self.stopped, self.lives = 0, True

    def alive(self) -> bool:
        """As set."""
        return self.lives

    def cpu_ns(self) -> int:
        """Nothing."""
        return 0

    def collect(self, folder: Path | None) -> Any:
        """Nothing."""
        del folder

    def stop(self) -> None:
        """Count."""
        self.stopped += 1


def test_scenarios_that_are_served_alike_share_a_target() -> None:
    # one process for the same target, whatever the client does; another for another; a dead one is replaced; who leaves does not end it
    made: list[Counted] = []

    def start(_scenario: Scenario, _cores: tuple[int, ...]) -> Running:
        made.append(Counted())
        return made[-1]

    real = scenario(Arm(client="aiohttp"))
    with Targets(start) as targets:
        targets.start(real, ()).stop()
        targets.start(msgspec.structs.replace(real, arms=(Arm(client="httpx"),)), ())
        assert len(made) == 1
        targets.start(msgspec.structs.replace(real, target=Target(tls="ecdsa-p256")), ())
        assert len(made) == 2
        made[0].lives = False
        assert targets.start(real, ()).alive()
        assert [each.stopped for each in made] == [1, 0, 0]
    assert [each.stopped for each in made] == [1, 1, 1]


def test_a_target_that_does_not_come_up_is_told(tmp_path: Path) -> None:
    # nothing was run, and the recordings say why
    def start(_scenario: Scenario, _cores: tuple[int, ...]) -> Running:
        raise TargetDied("the port is taken")

    real = alone(scenario(Arm(client="aiohttp")), NS)
    made = run(tmp_path, real, real, world=World(start=start))
    assert all(each.partial and not each.trials and each.warnings == ("the port is taken",) for each in made)


def test_trials_of_a_live_target_keep_their_distance(tmp_path: Path) -> None:
    # at 15 s from start to start, the second trial and all after it wait
    clock = Clock()
    wanted = rounds(most=1, pace_s=15.0)
    run(tmp_path, BASE, FASTER, world=World(start=no_target, clock=clock, sleep=clock.sleep), wanted=wanted)
    assert clock.slept == [pytest.approx(15.0)] * 5
