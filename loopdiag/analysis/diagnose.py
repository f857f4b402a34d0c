"""A recording and its tables → the diagnosis: each arm's law and slope, what the instruments cost, what was not observed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from loopdiag.analysis.answer import answer
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.gather import evidence_of
from loopdiag.analysis.ladders import ladders
from loopdiag.analysis.medians import largest, loop_lag, phases, reused
from loopdiag.analysis.noise import repetition_noise
from loopdiag.analysis.overhead import paired_ratio
from loopdiag.analysis.profiles import counted_calls, profile_flames, read_profiles
from loopdiag.analysis.scaling import fit_law, slope
from loopdiag.analysis.timelines import resolve
from loopdiag.analysis.witness import agreement
from loopdiag.errors import LoopdiagError
from loopdiag.model.diagnosis import ArmDiagnosis, Diagnosis, Overhead, Point, Witness
from loopdiag.model.document import Document
from loopdiag.model.flame import Flame, TopRow
from loopdiag.model.profile import Calls, Profile
from loopdiag.model.program import called
from loopdiag.model.recording import Recording, Tier, TrialResult
from loopdiag.model.scenario import Arm, Program
from loopdiag.model.timeline import Timeline

Tables = Mapping[str, NDArray[np.void]]
Points = dict[int, list[float]]

#: above it the server may be what is measured
BUSY_SERVER = 0.7


def diagnose(
    recording: Recording,
    tables: Callable[[str], Tables],
    *,
    profiles: Callable[[str], Profile | None] | None = None,
    calls: Callable[[str], tuple[Calls, ...]] | None = None,
) -> Document:
    """Everything that the recording says, as `analyse`; without what causes would make of it."""
    return analyse(recording, tables, profiles=profiles, calls=calls)[0]


def analyse(
    recording: Recording,
    tables: Callable[[str], Tables],
    *,
    profiles: Callable[[str], Profile | None] | None = None,
    calls: Callable[[str], tuple[Calls, ...]] | None = None,
) -> tuple[Document, dict[str, Evidence]]:
    """Everything that the recording says, and the evidence of each arm for the causes.

    Args:
        recording: the run.
        tables: gives a trial's raw tables by its id (an empty mapping where there are none).
        profiles: gives a trial's profile (`stacks.of_requests`; None where it left none); None: do not look.
        calls: gives the calls that were counted in a trial; None: do not look.
    """
    observed = [trial for trial in recording.trials if trial.spec.tier == "timeline" and trial.usable]
    timelines, holes = _resolved(observed, tables)
    asked = {arm.name: arm for arm in recording.scenario.arms}
    seen, flames, top = _profiled(recording, profiles, holes)
    arms = tuple(_arm(arm, recording, [line for line in timelines if line.arm == name]) for name, arm in asked.items())
    evidence = evidence_of(recording, timelines, seen, top, {arm.arm: arm.law for arm in arms})
    arms = tuple(_with_ledger(_called(arm, recording.scenario.program, evidence.get(arm.arm)), evidence.get(arm.arm)) for arm in arms)
    diagnosis = Diagnosis(
        scenario=recording.scenario.name,
        question=recording.scenario.question,
        partial=recording.partial,
        answer=answer(arms, partial=recording.partial),
        arms=arms,
        overhead=tuple(_overhead(name, tier, recording.trials) for tier in _instrumented(recording.trials) for name in asked),
        ladders=ladders(recording.scenario, arms),
        witness=tuple(_witness(asked, observed, {line.trial for line in timelines}, tables)),
        noise=repetition_noise({(name, n): seconds for name in asked for n, seconds in points(recording.trials, name).items()}),
        lost=_summed(trial.lost for trial in recording.trials),
        errors=_summed(trial.errors for trial in recording.trials if trial.spec.repetition >= 0),
        not_observed=tuple(sorted({*_not_observed(timelines), *_not_profiled(recording.trials), *_not_gathered(evidence)})),
        not_measured=recording.skipped,
        warnings=(*recording.warnings, *holes, *_warnings(arms, timelines), *_of_trials(recording.trials)),
        environment=recording.environment,
    )
    document = Document(
        diagnosis=diagnosis,
        recording=recording,
        timelines=timelines,
        profiles=seen,
        flames=flames,
        top=top,
        ledgers=tuple(each.ledger for each in evidence.values() if each.ledger is not None),
        calls=counted_calls(recording, calls) if calls is not None else {},
    )
    return document, evidence


def _resolved(observed: list[TrialResult], tables: Callable[[str], Tables]) -> tuple[tuple[Timeline, ...], list[str]]:
    """The timelines, and a line for each trial whose tables cannot be read as one."""
    lines, holes = [], []
    for trial in observed:
        try:
            lines.append(resolve(tables(trial.spec.id), trial))
        except (LoopdiagError, ValueError, LookupError, TypeError) as error:
            holes.append(f"{trial.spec.arm.name} N = {trial.spec.n}: its timeline cannot be read: {_line(error)}")
    return tuple(lines), holes


def _profiled(
    recording: Recording, profiles: Callable[[str], Profile | None] | None, holes: list[str]
) -> tuple[tuple[Profile, ...], tuple[Flame, ...], dict[str, tuple[TopRow, ...]]]:
    """Profiles and what is drawn of them; nothing, and a line in `holes`, where they cannot be read."""
    try:
        seen = read_profiles(recording, profiles) if profiles is not None else ()
        flames, top = profile_flames(recording, seen)
    except (LoopdiagError, ValueError, LookupError, TypeError) as error:
        holes.append(f"the profiles cannot be read: {_line(error)}")
        return (), (), {}
    return seen, flames, top


def _called(arm: ArmDiagnosis, program: Program | None, evidence: Evidence | None) -> ArmDiagnosis:
    """A user's program by its own name, with the library and the loop that it was seen to use."""
    if program is None:
        return arm
    seen = None if evidence is None else evidence.seen
    used = {} if seen is None else {"client": seen.client, "loop": seen.loop}
    return replace(arm, label=called(program.argv), **used)


def _with_ledger(arm: ArmDiagnosis, evidence: Evidence | None) -> ArmDiagnosis:
    """The arm with its ledger's entries, where it has any."""
    if evidence is None or evidence.ledger is None:
        return arm
    from loopdiag.analysis import ledger

    return replace(arm, ledger=ledger.entries(evidence.ledger))


def _line(error: Exception) -> str:
    return "; ".join(error.faults) if isinstance(error, LoopdiagError) else f"{type(error).__name__}: {error}"


def points(trials: Iterable[TrialResult], arm: str, tier: str = "bare") -> Points:
    """N → totals in seconds of the arm's usable trials, N ascending."""
    found: Points = defaultdict(list)
    for trial in trials:
        if trial.usable and trial.spec.tier == tier and trial.spec.arm.name == arm and trial.total_s is not None:
            found[trial.spec.n].append(trial.total_s)
    return dict(sorted(found.items()))


def _arm(asked: Arm, recording: Recording, timelines: list[Timeline]) -> ArmDiagnosis:
    name = asked.name
    mine = [trial for trial in recording.trials if trial.spec.arm.name == name and trial.spec.repetition >= 0]
    totals = points(mine, name)
    bare = [trial for trial in mine if trial.usable and trial.spec.tier == "bare"]
    busiest = max((trial.server_utilisation for trial in bare if trial.server_utilisation is not None), default=None)
    seen = largest(timelines)
    seed = recording.plan_seed
    law = fit_law(totals, seed=seed)
    return ArmDiagnosis(
        arm=name,
        client=asked.client,
        loop=asked.loop,
        versions=mine[-1].versions if mine else {},
        points=tuple(Point(n=n, total_s=tuple(seconds)) for n, seconds in totals.items()),
        law=law,
        slope_ms=slope(totals, seed=seed),
        connections_per_request=_connections(bare) if recording.scenario.program is None else _own_connections(seen),
        reused_share=reused(seen),
        phases_ms=phases(seen),
        unattributed_share=max((line.unattributed_share for line in seen if line.unattributed_share is not None), default=None),
        unattributed_p95=max((line.unattributed_p95 for line in seen if line.unattributed_p95 is not None), default=None),
        lag=loop_lag(seen),
        server_utilisation=busiest,
        errors=_summed(trial.errors for trial in mine),
        failed=_failures(mine),
    )


def _connections(bare: list[TrialResult]) -> float | None:
    """Connections that the server accepted per request, over all bare trials of the largest N."""
    seen = [trial for trial in bare if trial.connections_opened is not None]
    if not seen:
        return None
    largest = max(trial.spec.n for trial in seen)
    opened = [(trial.connections_opened or 0) / trial.spec.n for trial in seen if trial.spec.n == largest]
    return float(np.median(opened))


def _own_connections(seen: list[Timeline]) -> float | None:
    """Connections per request that a program's own process was seen to make, where its requests were seen, too."""
    from loopdiag.analysis.program_scenario import connections_of

    counts = [count / line.n for line in seen if line.attempts and (count := connections_of(line)) is not None]
    return float(np.median(counts)) if counts else None


def _instrumented(trials: tuple[TrialResult, ...]) -> tuple[Tier, ...]:
    """The tiers whose cost is stated: timelines always, profiles where there are any."""
    return ("timeline", "profile") if any(trial.spec.tier == "profile" for trial in trials) else ("timeline",)


def _overhead(arm: str, tier: Tier, trials: tuple[TrialResult, ...]) -> Overhead:
    """Client CPU, and T, of the arm's trials of this tier over those of its bare ones."""
    cells: dict[str, dict[int, list[float]]] = {"bare": defaultdict(list), tier: defaultdict(list)}
    for trial in trials:
        if trial.usable and trial.spec.arm.name == arm and trial.spec.tier in cells and trial.cpu_s:
            cells[trial.spec.tier][trial.spec.n].append(trial.cpu_s)
    wall = paired_ratio(points(trials, arm), points(trials, arm, tier)) or (None, None, None)
    walls = dict(zip(("wall_ratio", "wall_low", "wall_high"), wall, strict=True))
    own = _own_estimate([trial for trial in trials if trial.usable and trial.spec.arm.name == arm and trial.spec.tier == tier])
    found = paired_ratio(cells["bare"], cells[tier])
    if found is None:
        return Overhead(tier=tier, arm=arm, own_estimate=own, **walls, why="no value of N was measured both with and without it")
    ratio, low, high = found
    why = None if low is not None else "one pair has no interval"
    return Overhead(tier=tier, arm=arm, ratio=ratio, low=low, high=high, **walls, own_estimate=own, why=why)


def _own_estimate(trials: list[TrialResult]) -> float | None:
    """What the instruments say that they cost, over the client CPU of the trials in which they said so."""
    told = [(sum(trial.costs_ns.values()) / 1e9, trial.cpu_s) for trial in trials if trial.costs_ns and trial.cpu_s]
    return sum(cost for cost, _ in told) / sum(cpu_s for _, cpu_s in told) if told else None


def _witness(names: Iterable[str], observed: list[TrialResult], whole: set[str], tables: Callable[[str], Tables]) -> Iterator[Witness]:
    """The server's account beside the timelines that could be read, `whole`."""
    for name in names:
        compared = agreeing = 0
        for trial in observed:
            found = tables(trial.spec.id) if trial.spec.arm.name == name and trial.spec.id in whole else {}
            if "attempts" in found and "server_requests" in found:
                seen, right = agreement(found["attempts"], found["server_requests"], trial.t0_ns or 0)
                compared, agreeing = compared + seen, agreeing + right
        if compared:
            yield Witness(arm=name, compared=compared, agreeing=agreeing, share=agreeing / compared)


def _not_observed(timelines: Iterable[Timeline]) -> Iterator[str]:
    for line in timelines:
        yield from (f"{line.arm}: {what}: {why}" for what, why in line.not_observed.items())


def _not_gathered(evidence: Mapping[str, Evidence]) -> Iterator[str]:
    """Why causes were judged without a part of the evidence; what was not recorded at all says so itself."""
    for name, each in evidence.items():
        yield from (
            f"{name}: {part}: {each.missing[part]}"
            for part in ("ledger", "occupancy", "machine")
            if part in each.missing and each.timelines
        )


def _not_profiled(trials: Iterable[TrialResult]) -> Iterator[str]:
    """Why trials that should have been profiled, or whose calls should have been counted, were not."""
    for trial in trials:
        if trial.spec.tier in {"profile", "calls"}:
            found = ((what, why) for what, why in trial.not_observed.items() if what.partition(".")[0] == trial.spec.tier)
            yield from (f"{trial.spec.arm.name}: {what}: {why}" for what, why in found)


def _failures(trials: list[TrialResult]) -> dict[str, int]:
    failed = [trial.status for trial in trials if trial.status not in {"ok", "repeated"}]
    return {status: failed.count(status) for status in dict.fromkeys(failed)}


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for each in counts:
        for name, count in each.items():
            total[name] += count
    return dict(total)


def _warnings(arms: tuple[ArmDiagnosis, ...], timelines: tuple[Timeline, ...]) -> Iterator[str]:
    for arm in arms:
        if arm.server_utilisation is not None and arm.server_utilisation > BUSY_SERVER:
            yield f"{arm.arm}: the embedded server was busy {arm.server_utilisation:.0%} of the time: part of this slope may be the server's"
    broken = [f"{line.arm} N = {line.n}: {fault}" for line in timelines for fault in line.faults]
    yield from (f"timeline: {fault}" for fault in broken[:5])
    if len(broken) > 5:
        yield f"timeline: {len(broken) - 5} more broken invariants"


def _of_trials(trials: tuple[TrialResult, ...]) -> Iterator[str]:
    """What the instruments, the worker or the target warned of, each once an arm."""
    said = Counter((trial.spec.arm.name, warning) for trial in trials for warning in trial.warnings)
    for (arm, warning), count in said.items():
        yield f"{arm}: {warning}" + (f" (in {count} trials)" if count > 1 else "")
