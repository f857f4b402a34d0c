"""What the page's scripts draw from: arms and timelines as compact integer columns in microseconds.

Attempts share few shapes (which phases, which stamps, in which order), so a column holds the number of the shape and the durations stand
in one flat array; a column whose values are all the same is that value alone.
"""

from types import MappingProxyType
from typing import Any

import msgspec

from loopdiag.model.diagnosis import ArmDiagnosis, Point
from loopdiag.model.document import Document
from loopdiag.model.events import PHASES
from loopdiag.model.law import Law
from loopdiag.model.ledger import ACCOUNTS, TrialLedger
from loopdiag.model.timeline import Attempt, Connection, Timeline
from loopdiag.report import accounts
from loopdiag.report.accounts import name_of, waits
from loopdiag.report.format import clean, law_form, words
from loopdiag.report.page_answer import account_columns
from loopdiag.report.page_columns import Shapes, column, deltas, micros, packed, stamp_columns
from loopdiag.report.page_flames import flame_columns
from loopdiag.report.page_path import path_columns, paths
from loopdiag.report.page_tracks import singly, track_columns
from loopdiag.report.palette import LOOP_STYLES, PHASE_COLOURS, client_index, loop_index
from loopdiag.report.static_waterfall import start_ns

MOST_ATTEMPTS = 48_000  # a page of a few MB; what does not fit stays in the run's folder, and the page says so

#: flag → what it says about the attempt
FLAG_WORDS = MappingProxyType(
    {
        "reused": "reused its connection",
        "dns_hit": "address from the cache",
        "dns_coalesced": "waited for another request's look-up",
        "shared_connect": "waited on a connection that another request opened",
        "retried": "retried",
        "redirected": "redirected",
        "cancelled": "cancelled",
        "error": "failed",
        "timed_out": "timed out",
        "rx_coalesced": "its first bytes came in several segments, the kernel's stamp is the last one's",
        "eager": "its task ran at once when it was created",
        "http2": "HTTP/2",
    }
)


def embedded(document: Document) -> str:
    """The data as JSON that may stand in a script element: no `<` is left in it."""
    shown, left_out = choose(document)
    names, single, found = list(PHASES), singly(shown), paths(document)
    inside = {arm.arm: accounts.inside(document, arm) for arm in document.diagnosis.arms}
    content = {
        "arms": [columns for arm in document.diagnosis.arms for columns in arm_columns(document.diagnosis.arms, arm)],
        "accounts": [{"name": name_of(name), "hatched": waits(name), "meaning": text} for name, text in ACCOUNTS.items()],
        "ledgers": account_columns(document),
        "phases": [{"name": n, "kind": PHASES[n][0], "meaning": PHASES[n][1], "colour": PHASE_COLOURS[n]} for n in names],
        "timelines": [
            timeline_columns(line, names, single=k in single, path=found.get(line.trial), inside=inside.get(line.arm, "loop"))
            for k, line in enumerate(shown)
        ],
        "leftOut": left_out,
        "flames": flame_columns(document),
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


def arm_columns(arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> list[dict[str, Any]]:
    """Points and curve of one arm, and of its prescription where it was measured, and how they are drawn."""
    dash, filled, _, _ = LOOP_STYLES[loop_index(arms, arm)]
    name, look = clean(arm.arm), {"hue": client_index(arms, arm), "dash": dash, "filled": filled, "prescribed": False}
    made = [{"name": name, **look, **law_columns(arm.law, arm.points)}]
    if arm.prescription is not None and arm.prescription.points:
        law = arm.prescription.law or Law(form="not enough")
        made.append({"name": f"{name}, prescribed", **look, "prescribed": True, **law_columns(law, arm.prescription.points)})
    return made


def law_columns(law: Law, points: tuple[Point, ...]) -> dict[str, Any]:
    """What was measured, and the law that was fitted to it."""
    return {
        "form": clean(law_form(law)),
        "points": [[point.n, list(point.total_s)] for point in points],
        "curve": [list(row) for row in law.curve],
    }


def timeline_columns(
    line: Timeline, phase_names: list[str], *, single: bool = True, path: TrialLedger | None = None, inside: str = "loop"
) -> dict[str, Any]:
    """One trial; rows are attempts by start; `single`: the loop's iterations one by one; `path`: its critical path, with what the loop is called there."""
    rows = sorted(line.attempts, key=start_ns)
    flags = sorted({flag for row in rows for flag in row.flags})
    shapes = Shapes(phase_names)
    made = {
        "trial": clean(line.trial),
        "arm": clean(line.arm),
        "n": line.n,
        "repetition": line.repetition,
        "total": micros(line.total_ns),
        "unattributed": line.unattributed_share,
        "unattributedP95": line.unattributed_p95,
        "faults": [clean(fault) for fault in line.faults],
        "absent": [f"{count} {clean(table)}" for table, count in line.left_out.items()],
        "notObserved": [f"{clean(name)}: {clean(why)}" for name, why in line.not_observed.items()],
        "request": column([row.request for row in rows]),
        "attempt": column([row.number for row in rows]),
        "hop": column([row.hop for row in rows]),
        "connection": column([row.connection for row in rows]),
        "status": column([row.status for row in rows]),
        "assignments": column([row.assignments for row in rows]),
        "bytes": column([row.wire_bytes for row in rows]),
        "lagLow": column([lag_bound(row, row.lag_low_ns) for row in rows]),
        "lagHigh": column([lag_bound(row, row.lag_high_ns) for row in rows]),
        "flags": column([sum(1 << flags.index(flag) for flag in set(row.flags)) for row in rows]),
        "flagWords": [FLAG_WORDS.get(flag, words(flag)) for flag in flags],
        "flagNames": [clean(flag) for flag in flags],
        "shape": column([shapes.number(phase.name for phase in row.phases) for row in rows]),
        "times": packed(step for row in rows for step in phase_steps(row)),
        "stamps": stamp_columns({clean(name): at for name, at in row.stamps.items()} for row in rows),
        "connections": connection_columns(line.connections),
        "path": path_columns(path, inside),
        "rows": len(rows),
    }
    return made | {"shapes": list(shapes.seen)} | track_columns(line, single=single)


def lag_bound(attempt: Attempt, bound_ns: int | None) -> int | None:
    """A bound of the loop's lag, where the kernel's own stamp does not say it exactly."""
    return None if bound_ns is None or "rx_kernel" in attempt.stamps else micros(bound_ns)


def phase_steps(attempt: Attempt) -> list[int]:
    """Start of the first phase, then each phase's length; a phase begins where the one before it ends."""
    return deltas((attempt.phases[0].start_ns, *(phase.end_ns for phase in attempt.phases))) if attempt.phases else []


def connection_columns(connections: tuple[Connection, ...]) -> dict[str, Any]:
    """Who opened each connection, when and how, how many requests it served, and what its socket and TLS said."""
    return {
        "number": [c.number for c in connections],
        "request": column([c.request for c in connections]),
        "requests": column([c.requests for c in connections]),
        "addresses": column([c.address_attempts for c in connections]),
        "tlsCpu": column([None if c.tls_cpu_ns is None else micros(c.tls_cpu_ns) for c in connections]),
        "recordCpu": column([None if c.record_cpu_ns is None else micros(c.record_cpu_ns) for c in connections]),
        "rtt": column([c.rtt_us for c in connections]),
        "retransmits": column([c.retransmits for c in connections]),
        "stamps": stamp_columns(c.stamps for c in connections),
    }
