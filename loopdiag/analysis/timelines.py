"""A trial's columns → its timeline: attempts as phases, connections, what the loop and the process did, all cut to the trial.

A trial of a million requests is worked on in columns throughout; objects are made of a bounded number of its rows, and what is left out is said.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loopdiag.analysis.activity import TABLES as OF_PROGRAMS
from loopdiag.analysis.activity import activity
from loopdiag.analysis.columns import LINK_STAMPS, MISSING, Ints, Rows, Tables, attempt_numbers, length, one_loop, opened
from loopdiag.analysis.idle import Idle
from loopdiag.analysis.invariants import check
from loopdiag.analysis.lag import Bounds, lag, waited
from loopdiag.analysis.lives import FLAGS, Attempts, Chunk
from loopdiag.analysis.phases import charge
from loopdiag.analysis.process import NO_TABLE, jobs, pauses, process
from loopdiag.analysis.program_stamps import with_created, with_waits
from loopdiag.analysis.server_stamps import witnessed
from loopdiag.model.recording import TrialResult
from loopdiag.model.timeline import Attempt, Connection, Iterations, Timeline

#: so many requests, and connections, and iterations, are made objects of; of more, so many are chosen evenly
MOST = 50_000
#: the slowest requests, which are never left out
SLOWEST = 100

TABLES = ("attempts", "connections", "iterations", "pauses", "executor", "samples")


def unseen_stamps(trial: TrialResult) -> frozenset[str]:
    """Stamps of attempts that the trial's instruments say they could not observe."""
    return frozenset(name.removeprefix("attempts.") for name in trial.not_observed if name.startswith("attempts."))


def resolve(tables: Tables, trial: TrialResult) -> Timeline:
    """The timeline of one trial.  `tables` are its raw tables (rows as in ``instruments/schema.py``, row 0 the sink)."""
    since, until = trial.t0_ns or 0, trial.t1_ns
    missing = {name: NO_TABLE for name in TABLES if name not in tables} | trial.not_observed
    # an instrument of scenarios has the name of a program's table, `tasks`: that it was not on says nothing of the table
    tables = {name: rows for name, rows in tables.items() if name not in missing or name in OF_PROGRAMS}
    program = activity(tables, trial)
    if program is not None:
        tables = with_created(tables, since)
    attempts = Attempts(tables, since)
    idle = Idle.of(tables.get("iterations"), since, until)
    totals, lost = _times(attempts, idle)
    chosen = _chosen(attempts, totals)
    run_queue_ns = None if trial.run_queue_s is None else round(trial.run_queue_s * 1e9)
    bounds = Bounds.of(tables.get("iterations"), since, until, run_queue_ns)
    resolved = witnessed(tuple(_attempts(attempts, chosen, idle, bounds)), tables.get("server_requests"), since)
    shares = _shares(attempts, totals, lost)
    if program is not None:
        resolved = with_waits(resolved, program, idle)
        shares = _shown_shares(resolved)
    connections, links_left_out = _connections(tables.get("connections"), attempts, resolved)
    iterations = _iterations(tables.get("iterations"), since, until)
    account, no_lag = lag(tables, since, until)
    counted, no_process = process(tables, since, until)
    missing |= {name: why for name, why in (("lag", no_lag), ("process", no_process)) if why}
    left_out = {"attempts": len(attempts.numbers) - len(chosen), "connections": links_left_out}
    return Timeline(
        trial=trial.spec.id,
        arm=trial.spec.arm.name,
        n=trial.spec.n,
        repetition=trial.spec.repetition,
        t0_ns=since,
        total_ns=round((trial.total_s or 0) * 1e9),
        attempts=resolved,
        connections=connections,
        iterations=iterations,
        unattributed_share=float(np.median(shares)) if len(shares) else None,
        unattributed_p95=float(np.percentile(shares, 95)) if len(shares) else None,
        pauses=pauses(tables, since, until),
        jobs=jobs(tables, since, until),
        lag=account,
        process=counted,
        cpu_ns=None if trial.cpu_s is None else round(trial.cpu_s * 1e9),
        run_queue_ns=run_queue_ns,
        faults=check(tables, since, unseen_stamps(trial)),
        left_out={name: count for name, count in left_out.items() if count},
        activity=program,
        not_observed=missing,
    )


def _times(attempts: Attempts, idle: Idle | None) -> tuple[Ints, Ints]:
    """How long each attempt took, and how much of it no stamp shows."""
    totals, lost = np.zeros(len(attempts.numbers), dtype=np.int64), np.zeros(len(attempts.numbers), dtype=np.int64)
    at = 0
    for chunk in attempts.chunks():
        here = slice(at, at + len(chunk.rows))
        charged = charge(chunk.lives, idle)
        totals[here], lost[here] = charged.total, charged.unattributed
        at = here.stop
    return totals, lost


def _shares(attempts: Attempts, totals: Ints, lost: Ints) -> NDArray[np.float64]:
    """The unattributed share of each request's time, over all its attempts."""
    _, which = np.unique(attempts.requests, return_inverse=True)
    whole, unknown = np.bincount(which, weights=totals), np.bincount(which, weights=lost)
    return unknown[whole > 0] / whole[whole > 0]


def _shown_shares(attempts: Sequence[Attempt]) -> NDArray[np.float64]:
    """The same of the attempts that are shown, by their phases."""
    whole: Counter[int] = Counter()
    unknown: Counter[int] = Counter()
    for attempt in attempts:
        for phase in attempt.phases:
            whole[attempt.request] += phase.end_ns - phase.start_ns
            unknown[attempt.request] += phase.end_ns - phase.start_ns if phase.name == "unattributed" else 0
    return np.array([unknown[request] / length for request, length in whole.items() if length], dtype=np.float64)


def _chosen(attempts: Attempts, totals: Ints) -> Ints:
    """Which attempts to show, ascending: all of them, or those of evenly chosen requests and of the slowest."""
    requests, which = np.unique(attempts.requests, return_inverse=True)
    if len(requests) <= MOST:
        return np.arange(len(attempts.numbers))
    kept = np.zeros(len(requests), dtype=bool)
    kept[np.linspace(0, len(requests) - 1, MOST - SLOWEST).astype(np.int64)] = True
    kept[np.argsort(np.bincount(which, weights=totals))[-SLOWEST:]] = True
    return np.flatnonzero(kept[which])


def _attempts(attempts: Attempts, chosen: Ints, idle: Idle | None, bounds: Bounds | None) -> Iterator[Attempt]:
    for chunk in attempts.chunks(chosen):
        yield from _of_chunk(chunk, idle, bounds)


def _of_chunk(chunk: Chunk, idle: Idle | None, bounds: Bounds | None) -> Iterator[Attempt]:
    rows = chunk.rows
    first_byte = chunk.lives.stamps["first_byte"]
    low, high = (np.full(len(rows), MISSING),) * 2 if bounds is None else bounds.at(first_byte)
    columns = zip(
        rows["request"].tolist(), attempt_numbers(rows).tolist(), chunk.link.tolist(), rows["connection"].tolist(), rows["status"].tolist(),
        rows["flags"].tolist(), rows["assignments"].tolist(), rows["wire_bytes"].tolist(), low.tolist(), high.tolist(),
        _marks(chunk.lives.stamps), charge(chunk.lives, idle).phases(),
        strict=True,
    )  # fmt: skip
    for request, number, link, recorded, status, flags, assignments, wire_bytes, least, most, marks, phases in columns:
        yield Attempt(
            request=request,
            number=number,
            hop=flags >> 24,
            connection=link or recorded or None,
            status=status or None,
            flags=tuple(name for bit, name in enumerate(FLAGS) if flags & 1 << bit),
            assignments=assignments or None,
            wire_bytes=wire_bytes or None,
            lag_low_ns=None if least == MISSING else least,
            lag_high_ns=None if most == MISSING else most,
            stamps=marks,
            phases=phases,
        )


def _marks(columns: Mapping[str, Ints]) -> Iterator[dict[str, int]]:
    """The stamps of each row: only what was observed."""
    names = tuple(columns)
    for times in zip(*(column.tolist() for column in columns.values()), strict=True):
        yield {name: at for name, at in zip(names, times, strict=True) if at != MISSING}


def _connections(rows: Rows | None, attempts: Attempts, shown: tuple[Attempt, ...]) -> tuple[tuple[Connection, ...], int]:
    """The connections that were opened in the trial, and how many are left out: of very many, those that the attempts shown do not use."""
    if rows is None:
        return (), 0
    numbers = np.flatnonzero(attempts.links.begun != MISSING)
    every = len(numbers)
    if every > MOST:
        numbers = np.intersect1d(numbers, np.array([attempt.connection or 0 for attempt in shown], dtype=np.int64))
    columns = {name: attempts.links.stamps[name][numbers] for name in LINK_STAMPS if name in attempts.links.stamps}
    found = tuple(_connection(rows[number], number, marks) for number, marks in zip(numbers.tolist(), _marks(columns), strict=True))
    return found, every - len(found)


def _connection(row: np.void, number: int, marks: dict[str, int]) -> Connection:
    return Connection(
        number=number,
        request=int(row["request"]) or None,
        requests=int(row["requests"]),
        stamps=marks,
        address_attempts=int(row["address_attempts"]) or None,
        tls_cpu_ns=int(row["tls_cpu_ns"]) if row["tls_steps"] else None,
        rtt_us=int(row["rtt_us"]) or None,
        retransmits=int(row["retransmits"]) if row["rtt_us"] else None,
        record_cpu_ns=int(row["record_cpu_ns"]) or None,
    )


def _iterations(rows: Rows | None, since: int, until: int | None) -> Iterations | None:
    """The loop's iterations, cut to the trial; None where they were not observed.  Of very many, neighbours are taken together."""
    inside, _ = one_loop(rows, since, until)
    if inside is None:
        return None
    last = np.iinfo(np.int64).max if until is None else until
    begun = opened(inside)
    polled = begun + length(inside, "poll")
    edges = [np.clip(edge, since, last) - since for edge in (begun, polled, polled + length(inside, "run"))]
    first = np.arange(0, len(inside), -(-len(inside) // MOST))
    return Iterations(
        start_ns=tuple(edges[0][first].tolist()),
        poll_ns=tuple(np.add.reduceat(edges[1] - edges[0], first).tolist()),
        run_ns=tuple(np.add.reduceat(edges[2] - edges[1], first).tolist()),
        ready=tuple(np.maximum.reduceat(inside["ready"], first).tolist()),
        slept_ns=tuple(np.add.reduceat(np.where(waited(inside), edges[1] - edges[0], 0), first).tolist()),
    )
