"""Timelines made by hand, in milliseconds, for tests of the critical path and the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from loopdiag.model.ledger import Step
from loopdiag.model.timeline import Attempt, Iterations, Phase, Timeline

MS = 1_000_000
Life = Sequence[tuple[str, float]]  # (phase, its end in ms)


def ns(at_ms: float) -> int:
    """Milliseconds as nanoseconds."""
    return round(at_ms * MS)


def life(request: int, begin: float, phases: Life, marks: Mapping[str, float] | None = None, **more: Any) -> Attempt:
    """An attempt from its phases' ends; it is created at `begin` and done with its last phase, unless `marks` say otherwise."""
    bounds = [begin, *(end for _, end in phases)]
    stamps = {"created": begin, "done": bounds[-1], **(marks or {})}
    return Attempt(
        request=request,
        stamps={name: ns(at) for name, at in stamps.items()},
        phases=tuple(Phase(name=name, start_ns=ns(a), end_ns=ns(b)) for (name, _), (a, b) in zip(phases, pairwise(bounds), strict=True)),
        **more,
    )


def sleeping(total: float, *sleeps: tuple[float, float]) -> Iterations:
    """A loop that slept in these stretches, and ran in all others."""
    polls = [(0.0, 0.0), *sleeps] if not sleeps or sleeps[0][0] > 0 else list(sleeps)
    ends = [*(begin for begin, _ in polls[1:]), total]
    return Iterations(
        start_ns=tuple(ns(begin) for begin, _ in polls),
        poll_ns=tuple(ns(end) - ns(begin) for begin, end in polls),
        run_ns=tuple(ns(until) - ns(end) for (_, end), until in zip(polls, ends, strict=True)),
        ready=(0,) * len(polls),
    )


def line(total: float, attempts: Iterable[Attempt], loop: Iterations | None = None, **more: Any) -> Timeline:
    """A trial of these attempts."""
    rows = tuple(attempts)
    named = {"trial": "t", "arm": "aiohttp/asyncio", "n": len({row.request for row in rows}), "repetition": 0, "t0_ns": 0, **more}
    return Timeline(total_ns=ns(total), attempts=rows, iterations=loop, **named)


def spent(steps: Iterable[Step]) -> dict[str, float]:
    """Account → milliseconds, to a thousandth, "loop" undivided."""
    found: dict[str, float] = {}
    for step in steps:
        found[step.account] = found.get(step.account, 0) + (step.end_ns - step.start_ns) / MS
    return {account: round(length, 3) for account, length in found.items()}


def hops(steps: Iterable[Step]) -> list[str]:
    """How the path went from request to request, in order of time."""
    return [step.via for step in steps if step.via]
