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
from loopdiag.causes.connecting import seen, stepped
from loopdiag.causes.figures import figure
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
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
        found = seen(evidence)
        if found is None or not (_repeated(found[1]) or self._diverted(evidence, found[1])):
            return None
        timeline, made = found
        longest = made.longest_ns / 1e6
        figures = [
            figure(f"connections at N = {timeline.n}", made.count, "connections"),
            figure("that took as long as a repeated first packet", made.repeated_syn, "connections"),
            figure("that took as long as a try of the next address", made.fallback, "connections"),
            figure("the longest TCP connect", longest, "ms"),
        ]
        if made.retransmits is not None:
            figures.append(figure("segments sent again", made.retransmits, "segments"))
        remedy = "open fewer connections at a time, or give the server a larger listening queue"
        return stepped(self, evidence, timeline, step_ms=longest, doubt=DOUBT, figures=figures, remedy=remedy)

    @staticmethod
    def _diverted(evidence: Evidence, made: Connects) -> bool:
        """Whether some connections, and none of them at the smallest N, went to the server's next address instead of waiting for the first packet's repetition."""
        first = views.connects(evidence.timelines[0])
        some = made.fallback > 0 and made.longest_ns > LONG * (made.median_ns if first is None else first.median_ns)
        return some and made.several_addresses > 0 and first is not None and not first.fallback

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Few connections at a time."""
        del evidence
        return None if scenario.program is None else change(scenario, {"knobs.pool_limit": 10})


def _repeated(made: Connects) -> bool:
    return made.repeated_syn > 0 and made.retransmits != 0


CAUSE = ListenBacklogOverflow()
