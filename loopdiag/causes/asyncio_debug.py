"""asyncio runs in its debug mode.

Symptom: the total grows in proportion to N, with the loop busy; every callback and every task costs tens of microseconds more.

Evidence: debug mode is on, and the profile shows CPU in the code that only it runs: extracting a stack for each handle and coroutine, formatting slow callbacks.

Remedy: switch it off (`PYTHONASYNCIODEBUG`, `-X dev`, `asyncio.run(…, debug=True)`).

Sources: python/cpython#76151
"""

from dataclasses import replace

import msgspec

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, claim, of_accounts, of_share, replayed
from loopdiag.causes.figures import figure
from loopdiag.causes.lines import made_line
from loopdiag.causes.programs import programmed
from loopdiag.causes.sightings import busy_figures, code_s, code_share, line
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.flame import CLASSES
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

#: where only debug mode spends CPU in a loop: a stack for each handle, task and coroutine
FILES = ("traceback.py", "linecache.py", "asyncio/format_helpers.py", "tokenize.py")
#: of the loop's CPU but for handshakes, where no row of the profile tells: what debug mode adds (measured: two to three times a request's own), and its doubt
OF_REST, DOUBT = 0.6, 0.5
#: and where no profile tells of handshakes or of the program's own code, either, that doubt
BLIND_DOUBT = 0.8
#: of the growth of the loop's CPU
LEAST_SHARE = 0.05


class AsyncioDebug:
    """The stacks that debug mode extracts."""

    name = "asyncio_debug"
    side: Side = "client"
    needs = frozenset({"timelines"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes with the CPU of those files."""
        found = traced(evidence)
        if found is None or found[0] < LEAST_SHARE:
            return None
        part, doubt = found
        effect = _effect(evidence, part)
        if isinstance(effect, NotEnough):
            return effect
        if doubt and effect.share.low is not None:
            low = effect.share.value * (1 - doubt)
            effect = replace(effect, share=msgspec.structs.replace(effect.share, low=min(low, effect.share.low)))
        figures = [
            figure("CPU in what debug mode adds, of the growth of the loop's", part, "1"),
            figure("relative doubt of that", doubt, "1"),
            figure("debug mode is on, as the loop itself says", float(_on(evidence)), "1: yes"),
        ]
        figures += busy_figures(evidence)
        return claim(self, evidence, effect, figures=figures, remedy="switch asyncio's debug mode off", place=made_line(evidence, "debug"))

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Debug mode off."""
        if programmed(evidence):
            return change(scenario, {"knobs.debug_off": True})
        return change(scenario, {"workload.plant.debug": False})


def _effect(evidence: Evidence, part: float) -> Effect | NotEnough:
    """The effect of removing a part of what each request computes."""
    machine = evidence.machine
    if machine is not None:
        return replayed(evidence, machine, lambda fitted: _without(fitted, part))
    loop = of_accounts(evidence, *(f"loop/{code}" for code in CLASSES))
    if isinstance(loop, NotEnough) or loop.share.low is None:
        return loop
    return of_share(evidence, part * loop.share.value, part * (loop.share.value - loop.share.low))


def _without(machine: Machine, part: float) -> Machine:
    """All that the loop computes for requests and connections, but this part of it; collections too, which a profile tells as the code in which they began."""
    rest = 1 - part
    return replace(
        machine,
        start=machine.start * rest,
        finish=machine.finish * rest,
        open_tcp=machine.open_tcp * rest,
        pause=machine.pause * rest,
        pause_grow=machine.pause_grow * rest,
    )


def _on(evidence: Evidence) -> bool:
    """Whether it is, as the loop says."""
    return bool(evidence.counters.get("asyncio_debug"))


def traced(evidence: Evidence) -> tuple[float, float] | None:
    """Share of the growth of the loop's CPU that debug mode adds, and its relative doubt; None: debug mode is off as far as anyone can see.

    Without rows of the profile, which name its functions, the loop tells that it is on, and a measured multiple what it costs.
    """
    whole = code_s(evidence, *(code for code in evidence.class_cpu if code != "instruments"))
    growth_us = 1e6 * line(list(whole), list(whole.values())) if len(whole) > 1 else 0.0
    if evidence.top and growth_us > 0:
        return min(1.0, sum(row.self_us for row in evidence.top if row.file.endswith(FILES)) / growth_us), 0.0
    if not _on(evidence):
        return None
    if not evidence.class_cpu:
        return OF_REST, BLIND_DOUBT
    return OF_REST * (1 - (code_share(evidence, "tls-handshake", "tls-context", "instruments") or 0.0)), DOUBT


CAUSE = AsyncioDebug()
