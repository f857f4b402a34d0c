"""Delay injection, for causes without an intervention: a known time is added to a mechanism, and the slope that comes with it says how much of it is on the critical path.

The response is in ms of slope per ms that was added to each request: 1 where all of it makes the total longer, 1/c where c requests wait at a time, 0 where it
overlaps with something longer.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from loopdiag.analysis.effects import effect
from loopdiag.analysis.evidence import Evidence
from loopdiag.errors import LoopdiagError
from loopdiag.lab import store
from loopdiag.lab.pairs import paired
from loopdiag.model.attribution import Attribution
from loopdiag.model.diagnosis import CauseFound
from loopdiag.model.diagnosis import Evidence as Figure
from loopdiag.model.law import Estimate
from loopdiag.model.scenario import Scenario
from loopdiag.verify.bench import Bench, costs, values
from loopdiag.verify.program_doses import seam
from loopdiag.verify.record import BASE, Dose

#: causes of the loop's own time, and of the server's
OF_LOOP = frozenset({"event_loop_saturated", "library_overhead", "quadratic_scan", "cpu_in_loop", "gc_pauses"})
OF_SERVER = frozenset({"server_concurrency_limit", "server_cpu"})
#: what is added, as parts of the slope or of the server's own time
PARTS = (0.3, 0.6)
ROUNDS = 3
#: passes a request that are one: a program may make a request of its own besides
ONCE = 0.1
WHAT = "slope that comes with each ms added to {}"
Add = Callable[[Scenario, float], Scenario]


def mechanism(cause: str, scenario: Scenario) -> tuple[str, Add] | None:
    """The scenario's key that a cause's mechanism has, and how ms per request are added there; None: there is none, or it is not ours."""
    if cause in OF_LOOP:
        return ("fake.cpu_us", _of_fake) if scenario.arms[0].client == "fake" else ("workload.plant.cpu_us", _of_plant)
    if cause in OF_SERVER and not scenario.target.live and scenario.target.service.law != "table":
        return "target.service.mean_ms", _of_service
    return None


def _of_fake(made: Scenario, ms: float) -> Scenario:
    return replace(made, fake=replace(made.fake, cpu_us=made.fake.cpu_us + 1000 * ms))


def _of_plant(made: Scenario, ms: float) -> Scenario:
    plant = made.workload.plant
    return replace(made, workload=replace(made.workload, plant=replace(plant, cpu_us=plant.cpu_us + 1000 * ms)))


def _of_service(made: Scenario, ms: float) -> Scenario:
    service = made.target.service
    return replace(made, target=replace(made.target, service=replace(service, mean_ms=service.mean_ms + ms)))


def inject(bench: Bench, claim: Attribution, seen: Evidence, budget_s: float) -> tuple[Dose | None, bool]:
    """Run two doses beside their base; None where there is no mechanism, or the time does not bear it; whether somebody asked for the end."""
    scenario, arm = seen.scenario, seen.arm.name
    if scenario.program is not None:
        return _into_program(bench, claim, seen, budget_s)
    found = mechanism(claim.cause, scenario)
    if found is None or scenario.target.live:
        return None, False
    key, add = found
    own_ms = scenario.target.service.mean_ms if key.endswith("mean_ms") else seen.slope.value
    dose = Dose(arm=arm, cause=claim.cause, mechanism=key, doses_ms=tuple(part * own_ms for part in PARTS), folder="")
    return _run(bench, dose, scenario, lambda ms: add(scenario, ms), seen, budget_s)


def _into_program(bench: Bench, claim: Attribution, seen: Evidence, budget_s: float) -> tuple[Dose | None, bool]:
    """The same inside a user's program."""
    found = seam(claim, seen)
    if found is None:
        return None, False
    doses = tuple(part * found.own_ms for part in PARTS)
    dose = Dose(arm=seen.arm.name, cause=claim.cause, mechanism=found.name, doses_ms=doses, predicted=found.predicted, folder="")
    return _run(bench, dose, found.base, found.dose, seen, budget_s)


def _run(  # noqa: PLR0913, PLR0917 - what is run, beside what
    bench: Bench, dose: Dose, base: Scenario, add: Callable[[float], Scenario], seen: Evidence, budget_s: float
) -> tuple[Dose | None, bool]:
    expected = costs(seen.points, 1.0, bench.process_s(dose.arm), budget_s / 2)  # of two sides; the third is dearer
    ns = values(sorted(seen.points), 3, expected)
    if min(dose.doses_ms) <= 0 or not ns:
        return None, False
    dose = replace(dose, folder=bench.place(dose.arm, f"{dose.cause}-doses"))
    sides = {BASE: base} | {f"dose-{number}": add(ms) for number, ms in enumerate(dose.doses_ms, 1)}
    dearer = {n: total * (1 + max(PARTS)) for n, total in expected.base.items()}
    return dose, bench.several(dose.folder, sides, ns, (expected.base, *(dearer for _ in dose.doses_ms)), budget_s, ROUNDS)


def response(folder: Path, dose: Dose) -> Estimate | None:
    """Ms of slope per ms added, over all doses, through the origin; None where too little was measured."""
    top, below, half = 0.0, 0.0, 0.0
    for number, ms in enumerate(dose.doses_ms, 1):
        try:
            sides = paired(store.load(folder / dose.folder / BASE), store.load(folder / dose.folder / f"dose-{number}"))
        except LoopdiagError:
            continue
        found = effect(sides[0], sides[1])
        if found is None or found.change.low is None or found.change.high is None:
            continue
        top, below = top + ms * found.change.value, below + ms * ms
        half += ms * (found.change.high - found.change.low) / 2  # one base serves all doses, so that their errors may go together
    if not below:
        return None
    return Estimate(value=top / below, low=(top - half) / below, high=(top + half) / below, unit="ms per ms")


def passes(folder: Path, dose: Dose) -> float | None:
    """How often a request passes the seam of a program that time was added at, median over trials; None: not counted, as where each request has it once."""
    counts: list[float] = []
    for number in range(1, len(dose.doses_ms) + 1):
        try:
            trials = store.load(folder / dose.folder / f"dose-{number}").trials
        except LoopdiagError:
            continue
        counts += [trial.knobs_acted["delay"] / trial.spec.n for trial in trials if trial.usable and "delay" in trial.knobs_acted]
    return median(counts) if counts else None


def with_response(found: CauseFound, dose: Dose, response: Estimate, passes: float | None = None) -> CauseFound:
    """The cause with the figure, and a sentence on it; `passes` is how often each request had the dose, None: once."""
    assert response.low is not None
    assert response.high is not None
    doses = " and ".join(f"{ms:.3g}" for ms in dose.doses_ms)
    half = (response.high - response.low) / 2
    once = passes is None or abs(passes - 1) <= ONCE
    added = f"to each request ({dose.mechanism})" if once else f"at each pass ({dose.mechanism}; {passes:.2g} passes a request)"
    told = f"{doses} ms added {added} add {response.value:.2g} ± {half:.2g} ms of slope per ms"
    if dose.predicted is not None:
        told += f"; the critical path predicts {dose.predicted * (1 if once or passes is None else passes):.2g}"
    figure = Figure(what=WHAT.format(dose.mechanism), value=float(f"{response.value:.4g}"), unit="ms per ms")
    return replace(found, evidence=(*found.evidence, figure), why="; ".join(filter(None, (found.why, told))))
