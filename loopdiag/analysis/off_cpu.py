"""How long callbacks held the event loop while its thread waited for something."""

from loopdiag.model.timeline import Lag, Timeline

#: a shorter poll found something ready, and put no thread to sleep
SHORT_POLL_NS = 20_000
#: voluntary switches a request, beside those of the polls, that a blocking call shows
WAITS = 0.3
#: of the running time, from which on it is believed of a trial too short for two samples of the thread: nothing tells blocking from a stolen core there
UNSAMPLED_SHARE = 0.25


def off_cpu_ms(timeline: Timeline) -> float | None:
    """How long callbacks held the loop while its thread waited, in ms; None: not observed.

    The thread's clock was read between two iterations only, so that the end of the trial may lie outside of what it counted.  A thread that gave the core up
    of itself was switched away voluntarily; one that was kept from it (a throttled or stolen core) was not, and has not blocked.
    """
    lag, process, loops = timeline.lag, timeline.process, timeline.iterations
    if lag is None or loops is None:
        return None
    if process is None or process.cpu_ns is None:
        return _unsampled_ms(timeline, lag)
    since, until = process.first_ns or 0, process.last_ns if process.last_ns is not None else timeline.total_ns
    inside = [
        (max(0, min(start + poll + run, until) - max(start + poll, since)), poll > SHORT_POLL_NS and since <= start <= until)
        for start, poll, run in zip(loops.start_ns, loops.poll_ns, loops.run_ns, strict=True)
    ]
    running, polls = sum(run for run, _ in inside), sum(slept for _, slept in inside)
    if process.waits is not None and process.waits - polls < WAITS * timeline.n * (until - since) / timeline.total_ns:
        return 0.0
    return max(0, running - process.cpu_ns - (process.run_queue_ns or 0)) * lag.running_ns / max(running, 1) / 1e6


def _unsampled_ms(timeline: Timeline, lag: Lag) -> float | None:
    """The same from what the whole process spent in the trial: too little where other threads computed, too."""
    if timeline.cpu_ns is None:
        return None
    off = lag.running_ns - timeline.cpu_ns - (timeline.run_queue_ns or 0)
    return off / 1e6 if off >= UNSAMPLED_SHARE * lag.running_ns else 0.0
