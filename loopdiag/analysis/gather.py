"""Everything that causes may read about each arm, put together from a document; what fails or is missing is told, and costs nothing else."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_parts
from statistics import median
from typing import TypeVar

from msgspec.structs import replace

from loopdiag.analysis.cells import Points
from loopdiag.analysis.class_shares import class_shares, extended
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.occupancy import Occupancy
from loopdiag.analysis.scaling import fit_law, slope
from loopdiag.model.flame import TopRow
from loopdiag.model.law import Law, NotEnough
from loopdiag.model.ledger import ArmLedger
from loopdiag.model.profile import Profile
from loopdiag.model.recording import Recording, TrialResult
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.timeline import Timeline

T = TypeVar("T")


@dataclass
class _Parts:
    """An arm's parts so far, and why others are missing."""

    missing: dict[str, str] = field(default_factory=dict)

    def take(self, part: str, make: Callable[[], T | NotEnough], absent: T) -> T:
        """A part; `absent` and a reason where it cannot be had, whatever went wrong there."""
        try:
            made = make()
        except Exception as error:  # noqa: BLE001 - a recording with a hole in it must not cost the parts that are whole
            self.missing[part] = f"{type(error).__name__}: {error}"
            return absent
        if isinstance(made, NotEnough):
            self.missing[part] = made.why
            return absent
        return made


@dataclass(frozen=True)
class Seen:
    """An arm and its scenario; of a user's program, as it was seen, with the client and the loop that it uses."""

    arm: Arm
    scenario: Scenario
    client: Arm | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


def evidence_of(
    recording: Recording,
    timelines: Sequence[Timeline] = (),
    profiles: Sequence[Profile] = (),
    top: Mapping[str, tuple[TopRow, ...]] | None = None,
    laws: Mapping[str, Law] | None = None,
) -> dict[str, Evidence]:
    """Arm → its evidence; an arm without a slope has none.

    Args:
        recording: the run.
        timelines: resolved, of its usable `timeline` trials.
        profiles: of its usable `profile` trials, cut to the timed part.
        top: arm → the functions whose CPU grows most; None or an arm left out: not known.
        laws: arm → its law where it was fitted already.
    """
    found: dict[str, Evidence] = {}
    for arm in recording.scenario.arms:
        mine = [trial for trial in recording.trials if trial.spec.arm.name == arm.name and trial.usable]
        lines = sorted((line for line in timelines if line.arm == arm.name), key=lambda line: line.n)
        made = _of_arm(
            recording,
            _seen(recording, arm, lines, mine),
            [trial for trial in mine if trial.spec.tier == "bare"],
            lines,
            [profile for profile in profiles if profile.arm == arm.name],
            (top or {}).get(arm.name, ()),
            (laws or {}).get(arm.name),
        )
        if made is not None:
            failed = tuple(
                trial for trial in recording.trials if trial.spec.arm.name == arm.name and trial.spec.repetition >= 0 and not trial.usable
            )
            found[arm.name] = with_parts(made, counters=_counters(mine), failed=failed, architecture=recording.environment.architecture)
    return found


def _seen(recording: Recording, arm: Arm, lines: Sequence[Timeline], trials: Sequence[TrialResult]) -> Seen:
    """The arm's scenario: as it was asked for, or, of a program, as it was seen."""
    asked = replace(recording.scenario, arms=(arm,))
    if recording.scenario.program is None:
        return Seen(arm, asked)
    from loopdiag.analysis.program_scenario import Inferred, inferred

    parts = _Parts()
    nothing: Inferred | None = None
    found = parts.take("program", lambda: inferred(recording, arm, lines, trials), nothing)
    if found is None:
        return Seen(arm, asked, Arm(client="program"), parts.missing)
    return Seen(arm, found.scenario, found.seen)


def _of_arm(  # noqa: PLR0913, PLR0917 - the parts of an arm
    recording: Recording,
    known: Seen,
    bare: list[TrialResult],
    lines: list[Timeline],
    profiles: list[Profile],
    top: tuple[TopRow, ...],
    law: Law | None,
) -> Evidence | None:
    points = totals(bare)
    over = slope(points, seed=recording.plan_seed)
    if over is None:
        return None
    parts, arm, scenario = _Parts(missing=dict(known.missing)), known.arm, known.scenario
    if known.client is not None:
        from loopdiag.analysis.program_scenario import with_connections

        bare = with_connections(bare, lines)
    no_cpu: dict[str, dict[int, float]] = {}
    cpu = parts.take("class_cpu", lambda: class_cpu(profiles, bare), no_cpu)
    none: ArmLedger | None = None
    ledger = parts.take("ledger", lambda: _ledger(scenario, arm, bare, lines, points, profiles), none)
    if ledger is not None and not ledger.accounts:
        parts.missing["ledger"] = ledger.why or "it has no accounts"
    occupied: dict[int, Occupancy] = parts.take("occupancy", lambda: _occupancy(lines), {})
    no_machine: Machine | None = None
    machine = parts.take("machine", lambda: _machine(scenario, known.client or arm, bare, lines, cpu, points), no_machine)
    for name, there, why in (("timelines", lines, "no usable timeline trial"), ("top", top, "no slope graph: see class_cpu")):
        if not there:
            parts.missing[name] = why
    return Evidence(
        arm=arm,
        scenario=scenario,
        points=points,
        law=law or fit_law(points, seed=recording.plan_seed),
        slope=over,
        bare=tuple(bare),
        timelines=tuple(lines),
        ledger=ledger,
        occupancy=occupied,
        class_cpu=cpu,
        top=top,
        machine=machine,
        missing=parts.missing,
        seen=known.client,
    )


def _counters(trials: Iterable[TrialResult]) -> dict[str, int]:
    """What the instruments counted, at most over trials."""
    found: dict[str, int] = {}
    for trial in trials:
        for name, count in trial.counters.items():
            found[name] = max(count, found.get(name, 0))
    return found


def totals(bare: Iterable[TrialResult]) -> dict[int, list[float]]:
    """N → totals in seconds, N ascending."""
    found: dict[int, list[float]] = defaultdict(list)
    for trial in bare:
        if trial.total_s is not None:
            found[trial.spec.n].append(trial.total_s)
    return dict(sorted(found.items()))


def class_cpu(profiles: Sequence[Profile], bare: Sequence[TrialResult]) -> dict[str, dict[int, float]] | NotEnough:
    """Class of code → N → seconds of the loop thread's CPU: the profiles' shares of what the bare trials of the same N spent."""
    spent: dict[int, list[float]] = defaultdict(list)
    for trial in bare:
        if trial.cpu_s:
            spent[trial.spec.n].append(trial.cpu_s)
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for n, shares in class_shares(profiles).items():
        if n in spent:
            on_loop = [min(1.0, each.total_ns / each.cpu_ns) for each in profiles if each.n == n and each.cpu_ns]
            seconds = median(spent[n]) * (median(on_loop) if on_loop else 1.0)
            for code, share in shares.items():
                found[code][n] = share * seconds
    return dict(found) or NotEnough(why="no profile at an N whose CPU bare trials measured")


def _occupancy(lines: Sequence[Timeline]) -> dict[int, Occupancy]:
    from loopdiag.analysis.occupancy import occupancy

    return {line.n: occupancy(line) for line in lines}


def _ledger(  # noqa: PLR0913, PLR0917 - the parts of an arm
    scenario: Scenario, arm: Arm, bare: Sequence[TrialResult], lines: Sequence[Timeline], points: Points, profiles: Sequence[Profile]
) -> ArmLedger | NotEnough:
    from loopdiag.analysis.ledger import arm_ledger

    if not lines:
        return NotEnough(why="no usable timeline trial")
    cpu_s = {n: median([trial.cpu_s or 0.0 for trial in bare if trial.spec.n == n]) for n in points}
    shares = extended(class_shares(profiles), cpu_s, (line.n for line in lines))
    return arm_ledger(arm.name, lines, points, shares, workload=scenario.workload)


def _machine(  # noqa: PLR0913, PLR0917 - the parts of an arm
    scenario: Scenario, client: Arm, bare: list[TrialResult], lines: list[Timeline], cpu: Mapping[str, Mapping[int, float]], points: Points
) -> Machine | NotEnough:
    from loopdiag.analysis import calibrate

    return calibrate.machine(scenario, client, bare, lines, cpu, points)
