"""All requests share one HTTP/2 connection, and wait for a free stream of it.

Symptom: the total grows in steps, T = ⌈N/c⌉ · latency, over a single connection; c is what the server's SETTINGS_MAX_CONCURRENT_STREAMS says, or
the client's own bound (100 in httpcore).

Evidence: requests have a connection and wait for a stream; replaying the run with as many streams as requests makes the slope smaller.

Remedy: more connections (several clients), a higher bound at the server, or HTTP/1.1 with a pool.

Sources: encode/httpx#281; encode/httpx#1414
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import OUTSIDE, claim, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.sightings import crowd, phase_ms
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: more streams than any trial has requests
ENOUGH = 1_000_000
MAX_STREAMS = "target.service.max_streams"


class H2StreamLimit:
    """One connection, and a queue for its streams."""

    name = "h2_stream_limit"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where a connection carries any number of streams."""
        waits = phase_ms(evidence, "stream")
        top = max(waits, default=0)
        if evidence.scenario.target.http != "2" or waits.get(top, 0) < 1:
            return None
        effect = removed(evidence, _streams, *OUTSIDE)
        if isinstance(effect, NotEnough):
            return effect
        crowded, machine = crowd(evidence), evidence.machine
        figures = [figure(f"wait for a stream at N = {top}, median", waits[top], "ms")]
        if machine is not None and machine.streams is not None:
            figures.append(figure("streams at a time", machine.streams, "a connection"))
        if crowded is not None:
            figures += [figure("in flight at most", crowded.in_flight, "requests"), figure("opened", crowded.opened, "connections")]
        return claim(
            self, evidence, effect, figures=figures, remedy="use several connections, or raise the server's bound on concurrent streams"
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Raise the embedded target's bound: an experiment, since the bound is the server's."""
        del evidence
        if scenario.target.live or getattr(scenario.target.service, "max_streams", None) is None:
            return None
        return change(scenario, {MAX_STREAMS: None}, remedy=False)


def _streams(machine: Machine) -> Machine:
    return replace(machine, streams=ENOUGH)


CAUSE = H2StreamLimit()
