"""What docs/why-linear.md needs of a run, as a small JSON file: slopes, totals, accounts, causes and prescriptions, each with its interval."""

from pathlib import Path
from statistics import median
from typing import Any

from msgspec.structs import replace

from loopdiag.errors import InputError
from loopdiag.lab import store
from loopdiag.lab.scenario_file import load_scenario
from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound
from loopdiag.model.law import Estimate
from loopdiag.model.recording import Recording
from loopdiag.model.scenario import Scenario
from loopdiag.pipeline import shared
from loopdiag.report import format as fmt
from loopdiag.report.json import read

SCENARIOS = Path(__file__).parent.parent / "scenarios"

Number = list[float | None]  # value, and the ends of its 95 % interval
Json = dict[str, Any]


def extract(folder: Path) -> Json:
    """What the text may need of a run.

    Raises:
        InputError: it is no run's folder, has no diagnosis, or was made of something else than a shipped scenario.
    """
    recording = store.load(folder)
    try:
        diagnosis = read((folder / "diagnosis.json").read_bytes())
    except OSError as error:
        raise InputError(f"{folder}: has no diagnosis; run: loopdiag diagnose {folder}") from error
    here = recording.environment
    return {
        "scenario": recording.scenario.name,
        "command": command(recording.scenario),
        "service": f"{recording.scenario.target.service.mean_ms:g} ± {recording.scenario.target.service.sd_ms:g} ms",
        "started": recording.started,
        "loopdiag": recording.loopdiag,
        "machine": {
            "cpu": here.cpu, "cores": here.cores, "system": here.system, "python": here.python, "client_cores": here.client_cores, "server_cores": here.server_cores,
        },
        "versions": here.versions,
        "arms": {arm.arm: of_arm(arm, recording) for arm in diagnosis.arms},
        "ladders": [
            {
                "loop": ladder.loop,
                "rungs": [
                    {"arm": rung.arm, "slope": number(rung.slope_ms), "step": number(rung.step_ms), "share": short(rung.share)} for rung in ladder.rungs
                ],
            }
            for ladder in diagnosis.ladders
        ],
    }  # fmt: skip


def command(scenario: Scenario) -> str:
    """The command that makes such a run again.

    Raises:
        InputError: none does, since the scenario is not the shipped one with other values of N, arms or budget.
    """
    shipped = load_scenario(SCENARIOS / f"{scenario.name}.toml")
    said, same = [], shipped
    if scenario.sweep.n != shipped.sweep.n:
        said.append(f"--n {','.join(map(str, scenario.sweep.n))}")
        same = replace(same, sweep=replace(same.sweep, n=scenario.sweep.n))
    if scenario.arms != shipped.arms:
        said += [f"--arm {arm.name}" for arm in scenario.arms]
        same = replace(same, arms=scenario.arms)
    if scenario.verify.enabled != shipped.verify.enabled:
        said.append("--no-verify")
        same = replace(same, verify=scenario.verify)
    if scenario.sweep.budget_s != shipped.sweep.budget_s:
        whole = scenario.sweep.budget_s + scenario.verify.budget_s * scenario.verify.enabled
        said.append(f"--budget {whole:g}s")
        same = shared(replace(same, sweep=replace(same.sweep, budget_s=whole)), shipped)
    if rounded(scenario) != rounded(same):
        raise InputError(f"{scenario.name}: was not made of scenarios/{scenario.name}.toml, so that no command would make it again")
    return " ".join(["loopdiag run", f"scenarios/{scenario.name}.toml", *said])


def rounded(scenario: Scenario) -> Scenario:
    """The same with whole milliseconds of budget: shares of a budget do not add up to the last bit."""
    sweep = replace(scenario.sweep, budget_s=round(scenario.sweep.budget_s, 3))
    return replace(scenario, sweep=sweep, verify=replace(scenario.verify, budget_s=round(scenario.verify.budget_s, 3)))


def of_arm(arm: ArmDiagnosis, recording: Recording) -> Json:
    """One arm's numbers; times in milliseconds per request, totals in seconds."""
    bare = [trial for trial in recording.trials if trial.usable and trial.spec.tier == "bare" and trial.spec.arm.name == arm.arm]
    used = [(trial.spec.n, 1e3 * trial.cpu_s) for trial in bare if trial.cpu_s is not None]
    made = arm.prescription
    return {
        "client": arm.client,
        "loop": arm.loop,
        "versions": arm.versions,
        "law": fmt.law_form(arm.law),
        "slope": number(arm.slope_ms),
        "exponent": number(arm.law.exponent),
        "total_s": {str(point.n): short(median(point.total_s)) for point in arm.points if point.total_s},
        "cpu": short(steepness(used)) if len({n for n, _ in used}) > 1 else None,
        "connections": short(arm.connections_per_request),
        "accounts": {entry.account: [short(entry.slope_ms), short(entry.low), short(entry.high)] for entry in arm.ledger},
        "causes": [of_cause(cause) for cause in arm.causes],
        "prescription": made and {
            "changes": made.changes, "slope": number(made.slope_ms), "speedup": [short(made.speedup), short(made.speedup_low), short(made.speedup_high)],
        },
    }  # fmt: skip


def of_cause(cause: CauseFound) -> Json:
    """One cause with its verdict."""
    told = {"base": number(cause.base), "predicted": number(cause.predicted), "effect": number(cause.effect)}
    return {
        "cause": cause.cause,
        "title": cause.title or cause.cause,
        "verdict": cause.verdict,
        "share": short(cause.share),
        "changes": cause.changes,
        **told,
    }


def number(found: Estimate | None) -> Number | None:
    """A value with its interval."""
    return None if found is None else [short(found.value), short(found.low), short(found.high)]


def short(value: float | None) -> float | None:
    """Five significant digits are more than any interval carries."""
    return None if value is None else float(f"{value:.5g}")


def steepness(points: list[tuple[int, float]]) -> float:
    """The least-squares slope through (N, value)."""
    middle = sum(n for n, _ in points) / len(points)
    return sum((n - middle) * value for n, value in points) / sum((n - middle) ** 2 for n, _ in points)
