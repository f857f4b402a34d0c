"""The target's limits as pure state: a rate limit over a clock that the caller reads, and slots of service in order of arrival."""

from collections import deque
from collections.abc import Callable

from loopdiag.model.scenario import Service


class RateLimit:
    """A token bucket that holds one second's worth of requests (at least one) and starts full."""

    def __init__(self, rate_per_s: float | None) -> None:
        self._rate_per_ns = (rate_per_s or 0.0) / 1e9
        self._capacity = max(1.0, rate_per_s or 0.0)
        self._tokens = self._capacity
        self._then_ns: int | None = None

    def admits(self, now_ns: int) -> bool:
        """Whether a request that arrives at `now_ns` may pass; it is charged if so."""
        if not self._rate_per_ns:
            return True
        passed = 0 if self._then_ns is None else now_ns - self._then_ns
        self._then_ns = now_ns
        self._tokens = min(self._capacity, self._tokens + passed * self._rate_per_ns)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def reset(self) -> None:
        """Fill the bucket, so that every trial begins alike."""
        self._tokens, self._then_ns = self._capacity, None


class Slots:
    """So many places of service; who finds none waits in order of arrival."""

    def __init__(self, places: int | None) -> None:
        self._unlimited = places is None
        self._free = places or 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._draining = False

    def enter(self, begin: Callable[[], None]) -> None:
        """Call `begin` as soon as there is a place: now, or when one is left."""
        if self._unlimited:
            begin()
            return
        self._waiting.append(begin)
        self._drain()

    def leave(self) -> None:
        """Give the place back; whoever waits longest begins."""
        if not self._unlimited:
            self._free += 1
            self._drain()

    def _drain(self) -> None:
        # a loop and not a recursion: a request without think time leaves inside its own `begin`
        if self._draining:
            return
        self._draining = True
        try:
            while self._free and self._waiting:
                self._free -= 1
                self._waiting.popleft()()
        finally:
            self._draining = False


class Limits:
    """All limits of one target."""

    def __init__(self, service: Service) -> None:
        self.rate = RateLimit(service.rate_per_s)
        self.slots = Slots(service.concurrency)
