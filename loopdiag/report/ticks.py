"""Round numbers along an axis that begins at 0."""

import math


def nice_ticks(end: float, most: int) -> list[float]:
    """0, and the multiples up to `end` of the smallest step of 1, 2 or 5 times a power of ten that gives at most so many of them."""
    power = 10.0 ** math.floor(math.log10(end / most))
    steps = ((factor * power, int(end / (factor * power) * (1 + 1e-9))) for factor in (1, 2, 5, 10, 20))
    step, count = next(each for each in steps if each[1] <= most)
    return [float(f"{k * step:.6g}") for k in range(count + 1)]
