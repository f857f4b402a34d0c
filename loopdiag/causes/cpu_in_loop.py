"""The program's own code, or decoding the answers, computes on the event loop.

Symptom: the total grows in proportion to N, the loop is busy, and one kind of work that is neither the network's nor the library's takes much of it.

Evidence: the profile's share of the CPU in the program's functions, in JSON, in decompression or in character sets; replaying the run without that CPU
makes the slope smaller. CPU that overlaps with waiting for a slow server has no share.

Remedy: cheaper code (a faster parser, fewer copies), or do it after the answers are there, in processes, or in threads where it releases the GIL.

Sources: NVIDIA/TensorRT-LLM#15372; aio-libs/aiohttp#9204; bbot#807
"""

from dataclasses import replace

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import claim, of_accounts, removed
from loopdiag.causes.figures import figure
from loopdiag.causes.lines import computing_line, kind_of_work
from loopdiag.causes.programs import programmed
from loopdiag.causes.replays import left
from loopdiag.causes.sightings import busy_figures, code_share
from loopdiag.causes.special import heavy_codes, per_request_s
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.flame import CLASSES
from loopdiag.model.law import Estimate, NotEnough
from loopdiag.model.scenario import Scenario


class CpuInLoop:
    """Work of the program's own, in proportion to N."""

    name = "cpu_in_loop"
    side: Side = "client"
    needs = frozenset({"class_cpu"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes with the heavy classes of code."""
        heavy = heavy_codes(evidence)
        if not heavy:
            return None
        effect = removed(evidence, lambda machine: _without(machine, evidence, heavy), *(f"loop/{code}" for code in heavy))
        if isinstance(effect, NotEnough):
            return effect
        figures = [figure(f"CPU in {CLASSES[code]}", 1e3 * per_request_s(evidence, code), "ms a request") for code in heavy]
        figures += [figure(f"share of the loop's CPU in {CLASSES[code]}", code_share(evidence, code) or 0.0, "1") for code in heavy]
        figures += busy_figures(evidence)
        kind = kind_of_work(evidence)
        return claim(
            self,
            evidence,
            effect,
            figures=figures[:6],
            remedy=f"make {CLASSES[heavy[0]]} cheaper, or do it after the answers are there or in processes",
            detail=", ".join([*([kind] if kind else []), *(CLASSES[code] for code in heavy)]),
            predicted=_after_change(evidence, heavy),
            place=computing_line(evidence),
        )

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Without the planted work, and with decoding after the timed part; decompressing cannot be taken out."""
        heavy = heavy_codes(evidence)
        if programmed(evidence):
            return change(scenario, {"knobs.fast_json": True}) if heavy[:1] == ["decode-json"] else None
        settings: dict[str, object] = {"workload.plant.cpu_us": 0.0} if "user" in heavy else {}
        if "decode-json" in heavy:
            settings["workload.decode_when"] = "after"
        return change(scenario, settings)


def _after_change(evidence: Evidence, heavy: list[str]) -> Estimate | None:
    """The slope after `intervene`, where that leaves a part of the heavy classes; of a program, it changes JSON alone."""
    movable = [code for code in heavy if code == "decode-json" or (code == "user" and not programmed(evidence))]
    machine = evidence.machine
    if not movable or movable == heavy:
        return None
    if machine is not None:
        return left(evidence, _without(machine, evidence, movable))
    rest = of_accounts(evidence, *(f"loop/{code}" for code in movable))
    return None if isinstance(rest, NotEnough) else rest.predicted


def _without(machine: Machine, evidence: Evidence, codes: list[str]) -> Machine:
    """Take the classes' CPU out of what a request costs the loop."""
    for code in codes:
        if code == "user" and machine.plant > 0:
            machine = replace(machine, plant=0.0, finish=max(0.0, machine.finish - machine.plant))
        elif code == "decode-json" and machine.decode > 0:
            machine = replace(machine, decode=0.0, finish=max(0.0, machine.finish - machine.decode))
        else:
            machine = replace(machine, finish=max(0.0, machine.finish - per_request_s(evidence, code)))
    return machine


CAUSE = CpuInLoop()
