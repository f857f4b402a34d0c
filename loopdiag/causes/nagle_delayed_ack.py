"""The body comes a fixed time after the header: one side waits before it sends the rest.

Symptom: each request takes about 40 ms longer than the server's work, whatever its size; where requests wait for one another, the total grows by it.

Evidence: the time between an answer's first byte and its last is the same at every N, and the loop is not what it waits for; replaying the run without it makes
the slope smaller. About 40 ms is the delayed acknowledgement that Nagle's algorithm waits for.

Remedy: `TCP_NODELAY` at the sender, or header and body in one write.

Sources: RFC 896; RFC 1122, section 4.2.3.2
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.programs import programmed
from loopdiag.causes.sightings import growth, phase_ms
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: a body on its way takes less
LEAST_MS = 5.0
#: more growth over N than this is the link's, or the loop's
CONSTANT = 1.6
#: milliseconds of a delayed acknowledgement, as Linux has them, with a little to either side
DELAYED_ACK_MS = (35.0, 60.0)


class NagleDelayedAck:
    """A fixed gap inside of each answer."""

    name = "nagle_delayed_ack"
    side: Side = "network"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where bodies follow their headers at once."""
        gaps = phase_ms(evidence, "receive")
        top, least = max(gaps, default=0), min(gaps.values(), default=0.0)
        if least < LEAST_MS or (growth(gaps) or 1.0) > CONSTANT:
            return None
        effect = removed(evidence, _at_once, "receive")
        if isinstance(effect, NotEnough):
            return effect
        figures = [
            figure("from the first byte to the last at the smallest N, median", gaps[min(gaps)], "ms"),
            figure(f"the same at N = {top}", gaps[top], "ms"),
            figure("wait for the first byte there, median", phase_ms(evidence, "wait").get(top, 0.0), "ms"),
        ]
        delayed = DELAYED_ACK_MS[0] <= least <= DELAYED_ACK_MS[1]
        detail = "delayed acknowledgement" if delayed else f"the body comes {least:.0f} ms after the header"
        return claim(
            self, evidence, effect, figures=figures, remedy="set TCP_NODELAY at the sender, or write header and body at once", detail=detail
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Without the embedded target's gap, or a null server in front of a program, whose own TCP_NODELAY says nothing of what its server sends: experiments."""
        if programmed(evidence):
            return change(scenario, {"knobs.null_server": True}, remedy=False)
        return None if scenario.target.live else change(scenario, {"target.service.gap_ms": 0.0}, remedy=False)


def _at_once(machine: Machine) -> Machine:
    return replace(machine, gap=0.0)


CAUSE = NagleDelayedAck()
