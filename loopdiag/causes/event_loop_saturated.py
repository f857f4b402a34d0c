"""The event loop computes all the time, and nothing in particular dominates: the honest cost of the work.

Symptom: the total grows in proportion to N by the CPU of a request, with one core busy; limits and servers make no difference.

Evidence: the client computes for most of the time, most of that is the ordinary way of a request through loop, library, parser and TLS records; replaying the run with
requests that cost no CPU makes the slope smaller. Waiting for a core (a loaded machine) is not counted.

Remedy: fewer bytes and fewer requests, uvloop in place of asyncio's loop, several processes.

Sources: MagicStack/uvloop#566
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.known_limits import blocking
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, partly, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.replays import left
from loopdiag.causes.reuse import lost
from loopdiag.causes.sightings import busy, code_share
from loopdiag.causes.special import per_request_s, special_s, special_share, steep_user
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.flame import CLASSES
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Arm, Scenario

#: the ordinary way of a request
ORDINARY = tuple(code for code in CLASSES if code not in {"tls-handshake", "tls-context", "gc", "instruments", "dns"})
LEAST_BUSY = 0.3
#: of the loop's CPU at the largest N, that other causes may claim
MOST_SPECIAL = 0.5
#: of it, from which on the program's own code that grows faster than N is special
LEAST_STEEP = 0.08
#: of a request's CPU that asyncio's loop takes, uvloop leaves so much (0.84 for aiohttp over TLS here; less without TLS)
UVLOOP = 0.85


class EventLoopSaturated:
    """The loop itself is the bottleneck."""

    name = "event_loop_saturated"
    side: Side = "client"
    needs = frozenset({"bare"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where a request's ordinary way costs no CPU."""
        computing = None if blocking(evidence.loop) else busy(evidence)
        if computing is None or computing < LEAST_BUSY or (special_share(evidence) or 0.0) > MOST_SPECIAL:
            return None
        if not evidence.class_cpu:
            why = evidence.missing.get("class_cpu", "there is no profile")
            return NotEnough(why=f"the client computes for {computing:.0%} of the time, but nothing tells with which code: {why}")
        effect = removed(evidence, lambda machine: _free(machine, evidence), *(f"loop/{code}" for code in ORDINARY))
        if isinstance(effect, NotEnough):
            return effect
        figures = [figure("share of the time in which the client computes", computing, "1")]
        machine = evidence.machine
        if machine is not None:
            figures.append(figure("CPU of the loop on the ordinary way", 1e3 * _ordinary_s(machine, evidence), "ms a request"))
        parts = {code: per_request_s(evidence, code) for code in ORDINARY}
        heaviest = sorted((code for code in parts if parts[code] > 0), key=lambda code: -parts[code])[:3]
        figures += [figure(f"of which {CLASSES[code]}", 1e3 * parts[code], "ms a request") for code in heaviest]
        figures.append(figure("slope where that costs nothing: what limits and waits leave", effect.predicted.value, "ms/request"))
        faster = left(evidence, None if machine is None else _on_uvloop(machine)) or partly(evidence, effect, 1 - UVLOOP)
        remedy = "fewer bytes and requests, several processes" + (", uvloop" if evidence.loop == "asyncio" else "")
        return claim(self, evidence, effect, figures=figures, remedy=remedy, predicted=faster)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """uvloop, where the loop is asyncio's."""
        arm = evidence.arm
        return change(scenario, {"arms": (Arm(client=arm.client, loop="uvloop"),)}) if evidence.loop == "asyncio" else None


def _ordinary_s(machine: Machine, evidence: Evidence) -> float:
    return max(0.0, machine.start + machine.finish - special_s(machine, evidence))


def _free(machine: Machine, evidence: Evidence) -> Machine:
    """Requests that cost only what is special about them; what grows faster than N is, where the program's own code or the pool does.

    A connection that no reuse would have spared is a part of its request.
    """
    special = special_s(machine, evidence)
    own = steep_user(evidence) and (code_share(evidence, "user") or 0.0) >= LEAST_STEEP
    grow = machine.grow if own or special > 0 else 0.0
    open_tcp = 0.0 if lost(evidence) is None else machine.open_tcp
    return replace(machine, start=0.0, finish=min(machine.start + machine.finish, special), grow=grow, open_tcp=open_tcp)


def _on_uvloop(machine: Machine) -> Machine:
    return replace(machine, start=machine.start * UVLOOP, finish=machine.finish * UVLOOP, open_tcp=machine.open_tcp * UVLOOP)


CAUSE = EventLoopSaturated()
