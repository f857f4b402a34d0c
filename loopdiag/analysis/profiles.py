"""What a run's profiles say: the flame graphs of each arm and of its differences, and the functions whose CPU grows most with N."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from loopdiag.analysis.cpu_growth import measure
from loopdiag.analysis.flames import difference, prepared, time_flame, trial_flame
from loopdiag.analysis.slope_flame import slope_flame, top_rows
from loopdiag.analysis.stacks import through, window, without_loop
from loopdiag.model.flame import Flame, TopRow
from loopdiag.model.law import NotEnough
from loopdiag.model.profile import Calls, Profile
from loopdiag.model.recording import Recording, TrialResult
from loopdiag.model.scenario import Arm

Read = Callable[[str], Profile | None]
ReadCalls = Callable[[str], tuple[Calls, ...]]
ByN = Mapping[int, Sequence[Profile]]

FOREVER_NS = 1 << 62  # t1 and after: nothing was read then


def profile_flames(recording: Recording, profiles: Iterable[Profile]) -> tuple[tuple[Flame, ...], dict[str, tuple[TopRow, ...]]]:
    """Flame graphs and top rows of all arms that were profiled.

    For each arm: what grows with N (from 3 values of N on), one trial at the largest N, the same as it ran, and the largest N less the smallest.  For each two
    arms that share client or loop: their difference at the largest N that both have.

    Args:
        recording: whose bare trials tell the CPU that the samples are rescaled to.
        profiles: of its usable `profile` trials.

    Returns:
        The graphs, arm by arm, and arm → top rows, which need the slopes.
    """
    flames: list[Flame] = []
    top: dict[str, tuple[TopRow, ...]] = {}
    by_arm = _by_arm(profiles)
    for arm, by_n in by_arm.items():
        made, rows = _of_arm(by_n, _bare_cpu_s(recording.trials, arm))
        flames += made
        if rows:
            top[arm] = rows
    return (*flames, *_between(recording.scenario.arms, by_arm)), top


def read_profiles(recording: Recording, read: Read) -> tuple[Profile, ...]:
    """The timed part of the usable `profile` trials that left one (`stacks.of_requests`), in the order in which they ran."""
    found = (read(trial.spec.id) for trial in recording.trials if trial.spec.tier == "profile" and trial.usable)
    timed = (through(profile, window(0, FOREVER_NS)) for profile in found if profile is not None)
    return tuple(profile for profile in timed if profile.stack)


def counted_calls(recording: Recording, read: ReadCalls) -> dict[str, tuple[Calls, ...]]:
    """Arm → the calls that its `calls` trial at the largest N counted; arms without one are left out."""
    trials = [trial for trial in recording.trials if trial.spec.tier == "calls" and trial.usable]
    found: dict[str, tuple[Calls, ...]] = {}
    for trial in sorted(trials, key=lambda trial: trial.spec.n):
        if rows := read(trial.spec.id):
            found[trial.spec.arm.name] = rows
    return found


def _by_arm(profiles: Iterable[Profile]) -> dict[str, dict[int, list[Profile]]]:
    """Arm → N, ascending → its prepared profiles, the first repetition first."""
    found: dict[str, dict[int, list[Profile]]] = defaultdict(lambda: defaultdict(list))
    for profile in sorted(profiles, key=lambda profile: (profile.n, profile.repetition)):
        if profile.total_ns > 0:
            found[profile.arm][profile.n].append(prepared(profile))
    return {arm: dict(by_n) for arm, by_n in found.items()}


def _bare_cpu_s(trials: Iterable[TrialResult], arm: str) -> dict[int, list[float]]:
    """N → CPU in seconds of the arm's usable bare trials."""
    found: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.usable and trial.spec.tier == "bare" and trial.spec.arm.name == arm and trial.cpu_s:
            found[trial.spec.n].append(trial.cpu_s)
    return dict(found)


def _of_arm(by_n: ByN, bare_cpu_s: Mapping[int, Sequence[float]]) -> tuple[list[Flame], tuple[TopRow, ...]]:
    """One arm's graphs and rows; where there is no slope graph, the trial's says why."""
    smallest, largest = min(by_n), max(by_n)
    every = [profile for profiles in by_n.values() for profile in profiles]
    made: list[Flame] = []
    rows: tuple[TopRow, ...] = ()
    notes: tuple[str, ...] = ()
    growth = measure(every, bare_cpu_s)
    if isinstance(growth, NotEnough):
        notes = (growth.why,)
    else:
        made, rows = [slope_flame(growth, every)], top_rows(growth)
    one = by_n[largest][0]
    made += [trial_flame(one, notes=notes), time_flame(one)]
    if smallest < largest:
        made.append(difference(by_n[smallest], by_n[largest]))
    return made, rows


def _between(arms: Sequence[Arm], by_arm: Mapping[str, ByN]) -> Iterator[Flame]:
    """The differences between arms that differ in client or loop, but not in both."""
    for a, b in combinations(arms, 2):
        common = set(by_arm.get(a.name, ())) & set(by_arm.get(b.name, ()))
        if common and (a.client == b.client or a.loop == b.loop):
            n = max(common)
            before, after = by_arm[a.name][n], by_arm[b.name][n]
            if a.loop != b.loop:
                before, after = [without_loop(profile) for profile in before], [without_loop(profile) for profile in after]
            yield difference(before, after)
