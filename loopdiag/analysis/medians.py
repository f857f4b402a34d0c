"""What an arm's timelines say in one figure each: phases, reuse, the loop's lag, at the largest N."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from loopdiag.model.diagnosis import LoopLag
from loopdiag.model.timeline import Attempt, Lag, Timeline


def largest(timelines: list[Timeline]) -> list[Timeline]:
    """Those of the largest N."""
    n = max((line.n for line in timelines), default=0)
    return [line for line in timelines if line.n == n]


def reused(timelines: list[Timeline]) -> float | None:
    """Share of attempts that found a connection that had served before."""
    attempts = [attempt for line in timelines for attempt in line.attempts]
    return sum("reused" in attempt.flags for attempt in attempts) / len(attempts) if attempts else None


def phases(timelines: list[Timeline]) -> dict[str, float]:
    """Median milliseconds of each phase per attempt; a phase that an attempt did not go through counts as 0 there."""
    spent: dict[str, list[float]] = defaultdict(list)
    attempts = [attempt for line in timelines for attempt in line.attempts]
    for attempt in attempts:
        own: dict[str, int] = defaultdict(int)
        for phase in attempt.phases:
            own[phase.name] += phase.end_ns - phase.start_ns
        for name, length in own.items():
            spent[name].append(length / 1e6)
    return {name: float(np.median(lengths + [0.0] * (len(attempts) - len(lengths)))) for name, lengths in spent.items()}


def loop_lag(timelines: list[Timeline]) -> LoopLag | None:
    """The loop's lag over trials of one N; None where no trial has an account of it."""
    accounts = [(line.lag, line.total_ns) for line in timelines if line.lag is not None]
    if not accounts:
        return None

    def milliseconds(field: Callable[[Lag], int]) -> float:
        return float(np.median([field(account) / 1e6 for account, _ in accounts]))

    attempts = [attempt for line in timelines for attempt in line.attempts]
    return LoopLag(
        n=timelines[0].n,
        running_share=float(np.median([account.running_ns / total_ns if total_ns else 0.0 for account, total_ns in accounts])),
        blocked_ms=milliseconds(lambda account: account.blocked_ns),
        blocked=float(np.median([account.blocked for account, _ in accounts])),
        longest_ms=milliseconds(lambda account: account.longest_ns),
        expected_wait_ms=milliseconds(lambda account: account.expected_wait_ns),
        kernel_ms=_median_ms(attempts, _kernel_wait),
        first_byte_low_ms=_median_ms(attempts, lambda attempt: attempt.lag_low_ns),
        first_byte_high_ms=_median_ms(attempts, lambda attempt: attempt.lag_high_ns),
    )


def _kernel_wait(attempt: Attempt) -> int | None:
    received, read = attempt.stamps.get("rx_kernel"), attempt.stamps.get("first_byte")
    return None if received is None or read is None else max(0, read - received)


def _median_ms(attempts: list[Attempt], field: Callable[[Attempt], int | None]) -> float | None:
    """Median in milliseconds over the attempts in which it was observed."""
    seen = [value / 1e6 for value in map(field, attempts) if value is not None]
    return float(np.median(seen)) if seen else None
