"""TLS handshakes compute, on the client's loop and on the server.

Symptom: the total grows with the number of connections: an offset of the first wave where connections are reused, a slope where they are not.

Evidence: CPU in the handshake of each connection, about 1 ms on either side with a P-256 certificate, several with RSA-4096; replaying the run with handshakes
that cost nothing makes the slope, or the total at the largest N, smaller.

Remedy: fewer connections, kept alive; an ECDSA certificate at the server; session resumption; HTTP/2.

Sources: aio-libs/aiohttp#3651
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.occupancy import union
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, claim, of_share, removed
from loopdiag.causes.figures import Figure, figure
from loopdiag.causes.programs import observed, of_growth
from loopdiag.causes.replays import left, offset_ms
from loopdiag.causes.sightings import QUEUES, code_share, growth, opened_per_request, service_ms
from loopdiag.causes.special import per_request_s, with_handshakes
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.ledger import Step
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Timeline

ECDSA_SERVER_S = 0.0006  # CPU of a P-256 handshake on the server: what remains where RSA's is replaced
#: connections for each request, below which handshakes are the first wave's
FIRST_WAVE = 0.5
#: relative, of what waits behind others' handshakes: they overlap with the server's own work
DOUBT = 0.4
PER_HANDSHAKE = "CPU of client and server for a handshake"


class TlsHandshakeCpu:
    """Cryptography of new connections."""

    name = "tls_handshake_cpu"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share, and the offset, that go where handshakes cost nothing."""
        cpu_ms, opened = handshake_ms(evidence), opened_per_request(evidence)
        if cpu_ms is None or opened is None:
            return None
        effect = removed(evidence, lambda fitted: _free(with_handshakes(fitted, evidence)), "ssl", "loop/tls-handshake")
        if isinstance(effect, NotEnough):
            return effect
        if evidence.machine is None and observed(evidence) is not None:
            effect = _with_late_answers(evidence, effect)
        machine = None if evidence.machine is None else with_handshakes(evidence.machine, evidence)
        offset = None if machine is None else offset_ms(evidence, _free(machine))
        told = [] if offset is None else [figure("of the total at the largest N", offset.value, "ms")]
        return claim(
            self,
            evidence,
            effect,
            figures=[*_figures(evidence, cpu_ms, opened), *told],
            remedy="open fewer connections and keep them, or give the server an ECDSA certificate",
            detail="handshakes of the first wave" if opened < FIRST_WAVE else "a handshake a request",
            predicted=left(evidence, None if machine is None else _treated(machine, evidence)),
            offset_ms=offset,
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """An ECDSA certificate in place of an RSA one; else no TLS at all, as an experiment."""
        del evidence
        if scenario.target.live or scenario.target.tls == "off":
            return None
        if scenario.target.tls.startswith("rsa"):
            return change(scenario, {"target.tls": "ecdsa-p256"})
        return change(scenario, {"target.tls": "off", "target.service.handshake_ms": 0.0}, remedy=False)


def handshake_ms(evidence: Evidence) -> float | None:
    """CPU of one handshake, both sides, in ms; None where there is none, or none was seen."""
    if evidence.machine is not None:
        machine = with_handshakes(evidence.machine, evidence)
        return 1e3 * (machine.open_tls + machine.server_handshake) or None
    seen = [link.tls_cpu_ns for timeline in evidence.timelines for link in timeline.connections if link.tls_cpu_ns]
    return sum(seen) / len(seen) / 1e6 if seen else None


def _with_late_answers(evidence: Evidence, effect: Effect) -> Effect:
    """The effect, with the time in which an answer was waited for that came the later the more handshakes the server was at, and those of others were under way.

    Whether the request that is done last had waited for its handshake, or for a server that was busy with others', is chance.
    """
    if evidence.ledger is None or (growth(service_ms(evidence)) or 0.0) < QUEUES:
        return effect
    steps = {trial.trial: trial.steps for trial in evidence.ledger.trials}
    late = of_growth(evidence, lambda timeline: _behind_ms(timeline, steps.get(timeline.trial, ())), DOUBT)
    if isinstance(late, NotEnough) or late.share.value <= 0 or effect.share.low is None or late.share.low is None:
        return effect
    value = effect.share.value + late.share.value
    return of_share(evidence, value, effect.share.value - effect.share.low + late.share.value - late.share.low)


def _behind_ms(timeline: Timeline, steps: Sequence[Step]) -> float:
    """How long the path waits for the server to answer while others' handshakes are under way, in ms."""
    shakes = union([(phase.start_ns, phase.end_ns) for attempt in timeline.attempts for phase in attempt.phases if phase.name == "ssl"])
    together = at = 0
    for start, end in ((step.start_ns, step.end_ns) for step in steps if step.account == "server"):  # both are in order of time
        while at < len(shakes) and shakes[at][1] <= start:
            at += 1
        for begun, over in shakes[at : bisect_left(shakes, (end,))]:
            together += min(end, over) - max(start, begun)
    return together / 1e6


def _figures(evidence: Evidence, cpu_ms: float, opened: float) -> list[Figure]:
    figures = [figure("connections opened", opened, "a request"), figure(PER_HANDSHAKE, cpu_ms, "ms")]
    if (sampled := code_share(evidence, "tls-handshake")) is not None:
        figures.append(figure("share of the loop's CPU in handshakes at the largest N", sampled, "1"))
    return figures


def _free(machine: Machine) -> Machine:
    return replace(machine, open_tls=0.0, handshake=0.0, server_handshake=0.0)


def _treated(machine: Machine, evidence: Evidence) -> Machine:
    """The machine after `intervene`."""
    if evidence.scenario.target.tls.startswith("rsa"):
        return replace(machine, server_handshake=min(machine.server_handshake, ECDSA_SERVER_S))
    return replace(_free(machine), finish=max(0.0, machine.finish - per_request_s(evidence, "tls-record")))


CAUSE = TlsHandshakeCpu()
