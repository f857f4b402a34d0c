"""What the tests of verification share: causes of which the truth is known, and a bench that computes what it would measure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from lab_parts import ENVIRONMENT, FAKE, scenario
from msgspec.structs import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.slope import slope
from loopdiag.causes.judging import Judgement
from loopdiag.lab import store
from loopdiag.lab.campaign import World, blank
from loopdiag.lab.pairs import alone
from loopdiag.lab.store import Store
from loopdiag.lab.targets import Targets
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.law import Estimate, Law, NotEnough
from loopdiag.model.recording import Recording, TrialResult, TrialSpec
from loopdiag.model.scenario import Fake, Scenario, Sweep, Verification
from loopdiag.verify import Hypotheses, verify
from loopdiag.verify.bench import Bench, Costs
from loopdiag.verify.outcomes import Outcome, outcome
from loopdiag.verify.record import BASE, TREATED, Attempt, Verified

NS = (10, 20, 40, 80)
Truth = Callable[[Scenario], float]  # slope in ms per request


class Time:
    """A clock that only moves where told."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def of_cpu(made: Scenario) -> float:
    """The fake client's loop time per request, in ms."""
    return made.fake.cpu_us / 1000


def start(cpu_us: float = 2000, **parts: Any) -> Scenario:
    """A scenario of the fake client."""
    sweep = Sweep(n=NS, repetitions=3, budget_s=60)
    return scenario(FAKE, **({"fake": Fake(cpu_us=cpu_us), "sweep": sweep, "verify": Verification(budget_s=100)} | parts))


def points_of(
    per_request_ms: float, ns: Sequence[int], rounds: int, *, seed: int = 1, noise: float = 0.005, offset_ms: float = 50
) -> dict[int, list[float]]:
    """Totals of a line with a little noise."""
    random = np.random.default_rng(seed)
    return {n: [float((offset_ms + per_request_ms * n) / 1000 * (1 + noise * random.standard_normal())) for _ in range(rounds)] for n in ns}


def recorded(folder: Path, made: Scenario, points: Mapping[int, Sequence[float]], **more: Any) -> Recording:
    """A run's folder with these bare totals."""
    opened = Store.create(folder, blank(made, ENVIRONMENT, datetime.now(UTC)))
    trials = []
    for n, seconds in points.items():
        for repetition, total_s in enumerate(seconds):
            spec = TrialSpec(id=f"n{n}-r{repetition}", arm=made.arms[0], n=n, tier="bare", repetition=repetition, seed=1)
            trials.append(TrialResult(spec=spec, status="ok", total_s=total_s, setup_s=0.05, cpu_s=total_s))
            opened.save_trial(trials[-1])
    whole = replace(opened.recording, trials=tuple(trials), ended="2026-01-01T00:00:00Z", **more)
    opened.finish(whole)
    return store.load(folder)


def evidence(made: Scenario, points: Mapping[int, Sequence[float]]) -> Evidence:
    """What is known of the scenario's only arm."""
    over = slope(points)
    assert over is not None
    return Evidence(arm=made.arms[0], scenario=made, points=points, law=Law(form="a + b*N"), slope=over)


@dataclass
class Planted:
    """A cause of which the test knows what it claims and does."""

    name: str
    claims: float  # share of the slope that it says it has
    change: Callable[[Scenario], Scenario] | None
    remedy: bool = True
    side: str = "client"
    needs: frozenset[str] = frozenset()
    offset_ms: float | None = None
    asked: int = 0

    def attribute(self, seen: Evidence) -> Attribution | NotEnough | None:
        """What it claims."""
        self.asked += 1
        share = Estimate(value=self.claims, low=self.claims * 0.9, high=min(1.0, self.claims * 1.1))
        left = seen.slope.value * (1 - self.claims)
        return Attribution(
            cause=self.name,
            share=share,
            slope_ms=Estimate(value=seen.slope.value * self.claims),
            offset_ms=None
            if self.offset_ms is None
            else Estimate(value=self.offset_ms, low=self.offset_ms * 0.8, high=self.offset_ms * 1.2),
            predicted=Estimate(value=left, low=left * 0.9, high=left * 1.1),
        )

    def intervene(self, made: Scenario, seen: Evidence) -> Intervention | None:
        """Its change."""
        del seen
        if self.change is None:
            return None
        return Intervention(scenario=self.change(made), changes=(f"{self.name}: removed",), remedy=self.remedy)


def less(part: float) -> Callable[[Scenario], Scenario]:
    """A change that leaves a part of the loop's time per request."""
    return lambda made: replace(made, fake=replace(made.fake, cpu_us=made.fake.cpu_us * part))


@dataclass
class Computed(Bench):
    """A bench that writes what its `truth` says instead of running anything; each attempt takes `takes_s`."""

    truth: Truth = of_cpu
    takes_s: float = 5.0
    noise: float = 0.005
    ran: list[Attempt] = field(default_factory=list)
    stop_after: int | None = None

    def attempt(self, attempt: Attempt, base: Scenario, treated: Scenario, expected: Costs, most: int) -> tuple[Outcome, bool]:
        """Compute both sides."""
        del expected
        self.ran.append(attempt)
        for seed, (name, made) in enumerate(((BASE, base), (TREATED, treated))):
            self._write(f"{attempt.folder}/{name}", made, attempt.ns, max(3, most), 10 * len(self.ran) + seed)
        self._pass()
        return outcome(self.folder, attempt), self.stop_after == len(self.ran)

    def sweep(self, place: str, scenario: Scenario, ns: tuple[int, ...], expected_s: Mapping[int, float], budget_s: float) -> bool:
        """Compute one side."""
        del expected_s, budget_s
        self._write(f"{place}/{TREATED}", scenario, ns, 2, 1)
        self._pass()
        return False

    def several(  # noqa: PLR0917 - as the bench's
        self,
        place: str,
        sides: Mapping[str, Scenario],
        ns: tuple[int, ...],
        expected_s: tuple[Mapping[int, float], ...],
        budget_s: float,
        most: int,
    ) -> bool:
        """Compute all sides."""
        del expected_s, budget_s
        for seed, (name, made) in enumerate(sides.items()):
            self._write(f"{place}/{name}", made, ns, most, seed)
        self._pass()
        return False

    def _write(self, place: str, made: Scenario, ns: Sequence[int], rounds: int, seed: int) -> None:
        points = points_of(self.truth(made), ns, rounds, seed=seed, noise=self.noise, offset_ms=made.target.service.mean_ms)
        recorded(self.folder / place, alone(made, tuple(ns)), points)

    def _pass(self) -> None:
        clock = self.world.clock
        assert isinstance(clock, Time)
        clock.now += self.takes_s


def judge_by(*causes: Planted) -> Callable[[Evidence], Judgement]:
    """Asks these causes; those that claim less than 5 % are silent."""

    def judge(seen: Evidence) -> Judgement:
        claims = [
            made
            for cause in causes
            if isinstance(made := cause.attribute(seen), Attribution) and (made.share.value >= 0.05 or made.offset_ms)
        ]
        return Judgement(found=tuple(sorted(claims, key=lambda claim: -claim.share.value)))

    return judge


def verified(
    folder: Path,
    made: Scenario,
    causes: Sequence[Planted],
    *,
    truth: Truth = of_cpu,
    budget_s: float = 100.0,
    monkeypatch: Any,
    **bench: Any,
) -> tuple[Verified, Computed]:
    """Verify a run whose only arm has these causes."""
    recording = recorded(folder, made, points_of(truth(made), NS, 4))
    seen, judge = {FAKE.name: evidence(made, points_of(truth(made), NS, 4))}, judge_by(*causes)
    clock, kept = Time(), []

    def bench_of(*arguments: Any, **more: Any) -> Computed:
        kept.append(Computed(*arguments, **more, truth=truth, **bench))
        return kept[-1]

    def again(place: Path, at: Scenario) -> Evidence | None:
        found = store.load(place)
        points: dict[int, list[float]] = {}
        for trial in found.trials:
            points.setdefault(trial.spec.n, []).append(trial.total_s or 0.0)
        return changed(evidence(at, points), scenario=at)

    monkeypatch.setattr("loopdiag.verify.Bench", bench_of)
    asked = Hypotheses(causes={cause.name: cause for cause in causes}, judge=judge, again=again)
    told = verify(folder, recording, seen, {FAKE.name: judge(seen[FAKE.name])}, asked, budget_s=budget_s, world=World(clock=clock))
    assert isinstance(kept[0].targets, Targets)
    return told, kept[0]
