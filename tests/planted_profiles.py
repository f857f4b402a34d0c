"""Profiles of a program that spends what a table says: stack → CPU in seconds as a function of N, sampled as py-spy samples."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from loopdiag.model.profile import Frame, Profile

Law = Callable[[int], float]
NS = (50, 100, 200, 400, 800)


def linear(us: float) -> Law:
    """So many microseconds a request."""
    return lambda n: us * 1e-6 * n


def sampled(
    laws: Mapping[tuple[str, ...], Law],
    *,
    seed: int = 0,
    ns: Sequence[int] = NS,
    trials: int = 3,
    rate_hz: int = 500,
    slowed: float = 1.5,
    noise: float = 0.02,
) -> tuple[list[Profile], dict[int, list[float]]]:
    """Profiles at each N, and N → CPU of five bare trials.

    Samples come at random, so that each stack's count is Poisson's; the profiled trials are `slowed`, and the bare ones differ by `noise` (relative standard
    deviation).
    """
    rng = np.random.default_rng(seed)
    numbers: dict[str, int] = {}
    stacks = tuple(tuple(numbers.setdefault(name, len(numbers)) for name in stack) for stack in laws)
    frames = tuple(Frame(function=name, file="app.py") for name in numbers)
    profiles, bare = [], {}
    for n in ns:
        cpu = np.array([law(n) for law in laws.values()])
        bare[n] = [float(cpu.sum() * (1 + noise * rng.standard_normal())) for _ in range(5)]
        for repetition in range(trials):
            order = rng.permutation(np.repeat(np.arange(len(stacks)), rng.poisson(cpu * slowed * rate_hz)))
            profiles.append(profile(n, repetition, order.tolist(), frames, stacks, step_ns=round(1e9 / rate_hz)))
    return profiles, bare


def profile(
    n: int,
    repetition: int,
    order: Sequence[int],
    frames: tuple[Frame, ...],
    stacks: tuple[tuple[int, ...], ...],
    *,
    step_ns: int = 2_000_000,
) -> Profile:
    """A profile whose samples are these stacks, one after the other."""
    return Profile(
        trial=f"{n}-{repetition}",
        arm="aiohttp/asyncio",
        n=n,
        repetition=repetition,
        rate_hz=1e9 / step_ns,
        frames=frames,
        stacks=stacks,
        at_ns=tuple(i * step_ns for i in range(len(order))),
        stack=tuple(order),
        weight_ns=(step_ns,) * len(order),
    )
