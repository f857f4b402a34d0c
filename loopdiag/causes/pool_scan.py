"""Whether the client's pool scans: looks at every connection for every request that waits, at each start and end; and what keeps it from that."""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes import Cause
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import Figure, figure
from loopdiag.causes.replays import best, crowd_at_top, left, scanning_share
from loopdiag.causes.reuse import kept, lost
from loopdiag.causes.sightings import busy_figures, code_s, code_share, crowd, exponent
from loopdiag.model.attribution import Attribution
from loopdiag.model.law import NotEnough

#: power of N of the pool's CPU from which on it scans
SCANS = 1.4
#: of the loop's CPU at the largest N
LEAST_SHARE = 0.05
#: likewise, where only the replay tells of it
FITTED_SHARE = 0.25
#: where a pool without a limit scans: as many at a time as the libraries' pools have connections
USUAL_LIMITS = (100, 50, 20)


def scans(evidence: Evidence) -> bool:
    """Whether the pool's CPU grows faster than N, and is a part of the loop's that counts.

    A machine that needs no CPU growing faster than N to reproduce the totals has no scan that matters, whatever a small class of samples does.

    Profiles may end at an N at which nobody waited for the pool yet; then the growth of the bare trials' CPU tells, which the replay's scan was fitted to.
    """
    pool, machine = code_s(evidence, "pool"), evidence.machine
    if not pool or (machine is not None and machine.scan <= 0 and machine.grow <= 0):
        return False
    if (exponent(pool) or 0.0) >= SCANS and (code_share(evidence, "pool") or 0.0) >= LEAST_SHARE:
        return True
    return max(pool) < max(evidence.points) and scanning_share(evidence) >= FITTED_SHARE


def scan_claim(cause: Cause, evidence: Evidence) -> Attribution | NotEnough:
    """The share that goes without the scan; what is predicted is that nobody queues inside of the pool."""
    effect = removed(evidence, _unscanned, "loop/pool")
    if isinstance(effect, NotEnough):
        return effect
    machine, most = evidence.machine, bound(evidence)
    predicted = None
    if machine is not None and most is not None:
        predicted = left(evidence, replace(machine, workers=most))
    return claim(
        cause,
        evidence,
        effect,
        figures=_figures(evidence),
        remedy=f"let at most {most} requests at a time reach the client (asyncio.Semaphore({most})), so that none waits inside of its pool"
        if most is not None
        else "keep requests from waiting inside of the pool, or take another client",
        detail=f"{_package(evidence)} pool scan",
        predicted=predicted,
    )


def bound(evidence: Evidence) -> int | None:
    """How many requests at a time keep the pool from scanning; None where as few are already."""
    machine, crowded = evidence.machine, crowd(evidence)
    limit = machine.limit if machine is not None else (crowded.in_flight if crowded is not None and crowded.queued else None)
    already = machine.workers if machine is not None else evidence.scenario.workload.concurrency
    if limit is None and machine is not None:
        limit = best(evidence, [(each, replace(machine, workers=each)) for each in USUAL_LIMITS])[0]
    return limit if limit is not None and (already is None or already > limit) else None


def _package(evidence: Evidence) -> str:
    """The package of the functions that scan."""
    files = [row.file for row in sorted(evidence.top, key=lambda row: -row.self_us) if row.code == "pool"]
    return files[0].split("/")[0] if files else evidence.client


def _figures(evidence: Evidence) -> list[Figure]:
    """The pool's CPU over N, who waits for it, and what the slope would be with connections kept besides."""
    pool, machine, crowded = code_s(evidence, "pool"), evidence.machine, crowd_at_top(evidence)
    figures = [
        figure(f"CPU in the pool at N = {n}", 1e3 * pool[n] / n, "ms a request") for n in sorted({min(pool), max(pool)}) if pool[n]
    ]  # no sample is not 0
    figures.append(figure("power of N of the CPU in the pool", exponent(pool) or 1.0, "1"))
    if crowded is not None:
        figures.append(figure(f"waiting for the pool at N = {crowded.n}, at most", crowded.queued, "requests"))
    if max(pool) < max(evidence.points):
        figures.append(figure("share of the loop's time in the scan at the largest N, replayed", scanning_share(evidence), "1"))
    if machine is not None and lost(evidence) is not None:
        both = left(evidence, kept(_unscanned(machine)))
        if both is not None:
            figures.append(figure("slope replayed without the scan and with connections kept", both.value, "ms/request"))
    return [*figures, *busy_figures(evidence)][:6]


def _unscanned(machine: Machine) -> Machine:
    """With a pool that looks at nobody."""
    return replace(machine, scan=0.0)
