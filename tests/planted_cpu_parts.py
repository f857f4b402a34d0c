"""Trials of a real client whose requests compute a known time on top of their own, and how much of it the profiles find again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from loopdiag.analysis.profiles import profile_flames, read_profiles
from loopdiag.analysis.stacks import of_requests
from loopdiag.lab import store
from loopdiag.lab.environment import client_and_server_cores
from loopdiag.lab.job import Job
from loopdiag.lab.servers.process import TargetServer
from loopdiag.lab.trial import Bench
from loopdiag.model.flame import Flame
from loopdiag.model.profile import Profile
from loopdiag.model.recording import Environment, Recording, Tier, TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Payload, Plant, Profiling, Scenario, Service, Sweep, Target, Workload

TIERS: tuple[Tier, ...] = ("bare", "profile")
TARGET = Target(service=Service(mean_ms=20), payload=Payload(mean_bytes=2048))
HERE = Environment(system="", python="", cpu="", cores=1, memory_mib=1, clock_resolution_ns=1.0, clock_cost_ns=1.0, descriptor_limit=1)


class Found(NamedTuple):
    """The slope of one function's CPU in µs a request, half its 95 % interval, and the power of N that is marked on it."""

    slope_us: float
    half_us: float
    exponent: float | None


@contextmanager
def target() -> Iterator[TargetServer]:
    """A server for all trials: plain HTTP, small answers after 20 ms, apart from the client as in a run."""
    made = Scenario(name="planted", arms=(Arm(client="aiohttp"),), target=TARGET, sweep=Sweep(n=(1000,)))
    with TargetServer.start(made, cores=client_and_server_cores()[1]) as server:
        yield server


class Planting:
    """Trials of one arm with one plant, kept in one folder; more rounds may be added."""

    def __init__(self, server: TargetServer, folder: Path, arm: Arm, plant: Plant, *, rate_hz: int, profiler: tuple[str, ...] = ()) -> None:
        self._bench, self._url, self._folder = Bench(server, profiler=profiler), server.url, folder
        self._scenario = Scenario(
            name="planted", arms=(arm,), target=TARGET, workload=Workload(plant=plant), profile=Profiling(rate_hz=rate_hz)
        )
        self.trials: list[TrialResult] = []

    def round(self, ns: Sequence[int]) -> None:
        """One more bare and one more profiled trial at each N, in turns."""
        for n in ns:
            for tier in TIERS:
                self.trial(n, tier)

    def trial(self, n: int, tier: Tier) -> TrialResult:
        """Run one."""
        (arm,) = self._scenario.arms
        number = len(self.trials)
        spec = TrialSpec(id=f"{number:04}", arm=arm, n=n, tier=tier, repetition=number, seed=1)
        folder = self._folder / "trials" / spec.id
        folder.mkdir(parents=True)
        cores, _ = client_and_server_cores()
        result = self._bench.run(
            Job(scenario=self._scenario, spec=spec, url=self._url, folder=str(folder), cores=cores, warm_up=True), folder
        )
        assert (result.status, result.errors, result.not_observed.get("profile")) == ("ok", {}, None), result
        (folder / "trial.json").write_bytes(msgspec.json.encode(result))
        self.trials.append(result)
        return result

    def profile(self, trial: str) -> Profile | None:
        """What a trial left."""
        return of_requests(store.profiles(self._folder, trial))

    def slope_flame(self) -> Flame:
        """What grows with N, from all trials so far."""
        recording = Recording(loopdiag="0", started="", scenario=self._scenario, environment=HERE, plan_seed=1, trials=tuple(self.trials))
        flames, _ = profile_flames(recording, read_profiles(recording, self.profile))
        return next(flame for flame in flames if flame.kind == "slope")

    def seen_us(self, n: int, function: str) -> float:
        """µs a request of a function in one more profiled trial: what the samples' weight says, which adds up to the CPU of that trial."""
        profile = self.profile(self.trial(n, "profile").spec.id)
        assert profile is not None
        inside = [any(profile.frames[i].function == function for i in stack) for stack in profile.stacks]
        return sum(weight for stack, weight in zip(profile.stack, profile.weight_ns, strict=True) if inside[stack]) / 1e3 / n


def found(flame: Flame, function: str) -> Found:
    """What the slope graph says of a function, over all paths to it; nothing where it was never seen."""
    nodes = [node for node, number in enumerate(flame.frame) if number >= 0 and flame.frames[number].function == function]
    if not nodes:
        return Found(0.0, 0.0, None)
    widest = max(nodes, key=lambda node: flame.value[node])
    half = sum((flame.high[node] - flame.low[node]) ** 2 for node in nodes) ** 0.5 / 2
    return Found(sum(flame.value[node] for node in nodes), half, flame.exponent[widest])
