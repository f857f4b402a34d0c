"""The process has no descriptors left, or the machine no ports.

Symptom: from a number of requests on, some fail ("Too many open files", "Cannot assign requested address"), or are made again after a pause.

Evidence: errors EMFILE, ENFILE or EADDRNOTAVAIL of connections, with as many descriptors open as the process may have; the share is the time in which the loop
is idle while requests that failed so wait to be made again.

Remedy: reuse connections and bound their number; raise the limit (`ulimit -n`), or the range of ports.

Sources: aio-libs/aiohttp#1142, #2094
"""

from functools import partial

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, claim
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, of_growth, put_off_ms
from loopdiag.causes.reuse import LEAST_SESSIONS, sessions
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Attempt

RAN_OUT = ("descriptors", "ports")
#: of the requests
LEAST = 0.02
DOUBT = 0.25
FEW = 100


class PortOrFdExhaustion:
    """Nothing left to connect with."""

    name = "port_or_fd_exhaustion"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share by which the time grows that attempts wait after they failed for want of a port or a descriptor."""
        timeline = observed(evidence)
        if timeline is None:
            return None
        worst, n = _worst(evidence, timeline.n)
        if sum(worst.values()) < max(1.0, LEAST * n):
            return None
        effect = _effect(evidence)
        if isinstance(effect, NotEnough):
            found = ", ".join(f"{count} attempts found no {what[:-1]}" for what, count in worst.items() if count)
            return NotEnough(why=f"{found} (N = {n}), but what that costs is not known: {effect.why}")
        figures = [figure(f"connections that found no {what[:-1]}, in the worst trial", count, "attempts") for what, count in worst.items()]
        figures.append(figure(f"the same (N = {n})", sum(worst.values()) / n, "a request"))
        if timeline.process is not None and timeline.process.descriptors is not None:
            figures.append(figure("descriptors open at most, as far as sampled", timeline.process.descriptors, "descriptors"))
        remedy = "reuse connections and bound how many are open, or raise the limit"
        detail = max(worst, key=worst.__getitem__)
        return claim(self, evidence, effect, figures=figures, remedy=remedy, detail=detail, place=views.made_at(timeline))

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Fewer connections; of a program that makes many sessions, one pool for all."""
        if scenario.program is None:
            return None
        shared = {"knobs.shared_session": True} if sessions(evidence) >= LEAST_SESSIONS else {}
        return change(scenario, {"knobs.pool_limit": FEW, **shared})


def _effect(evidence: Evidence) -> Effect | NotEnough:
    """By the time in which nothing happens but that requests wait to be made again."""
    counted = sum(evidence.counters.get(f"exhausted.{what}", 0) for what in RAN_OUT)
    failed = max((sum(map(_unconnected, timeline.attempts)) for timeline in evidence.timelines), default=0)
    if not counted:
        return NotEnough(why="the trials that met it did not end well")
    if not 0 < failed <= counted:  # a name with two addresses is tried twice
        return NotEnough(
            why=f"{failed} attempts failed before they were sent, and {counted} sockets for want of it: which waits follow from it is not told"
        )
    return of_growth(evidence, partial(put_off_ms, failed=_unconnected), DOUBT)


def _unconnected(attempt: Attempt) -> bool:
    """Whether it failed before anything of it was sent."""
    return "error" in attempt.flags and "send_start" not in attempt.stamps


def _worst(evidence: Evidence, top: int) -> tuple[dict[str, int], int]:
    """What ran out in the trial that met it most often, what → attempts, and that trial's N.

    Trials that ended well say it by their counters, of which the largest are kept without their N: the largest, `top`, where most is open.
    """
    counted = {what: count for what in RAN_OUT if (count := evidence.counters.get(f"exhausted.{what}", 0))}
    failed = [(views.exhausted([trial]), trial.spec.n) for trial in evidence.failed]
    return max([(counted, top), *failed], key=lambda each: sum(each[0].values()))


CAUSE = PortOrFdExhaustion()
