"""What the page's scripts draw from: arms and timelines as compact integer columns in microseconds.

Attempts share few shapes (which phases, which stamps, in which order), so a column holds the number of the shape and the durations stand
in one flat array; a column whose values are all the same is that value alone.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from loopdiag.model.diagnosis import ArmDiagnosis
from loopdiag.model.document import Document
from loopdiag.model.events import PHASES
from loopdiag.model.timeline import Attempt, Connection, Iterations, Timeline
from loopdiag.report.format import clean, law_form
from loopdiag.report.palette import LOOP_STYLES, PHASE_COLOURS, client_index, loop_index
from loopdiag.report.static_waterfall import start_ns

MOST_ATTEMPTS = 48_000  # about 6 MB of page; what does not fit stays in the run's folder, and the page says so
BINS = 1000  # of the loop's strip above the waterfall


def embedded(document: Document) -> str:
    """The data as JSON that may stand in a script element: no `<` is left in it."""
    shown, left_out = choose(document)
    names = list(PHASES)
    content = {
        "arms": [arm_columns(document.diagnosis.arms, arm) for arm in document.diagnosis.arms],
        "phases": [{"name": n, "kind": PHASES[n][0], "meaning": PHASES[n][1], "colour": PHASE_COLOURS[n]} for n in names],
        "timelines": [timeline_columns(line, names) for line in shown],
        "leftOut": left_out,
    }
    return msgspec.json.encode(content).decode().replace("<", "\\u003c")


def choose(document: Document) -> tuple[list[Timeline], int]:
    """The timelines that the page holds, in the order of the arms, and how many it must leave out.

    First repetitions take their room first, so that every cell keeps one.
    """
    order = {arm.arm: k for k, arm in enumerate(document.diagnosis.arms)}
    room, kept = MOST_ATTEMPTS, []
    for line in sorted(document.timelines, key=lambda line: line.repetition):
        if len(line.attempts) <= room:
            room -= len(line.attempts)
            kept.append(line)
    kept.sort(key=lambda line: (order.get(line.arm, len(order)), line.arm, line.n, line.repetition))
    return kept, len(document.timelines) - len(kept)


def arm_columns(arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> dict[str, Any]:
    """Points and curve of one arm, and how it is drawn."""
    dash, filled, _, _ = LOOP_STYLES[loop_index(arms, arm)]
    return {
        "name": clean(arm.arm),
        "form": clean(law_form(arm.law)),
        "hue": client_index(arms, arm),
        "dash": dash,
        "filled": filled,
        "points": [[point.n, list(point.total_s)] for point in arm.points],
        "curve": [list(row) for row in arm.law.curve],
    }


def micros(nanoseconds: int) -> int:
    """Whole microseconds, rounded."""
    return (nanoseconds + 500) // 1000


def column(values: Sequence[Any]) -> Any:
    """The values, or the one value that they all share."""
    return values[0] if values and all(value == values[0] for value in values) else list(values)


def deltas(times_ns: Iterable[int]) -> list[int]:
    """The first time and the steps from each to the next, rounded as times, so that no error adds up."""
    steps, before = [], 0
    for at in map(micros, times_ns):
        steps.append(at - before)
        before = at
    return steps


class Shapes:
    """Numbers each distinct sequence of names in the order in which it is first seen."""

    def __init__(self, names: list[str]) -> None:
        self.index = {name: k for k, name in enumerate(names)}
        self.seen: dict[tuple[int, ...], int] = {}

    def number(self, names: Iterable[str]) -> int:
        """The shape's number."""
        return self.seen.setdefault(tuple(self.index.setdefault(name, len(self.index)) for name in names), len(self.seen))


def timeline_columns(line: Timeline, phase_names: list[str]) -> dict[str, Any]:
    """One trial; rows are attempts by start."""
    rows = sorted(line.attempts, key=start_ns)
    flags = sorted({flag for row in rows for flag in row.flags})
    shapes, stamp_shapes = Shapes(phase_names), Shapes([])
    made = {
        "arm": clean(line.arm),
        "n": line.n,
        "repetition": line.repetition,
        "total": micros(line.total_ns),
        "unattributed": line.unattributed_share,
        "faults": [clean(fault) for fault in line.faults],
        "notObserved": [f"{clean(name)}: {clean(why)}" for name, why in line.not_observed.items()],
        "busy": busy(line.iterations, line.total_ns) if line.iterations else None,
        "request": column([row.request for row in rows]),
        "attempt": column([row.number for row in rows]),
        "connection": column([row.connection for row in rows]),
        "status": column([row.status for row in rows]),
        "assignments": column([row.assignments for row in rows]),
        "bytes": column([row.wire_bytes for row in rows]),
        "flags": column([sum(1 << flags.index(flag) for flag in set(row.flags)) for row in rows]),
        "shape": column([shapes.number(phase.name for phase in row.phases) for row in rows]),
        "times": [step for row in rows for step in phase_steps(row)],
        "stampShape": column([stamp_shapes.number(name for name, _ in in_time(row)) for row in rows]),
        "stamps": [step for row in rows for step in deltas(at for _, at in in_time(row))],
        "connections": connection_columns(line.connections),
    }
    return made | {
        "flagNames": [clean(flag) for flag in flags],
        "shapes": list(shapes.seen),
        "stampShapes": list(stamp_shapes.seen),
        "stampNames": [clean(name) for name in stamp_shapes.index],
        "rows": len(rows),
    }


def in_time(attempt: Attempt) -> list[tuple[str, int]]:
    """The attempt's stamps in the order of time; ties keep the recorded order."""
    return sorted(attempt.stamps.items(), key=lambda item: item[1])


def phase_steps(attempt: Attempt) -> list[int]:
    """Start of the first phase, then each phase's length; a phase begins where the one before it ends."""
    return deltas((attempt.phases[0].start_ns, *(phase.end_ns for phase in attempt.phases))) if attempt.phases else []


def connection_columns(connections: tuple[Connection, ...]) -> dict[str, Any]:
    """Who opened each connection and how many requests it served."""
    return {
        "number": [c.number for c in connections],
        "request": column([c.request for c in connections]),
        "requests": column([c.requests for c in connections]),
        "rtt": column([c.rtt_us for c in connections]),
    }


def busy(loop: Iterations, total_ns: int) -> list[int]:
    """The share of time, in percent, in which the loop ran callbacks, in ``BINS`` equal parts of the trial."""
    import numpy as np

    if not loop.start_ns or total_ns <= 0:
        return []
    run = np.asarray(loop.run_ns, dtype=np.float64)
    begin = np.asarray(loop.start_ns, dtype=np.float64) + np.asarray(loop.poll_ns, dtype=np.float64)
    worked = np.cumsum(run)
    times = np.column_stack((begin, begin + run)).ravel()
    sums = np.column_stack((worked - run, worked)).ravel()
    edges = np.linspace(0.0, float(total_ns), BINS + 1)
    share = np.diff(np.interp(edges, times, sums)) / (total_ns / BINS)
    return [int(part) for part in np.clip(np.rint(share * 100), 0, 100)]
