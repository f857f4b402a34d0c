"""What a verification runs with: the run's folder, its machine, the time that is left, who watches; and how a pair is run and put on disk."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from loopdiag.analysis.effects import FEWEST
from loopdiag.errors import LoopdiagError
from loopdiag.lab import campaign, store
from loopdiag.lab.campaign import WORLD, World
from loopdiag.lab.pairs import Rounds, Side, alone, run_pairs
from loopdiag.lab.scenario_faults import scenario_faults
from loopdiag.lab.targets import Targets
from loopdiag.lab.watching import Progress, Silent
from loopdiag.model.recording import Recording
from loopdiag.model.scenario import Scenario
from loopdiag.verify.outcomes import Outcome, outcome
from loopdiag.verify.record import BASE, FOLDER, TREATED, Attempt

PROGRAM_S = 0.05  # of a program's trial, besides its process
PROCESS_S = 0.45  # of a trial's process, besides its set-up and timed part
CLEARLY_LESS = 0.3  # a treated trial is never expected to take less than this part of the base's


@dataclass
class Bench:
    """A verification in progress.

    Attributes:
        folder: of the run.
        recording: the run itself; its environment and seed hold here, too.
        ends_s: when the time is over, on the world's clock.
        live: whether --live was given.
    """

    folder: Path
    recording: Recording
    ends_s: float
    targets: Targets
    live: bool = False
    progress: Progress = field(default_factory=Silent)
    world: World = WORLD
    count: int = 0

    def left_s(self) -> float:
        """What is left of the time."""
        return max(0.0, self.ends_s - self.world.clock())

    def process_s(self, arm: str) -> float:
        """What a trial takes besides its timed part."""
        if self.recording.scenario.program is not None:
            whole = [t.process_s - t.total_s for t in self.recording.trials if t.process_s is not None and t.total_s is not None]
            return PROGRAM_S + (median(whole) if whole else PROCESS_S)
        setups = [t.setup_s for t in self.recording.trials if t.spec.arm.name == arm and t.setup_s is not None]
        return PROCESS_S + (median(setups) if setups else 0.0)

    def why_not(self, base: Scenario, treated: Scenario) -> str | None:
        """Why a changed scenario must not, or cannot, be run; None where it can."""
        if base.program is not None:
            return self._why_not_program(base, treated)
        if any(arm.apart for arm in base.arms) and treated.arms != base.arms:
            return "it would take the arm out of the environment of its own"
        # a key that an intervention has made idle does no harm
        faults = [fault for fault in scenario_faults(treated, set()) if not fault.message.startswith("has no effect")]
        if faults:
            return f"its changed scenario is wrong: {faults[0].key}: {faults[0].message}"
        if treated.target.live and (why := self._why_not_live(base, treated)):
            return why
        try:
            campaign.check(treated, live_allowed=self.live)
        except LoopdiagError as fault:
            return f"its changed scenario cannot run here: {fault.faults[0]}"
        return None

    def _why_not_live(self, base: Scenario, treated: Scenario) -> str | None:
        if not self.live:
            return f"{treated.target.url} is somebody's live server: without --live nothing is sent there"
        return "it would put more load on a live server than the run itself did" if heavier(base, treated) else None

    def _why_not_program(self, base: Scenario, treated: Scenario) -> str | None:
        if treated.knobs == base.knobs:
            return "nothing of it can be changed inside the program"
        if treated.knobs.null_server and base.target.tls != "off":
            return "a null server answers plain HTTP alone, and the program's target speaks TLS"
        if self.live or not heavier(base, treated):
            return None
        if not (peers := {peer for trial in self.recording.trials for peer in trial.peers}):
            return "it would put more load on servers that were not seen: with --live it is tried"
        foreign = sorted(peer for peer in peers if not loopback(peer))
        return f"it would put more load on {', '.join(foreign[:3])} than the program does: with --live it is tried" if foreign else None

    def place(self, arm: str, what: str) -> str:
        """A new folder's name for one attempt, under the run's."""
        self.count += 1
        return f"{FOLDER}/{self.count:02d}-{arm.replace('/', '-')}-{what}"

    def attempt(self, attempt: Attempt, base: Scenario, treated: Scenario, expected: "Costs", most: int) -> tuple[Outcome, bool]:
        """Run both sides interleaved, `most` rounds as far as `Costs.budget_s` goes; the outcome, and whether somebody asked for the end."""
        rounds = Rounds(
            ns=attempt.ns,
            budget_s=expected.budget_s,
            expected_s=(expected.base, expected.treated),
            most=most,
            timelines=(attempt.ns[-1], attempt.ns[0]) if attempt.remedy else (),
            pace_s=self.pace_s(base),
        )
        ran = self._run({BASE: base, TREATED: treated}, attempt.folder, rounds)
        return outcome(self.folder, attempt), any(made.interrupted for made in ran)

    def sweep(self, place: str, scenario: Scenario, ns: tuple[int, ...], expected_s: Mapping[int, float], budget_s: float) -> bool:
        """Run one scenario alone at further N; whether somebody asked for the end."""
        rounds = Rounds(ns=ns, budget_s=budget_s, expected_s=(expected_s,), most=FEWEST, pace_s=self.pace_s(scenario))
        return any(made.interrupted for made in self._run({TREATED: scenario}, place, rounds))

    def several(  # noqa: PLR0913, PLR0917 - what is run
        self,
        place: str,
        sides: Mapping[str, Scenario],
        ns: tuple[int, ...],
        expected_s: tuple[Mapping[int, float], ...],
        budget_s: float,
        most: int,
    ) -> bool:
        """Run any sides interleaved, the base first; whether somebody asked for the end."""
        rounds = Rounds(ns=ns, budget_s=budget_s, expected_s=expected_s, most=most)
        return any(made.interrupted for made in self._run(sides, place, rounds))

    def pace_s(self, scenario: Scenario) -> float:
        """Between two trials, at least."""
        return 60 / scenario.live.runs_per_minute if scenario.target.live and scenario.program is None else 0.0

    def _run(self, scenarios: Mapping[str, Scenario], place: str, rounds: Rounds) -> tuple[Recording, ...]:
        now, sides = datetime.now(UTC), []
        environment = self.recording.environment
        for name, scenario in scenarios.items():
            made = alone(scenario, rounds.ns)
            sides.append(Side(made, store.Store.create(self.folder / place / name, campaign.blank(made, environment, now))))
        return run_pairs(
            sides,
            rounds,
            environment=environment,
            targets=self.targets,
            progress=self.progress,
            left_s=self.left_s,
            world=self.world,
        )


@dataclass(frozen=True)
class Costs:
    """What a whole trial takes at each N, in seconds, and what there is for all of them."""

    base: Mapping[int, float]
    treated: Mapping[int, float]
    budget_s: float

    def round_s(self, ns: Sequence[int]) -> float:
        """Of one round over these N."""
        return sum(self.base[n] + self.treated[n] for n in ns)

    def least_s(self, ns: Sequence[int], pace_s: float = 0.0) -> float:
        """Of the least that tells something: warm-ups, the least rounds, a timeline."""
        trials = 2 + 2 * FEWEST * len(ns) + 1
        return max(pace_s * trials, self.base[ns[0]] + self.treated[ns[0]] + FEWEST * self.round_s(ns) + self.treated[ns[-1]])

    def bears(self, ns: Sequence[int], pace_s: float = 0.0) -> bool:
        """Whether there is enough for that."""
        return len(ns) > 1 and self.least_s(ns, pace_s) <= self.budget_s


def costs(points: Mapping[int, Sequence[float]], ratio: float, process_s: float, budget_s: float) -> Costs:
    """What trials will take, from the base's totals and the ratio of slopes that is predicted."""
    part = min(1.0, max(CLEARLY_LESS, ratio)) if math.isfinite(ratio) else 1.0
    totals = {n: median(seconds) for n, seconds in points.items()}
    return Costs({n: t + process_s for n, t in totals.items()}, {n: part * t + process_s for n, t in totals.items()}, budget_s)


def values(ns: Sequence[int], wanted: int, expected: Costs, pace_s: float = 0.0) -> tuple[int, ...]:
    """Which N to compare: spread from the smallest up to the largest that the budget bears, rather fewer of them than smaller ones; () where none fit.

    Args:
        ns: measured ones, ascending.
        wanted: how many, at most.
        expected: what trials take, and the budget.
        pace_s: between trials, at least.
    """
    for top in range(len(ns), 1, -1):
        for count in range(max(2, min(wanted, top)), min(3, max(2, wanted), top) - 1, -1):
            chosen = tuple(ns[round(k * (top - 1) / (count - 1))] for k in range(count))
            if expected.bears(chosen, pace_s):
                return chosen
    return ()


def heavier(base: Scenario, treated: Scenario) -> bool:
    """Whether the changed scenario may have more requests or connections under way than the base."""

    def most(limit: int | None, default: float) -> float:
        return default if limit is None else (limit or math.inf)

    pools = [most(s.pool.limit, 100) for s in (base, treated)]
    hosts = [most(s.pool.limit_per_host, math.inf) for s in (base, treated)]
    workers = [most(s.workload.concurrency, math.inf) for s in (base, treated)]
    rates = [s.workload.rate_per_s or math.inf for s in (base, treated)]
    kept = [most(s.pool.keepalive, 0) for s in (base, treated)]
    if base.program is not None:
        return _heavier_program(base, treated, any(after > before for before, after in (pools, hosts, workers, rates)))
    return any(after > before for before, after in (pools, hosts, workers, rates, kept)) and treated != replace(base, arms=treated.arms)


def _heavier_program(base: Scenario, treated: Scenario, seen: bool) -> bool:
    """Of a program whose knobs are turned, `seen` being what the scenarios say that were seen of it."""
    before, after = base.knobs, treated.knobs
    limits = (
        (base.pool.limit, 100, "pool_limit"),
        (base.pool.limit_per_host, math.inf, "pool_limit_per_host"),
        (base.workload.concurrency, 1, "semaphore"),
    )
    for own, default, name in limits:
        was, now = getattr(before, name), getattr(after, name)
        if now is not None and now != was and (now or math.inf) > (was or own or default):
            return True
    more_threads = after.executor is not None and after.executor > (before.executor or 0)
    shorter = any(
        (getattr(after, name) is not None) and getattr(after, name) != getattr(before, name) for name in ("sleep", "blocking_sleep")
    )
    return seen or more_threads or shorter or (before.lock and not after.lock)


def loopback(peer: str) -> bool:
    """Whether a host or address, as a program connected to it, is this machine's own."""
    if peer == "localhost" or peer.endswith(".localhost") or peer.startswith("/"):
        return True
    try:
        return ip_address(peer.partition("%")[0]).is_loopback
    except ValueError:
        return False
