"""What each layer of a ladder adds to the slope: the differences from rung to rung, which add up to the highest rung's slope."""

from collections.abc import Iterator, Mapping

from loopdiag.analysis.cells import Points
from loopdiag.analysis.comparison import slope_change
from loopdiag.analysis.slope import slope
from loopdiag.model.diagnosis import ArmDiagnosis, LadderFound, Rung
from loopdiag.model.scenario import Arm, Scenario

LEAST = 2  # values of N that a slope takes, and rungs that a ladder has


def ladders(scenario: Scenario, arms: tuple[ArmDiagnosis, ...]) -> tuple[LadderFound, ...]:
    """The ladders that the scenario asks for, one a loop.

    All slopes of a ladder are over the values of N at which each of its rungs was measured, so that the steps add up exactly.

    Args:
        scenario: names the rungs.
        arms: what was measured, by name.
    """
    measured = {arm.arm: {point.n: point.total_s for point in arm.points if point.total_s} for arm in arms}
    without = [client for client in scenario.ladder.rungs if client not in {arm.client for arm in scenario.arms}]
    absent = f"no arm has the client {', '.join(without)}" if without else ""
    return tuple(_ladder(loop, chosen, measured, absent) for loop, chosen in _chosen(scenario))


def _chosen(scenario: Scenario) -> Iterator[tuple[str, list[Arm]]]:
    """The arms of each ladder, from the ground up: those on its loop, and those whose client has no other arm."""
    of_client = {client: [arm for arm in scenario.arms if arm.client == client] for client in scenario.ladder.rungs}
    several = [arm.loop for found in of_client.values() if len(found) > 1 for arm in found]
    last = [found[-1].loop for found in of_client.values() if found]
    for loop in dict.fromkeys(several or last[-1:]):
        yield loop, [arm for found in of_client.values() for arm in found if len(found) == 1 or arm.loop == loop]


def _ladder(loop: str, chosen: list[Arm], measured: Mapping[str, Points], absent: str) -> LadderFound:
    """The rungs that were measured, over the values of N that they share; `absent` says which have no arm."""
    found = {arm.name: measured.get(arm.name, {}) for arm in chosen}
    usable = {name: points for name, points in found.items() if len(points) >= LEAST}
    out = [name for name in found if name not in usable]
    why = "; ".join(filter(None, (absent, f"too little was measured of {', '.join(out)}" if out else "")))
    shared = set.intersection(*(set(points) for points in usable.values())) if usable else set()
    ns = tuple(sorted(shared))
    if len(usable) < LEAST or len(ns) < LEAST:
        return LadderFound(loop=loop, why=why or f"a ladder takes {LEAST} rungs that share {LEAST} values of N")
    return LadderFound(loop=loop, ns=ns, rungs=_rungs({name: {n: points[n] for n in ns} for name, points in usable.items()}), why=why)


def _rungs(points: Mapping[str, Points]) -> tuple[Rung, ...]:
    slopes = {name: slope(each) for name, each in points.items()}
    names = list(slopes)
    top = slopes[names[-1]]
    made = []
    for below, name in zip([None, *names], names, strict=False):
        found = slopes[name]
        assert found is not None
        step = found if below is None else slope_change(points[below], points[name])[0]
        made.append(
            Rung(arm=name, slope_ms=found, step_ms=step, share=step.value / top.value if top is not None and top.value > 0 else None)
        )
    return tuple(made)
