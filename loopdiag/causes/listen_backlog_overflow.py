"""The server's listening queue is full, and packets that would open a connection are lost.

Symptom: some connections take 1 s, 3 s or 7 s longer, from a number of requests on: the total jumps there.

Evidence: TCP connections that took about as long as the first packet's repetitions come after (1, 3, 7 s), and segments that were sent again.

Remedy: open fewer connections at a time, keep them for longer; at the server a larger backlog (`listen(…)`, `net.core.somaxconn`), or faster accepting.

Sources: benoitc/gunicorn#2698
"""

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.program_seen import Connects
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, claim, of_accounts
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import observed, within
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import Estimate, NotEnough
from loopdiag.model.scenario import Scenario

DOUBT = 0.2
#: times the median, of the smallest N: where the queue is full for most, the largest N's median is no measure
LONG = 3.0


class ListenBacklogOverflow:
    """No room at the door."""

    name = "listen_backlog_overflow"
    side: Side = "server"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The step that the slowest connection makes, and what connecting holds of the slope."""
        timeline = observed(evidence)
        seen = views.connects(timeline) if timeline is not None else None
        if timeline is None or seen is None or not (_repeated(seen) or self._diverted(evidence, seen)):
            return None
        found = of_accounts(evidence, "connect")
        effect = found if isinstance(found, Effect) else within(evidence, 0.0, 0.0)
        longest = seen.longest_ns / 1e6
        figures = [
            figure(f"connections at N = {timeline.n}", seen.count, "connections"),
            figure("that took as long as a repeated first packet", seen.repeated_syn, "connections"),
            figure("that took as long as a try of the next address", seen.fallback, "connections"),
            figure("the longest TCP connect", longest, "ms"),
        ]
        if seen.retransmits is not None:
            figures.append(figure("segments sent again", seen.retransmits, "segments"))
        remedy = "open fewer connections at a time, or give the server a larger listening queue"
        offset = Estimate(value=longest, low=longest * (1 - DOUBT), high=longest * (1 + DOUBT), unit="ms")
        return claim(self, evidence, effect, figures=figures, remedy=remedy, offset_ms=offset, place=views.made_at(timeline))

    @staticmethod
    def _diverted(evidence: Evidence, seen: Connects) -> bool:
        """Whether some connections, and none of them at the smallest N, went to the server's next address instead of waiting for the first packet's repetition."""
        first = views.connects(evidence.timelines[0])
        some = seen.fallback > 0 and seen.longest_ns > LONG * (seen.median_ns if first is None else first.median_ns)
        return some and seen.several_addresses > 0 and first is not None and not first.fallback

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Few connections at a time."""
        del evidence
        return None if scenario.program is None else change(scenario, {"knobs.pool_limit": 10})


def _repeated(seen: Connects) -> bool:
    return seen.repeated_syn > 0 and seen.retransmits != 0


CAUSE = ListenBacklogOverflow()
