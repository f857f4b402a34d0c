"""Speedscope's own JSON: a sampled profile for each trial and thread, samples in the order in which they were taken."""

from typing import Any

import msgspec

from loopdiag.model.document import Document
from loopdiag.model.profile import Frame, Profile
from loopdiag.report.folded import ALL, MAIN, threads
from loopdiag.report.growth import one_line, place

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def render(document: Document) -> str:
    """All profiles of the document, those of an arm by N, repetition and thread; the one that is shown first has the largest N."""
    profiles = sorted(document.profiles, key=lambda p: (p.arm, p.n, p.repetition, p.thread != MAIN, p.thread))
    frames: dict[Frame, int] = {}
    made = [sampled(profile, frames) for profile in profiles]
    speaking = [k for k, profile in enumerate(profiles) if profile.thread in {MAIN, ALL}]
    first = max(speaking, key=lambda k: profiles[k].n, default=0)  # of several the first
    content = {
        "$schema": SCHEMA,
        "name": one_line(document.diagnosis.scenario),
        "exporter": f"loopdiag@{document.recording.loopdiag}",
        "activeProfileIndex": first,
        "shared": {"frames": [shared(frame) for frame in frames]},
        "profiles": made,
    }
    return msgspec.json.encode(content).decode()


def sampled(profile: Profile, frames: dict[Frame, int]) -> dict[str, Any]:
    """One thread of one trial; `frames` numbers the frames of all profiles."""
    numbers = [frames.setdefault(frame, len(frames)) for frame in profile.frames]
    stacks = [[numbers[k] for k in stack] for stack in profile.stacks]
    # sorted is stable: samples of one moment keep the recorded order
    order = sorted(range(len(profile.stack)), key=lambda k: profile.at_ns[k])
    thread = f", {threads(profile)}" if threads(profile) else ""
    return {
        "type": "sampled",
        "name": one_line(f"{profile.arm}, N = {profile.n}, repetition {profile.repetition}{thread} ({profile.clock} time)"),
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": profile.total_ns,
        "samples": [stacks[profile.stack[k]] for k in order],
        "weights": [profile.weight_ns[k] for k in order],
    }


def shared(frame: Frame) -> dict[str, Any]:
    """One frame; what is not known is left out."""
    made: dict[str, Any] = {"name": one_line(frame.function)}
    if frame.file:
        made["file"] = place(frame.file)
    return made if frame.line is None else made | {"line": frame.line}
