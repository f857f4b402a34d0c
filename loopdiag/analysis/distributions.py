"""The two reference distributions that intervals need, from the regularised incomplete beta function."""

from math import exp, lgamma, log, sqrt

_TINY = 1e-300
_TERMS = 300


def _continued_fraction(a: float, b: float, x: float) -> float:
    """Lentz's continued fraction of the incomplete beta function."""
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0) or _TINY)
    total = d
    for m in range(1, _TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / (1.0 + term * d or _TINY)
            c = 1.0 + term / c or _TINY
            total *= c * d
        if abs(c * d - 1.0) < 1e-13:
            break
    return total


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b) for x in [0, 1]."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x))
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(a, b, x) / a
    return 1.0 - front * _continued_fraction(b, a, 1 - x) / b


def f_tail(ratio: float, above: float, below: float) -> float:
    """Probability that an F variable with (`above`, `below`) degrees of freedom exceeds `ratio`."""
    return incomplete_beta(below / 2, above / 2, below / (below + above * ratio))


def student_quantile(dof: float, confidence: float = 0.95) -> float:
    """Two-sided Student quantile: |t| stays below it with probability `confidence`; `dof` need not be whole."""
    low, high = 0.0, 1.0  # x = dof / (dof + t**2) falls as t grows, and I_x is the two-sided tail
    for _ in range(80):
        middle = (low + high) / 2
        if incomplete_beta(dof / 2, 0.5, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return sqrt(dof * (1 - high) / high)
