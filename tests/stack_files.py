"""Stacks that py-spy recorded of the lab's worker, as trees of frames with their counts, in tests/stacks/.

Each file is one trial: scenario, client and loop are its name.  pokeapi, plain, pool and slow are the shipped scenarios; `inside` is pokeapi with JSON decoded in
each request, `h2` pokeapi over HTTP/2, `inject` with the instruments in the process, `native` taken with --native.  Recorded with
``py-spy record --rate 500 --function --nonblocking`` (native: without the last), cut to the timed part, files shortened.
"""

import json
from pathlib import Path

from loopdiag.model.profile import Frame, Profile

FOLDER = Path(__file__).parent / "stacks"
STACKS = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}
STEP_NS = 2_000_000  # 500 samples a second


def recorded(name: str) -> dict[tuple[Frame, ...], int]:
    """Stack → samples of one file."""
    content = json.loads(STACKS[name].read_text(encoding="utf-8"))
    frames = [Frame(function=function, file=file) for function, file in content["frames"]]
    paths: list[tuple[Frame, ...]] = []
    counts: dict[tuple[Frame, ...], int] = {}
    for parent, frame, count in content["nodes"]:
        paths.append((*paths[parent], frames[frame]) if parent >= 0 else ())
        if count:
            counts[paths[-1]] = count
    return counts


def as_profile(counts: dict[tuple[Frame, ...], int], *, n: int = 400) -> Profile:
    """The stacks as a profile, one sample after the other."""
    frames: dict[Frame, int] = {}
    stacks = tuple(tuple(frames.setdefault(frame, len(frames)) for frame in stack) for stack in counts)
    order = tuple(number for number, count in enumerate(counts.values()) for _ in range(count))
    return Profile(
        trial="t",
        arm="a/b",
        n=n,
        repetition=0,
        frames=tuple(frames),
        stacks=stacks,
        stack=order,
        at_ns=tuple(i * STEP_NS for i in range(len(order))),
        weight_ns=(STEP_NS,) * len(order),
    )
