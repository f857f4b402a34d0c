"""The candidate laws of T(N): each is linear in its coefficients once its shape (limit, knee, powers) is fixed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from loopdiag.analysis.cells import Floats

Columns = Callable[[Floats, Floats], Floats]
Growth = Literal["as fitted", "linear"]

#: limits that programs and servers are set to
LIMITS = (
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    15,
    16,
    20,
    24,
    25,
    30,
    32,
    40,
    48,
    50,
    60,
    64,
    75,
    80,
    96,
    100,
    120,
    128,
    150,
    200,
    250,
    256,
    300,
    400,
    500,
    512,
    1000,
)
#: powers of N and of log2 N in the performance-model normal form; those that are a law of their own are left out
POWERS = (0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1.0, 5 / 4, 4 / 3, 3 / 2, 5 / 3, 2.0, 5 / 2, 3.0)
LOG_POWERS = (0, 1, 2)
OWN_LAWS = ((0.0, 0), (1.0, 0), (1.0, 1), (2.0, 0))
KNEES = 24


@dataclass(frozen=True)
class Form:
    """One candidate.

    Attributes:
        name: the law as it is printed.
        linear: names and units of the coefficients, all of them ≥ 0: no mechanism makes a request take less than no time.
        shape: names and units of what is searched on a grid.
        shapes: values of N → grid, shape (G, len(shape)).
        columns: (N of shape (k,), grid of shape (G, s)) → design, shape (G, k, len(linear)).
        reported: fitted coefficients (…, q) → coefficients as named, where they differ.
        growth: whether growth at large N is read off the fitted curve, or known to be linear although the curve steps or bends.
    """

    name: str
    linear: tuple[tuple[str, str], ...]
    columns: Columns
    shape: tuple[tuple[str, str], ...] = ()
    shapes: Callable[[Floats], Floats] = lambda _: np.zeros((1, 0))
    reported: Callable[[Floats], Floats] = lambda fitted: fitted
    growth: Growth = "as fitted"

    @property
    def size(self) -> int:
        """How many numbers the data must determine; a grid of shapes counts as one."""
        return len(self.linear) + bool(self.shape)


def _stack(*columns: Floats) -> Floats:
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _powers(*powers: Callable[[Floats], Floats]) -> Columns:
    """Columns that need no grid."""
    return lambda n, grid: np.broadcast_to(_stack(*(power(n) for power in powers)), (len(grid), n.size, len(powers)))


def _one(n: Floats) -> Floats:
    return np.ones_like(n)


def _log2(n: Floats) -> Floats:
    return np.log2(np.maximum(n, 1.0))


def _limits(ns: Floats) -> Floats:
    """Limits that make at least three different numbers of waves; the others cannot be told from a constant or a line."""
    usable = [c for c in LIMITS if np.unique(np.ceil(ns / c)).size >= 3 and np.any(ns % c != 0)]
    return np.array(usable, dtype=float).reshape(-1, 1)


def _knees(ns: Floats) -> Floats:
    """Knees with at least two values of N on either side."""
    return np.geomspace(ns[1], ns[-2], KNEES).reshape(-1, 1)


def _normal_shapes(_: Floats) -> Floats:
    return np.array([(power, log) for power in POWERS for log in LOG_POWERS if (power, log) not in OWN_LAWS], dtype=float)


def _usl(fitted: Floats) -> Floats:
    """(a, a*s, a*k) → (a, s, k)."""
    first = np.maximum(fitted[..., :1], 1e-12 * np.maximum(fitted.max(axis=-1, keepdims=True), 1e-300))
    return np.concatenate([first, fitted[..., 1:] / first], axis=-1)


A, B = ("a", "s"), ("b", "s/request")

#: simplest first: of laws that predict about equally well, the earlier one is preferred
FORMS: tuple[Form, ...] = (
    Form("constant", (A,), _powers(_one)),
    Form("a + b*N", (A, B), _powers(_one, lambda n: n)),
    Form("a + b*N*log2(N)", (A, B), _powers(_one, lambda n: n * _log2(n))),
    Form("a + b*N^2", (A, ("b", "s/request^2")), _powers(_one, lambda n: n * n)),
    Form("a + b*N + c*N^2", (A, B, ("c", "s/request^2")), _powers(_one, lambda n: n, lambda n: n * n)),
    Form(
        "a + b*ceil(N/c)",
        (A, ("b", "s/wave")),
        lambda n, grid: _stack(_one(n), np.ceil(n / grid[:, :1])),
        shape=(("c", "requests"),),
        shapes=_limits,
        growth="linear",
    ),
    Form(
        "USL: a*(1 + s*(N-1) + k*N*(N-1))",  # N over the throughput X(N): contention s, coherency k
        (A, ("s", "1"), ("k", "1")),
        _powers(_one, lambda n: n - 1, lambda n: n * (n - 1)),
        reported=_usl,
    ),
    Form(
        "c0 + c1*N^(i/j)*log2(N)^k",
        (("c0", "s"), ("c1", "s")),
        lambda n, grid: _stack(_one(n), n ** grid[:, :1] * _log2(n) ** grid[:, 1:2]),
        shape=(("i/j", "1"), ("k", "1")),
        shapes=_normal_shapes,
    ),
    Form(
        "a + b*min(N,k) + c*max(0,N-k)",
        (A, B, ("c", "s/request")),
        lambda n, grid: _stack(_one(n), np.minimum(n, grid[:, :1]), np.maximum(0.0, n - grid[:, :1])),
        shape=(("k", "requests"),),
        shapes=_knees,
        growth="linear",
    ),
)
