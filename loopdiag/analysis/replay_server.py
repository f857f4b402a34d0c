"""The replay's server: cores in order of arrival, places of service, a rate, think times; and the link to the client."""

from collections import deque
from collections.abc import Callable
from heapq import heapreplace
from random import Random
from typing import Protocol

from loopdiag.analysis.machine import Machine

Event = Callable[[float, int], None]  # when, the request's number


class Answered(Protocol):
    """What is told when an answer's first byte, or its refusal, is there."""

    def __call__(self, when: float, i: int, *, refused: bool) -> None:
        """Request `i` has its answer on the way at `when`, or was refused then."""


class Server:
    """Told of handshakes and requests in order of time.

    Args:
        machine: its costs and limits.
        n: requests of the trial.
        seed: of the order of the think times.
        at: calls back at a time.
        answered: told of each answer.
    """

    def __init__(self, machine: Machine, n: int, seed: int, at: Callable[[float, Event, int], None], answered: Answered) -> None:
        self.machine, self._at, self._answered = machine, at, answered
        self.busy = 0.0
        self._cores = [0.0] * max(1, machine.server_threads)
        self._half = machine.server_cpu / 2
        self._think = thinks(machine.think, n, seed)
        self._places = machine.server_limit
        self._waiting: deque[int] = deque()
        self._link = [0.0]
        self._capacity = max(1.0, machine.server_rate or 0.0)
        self._tokens, self._filled = self._capacity, 0.0

    def handshake(self, when: float) -> float:
        """When the server has done its part of a handshake that reached it at `when`."""
        return self._compute(when, self.machine.server_handshake)

    def arrive(self, when: float, i: int) -> None:
        """A request is there."""
        rate = self.machine.server_rate
        if rate is None:
            self._admit(when, i)
            return
        self._tokens = min(self._capacity, self._tokens + (when - self._filled) * rate)
        self._filled = when
        if self._tokens < 1 and self.machine.retry_after is not None:
            self._answered(when, i, refused=True)
            return
        self._tokens -= 1
        self._at(when + max(0.0, -self._tokens) / rate, self._admit, i)

    def _admit(self, when: float, i: int) -> None:
        if self._places is None:
            self._begin(when, i)
        elif self._places > 0:
            self._places -= 1
            self._begin(when, i)
        else:
            self._waiting.append(i)

    def _begin(self, when: float, i: int) -> None:
        self._at(self._compute(when, self._half) + self._think[i], self._thought, i)

    def _thought(self, when: float, i: int) -> None:
        self._at(self._compute(when, self._half), self._leave, i)

    def _leave(self, when: float, i: int) -> None:
        if self._places is not None:
            self._places += 1
            if self._waiting:
                self._places -= 1
                self._begin(when, self._waiting.popleft())
        link = self.machine.link
        self._answered(serve(self._link, when, link) if link else when, i, refused=False)

    def _compute(self, when: float, seconds: float) -> float:
        if not seconds:
            return when
        self.busy += seconds
        return serve(self._cores, when, seconds)


def serve(free: list[float], when: float, seconds: float) -> float:
    """When a job that comes at `when` and takes `seconds` is done; `free` is a heap of when each server is free."""
    done = max(when, free[0]) + seconds
    heapreplace(free, done)
    return done


def thinks(samples: tuple[float, ...], n: int, seed: int) -> list[float]:
    """A think time for each of `n` requests: evenly spread quantiles of the samples, in an order that the seed shuffles.

    Args:
        samples: ascending, in seconds; empty: no time.
        n: of requests.
        seed: of the order.
    """
    if not samples:
        return [0.0] * n
    last = len(samples) - 1
    drawn = []
    for k in range(n):
        place = (k + 0.5) / n * (last + 1) - 0.5
        low = min(last, max(0, int(place)))
        high = min(last, low + 1)
        drawn.append(samples[low] + min(1.0, max(0.0, place - low)) * (samples[high] - samples[low]))
    Random(seed).shuffle(drawn)
    return drawn
