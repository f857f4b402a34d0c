"""Raw tables as the instruments leave them, made by hand, and the trial that they belong to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from loopdiag.instruments import schema
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm

BASE = 77_000_000_000_000
MS = 1_000_000


def tick(ns: int) -> int:
    """A stamp as the instruments write it."""
    return (ns >> 7) & 0xFFFFFFFF


def table(name: str, rows: Sequence[Mapping[str, float]]) -> "np.ndarray[Any, np.dtype[np.void]]":
    """A raw table with the sink in front; stamps in ms since BASE, lengths in ms."""
    fields = schema.TABLES[name]
    stamps = {*schema.ATTEMPT_STAMPS, *schema.CONNECTION_STAMPS, "started", "ended"} & set(fields)
    made = np.zeros(len(rows) + 1, dtype=list(fields.items()))
    for index, row in enumerate(rows, start=1):
        for field, value in row.items():
            if field == "t0":
                made[index]["t0"] = BASE + round(value * MS)
            elif field in stamps:
                made[index][field] = tick(BASE + round(value * MS))
            elif field in {"poll", "run", "length"}:
                made[index][field] = round(value * MS) >> schema.TICK_SHIFT
            else:
                made[index][field] = value
    return made


def trial(total_ms: float = 100, **more: object) -> TrialResult:
    """A finished timeline trial that began at BASE."""
    spec = TrialSpec(id="t", arm=Arm(client="aiohttp"), n=1, tier="timeline", repetition=0, seed=1)
    return TrialResult(spec=spec, status="ok", total_s=total_ms / 1e3, t0_ns=BASE, t1_ns=BASE + round(total_ms * MS), **more)  # type: ignore[arg-type]
