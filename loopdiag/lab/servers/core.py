"""The CPU that the target spends on each request: one core, which requests need in turn."""

import asyncio
from collections import deque
from collections.abc import Callable

from loopdiag.lab.planted import burn


class Core:
    """Computes for one request at a time, in order of arrival.

    Between two of them the loop goes round once, so that requests which come meanwhile are received, and stamped, at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, cost_ns: int) -> None:
        self._loop, self._cost_ns = loop, cost_ns
        self._waiting: deque[Callable[[], None]] = deque()
        self._over_ns = 0

    def enter(self, then: Callable[[], None]) -> None:
        """Compute, and call `then`; without a cost at once."""
        if not self._cost_ns:
            then()
            return
        self._waiting.append(then)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._compute)

    def _compute(self) -> None:
        self._over_ns = burn(self._cost_ns - self._over_ns)
        try:
            self._waiting[0]()  # it stays in the queue meanwhile, so that whoever enters now only waits
        finally:
            self._waiting.popleft()
            if self._waiting:
                self._loop.call_soon(self._compute)
