"""The loop's time on the critical path as accounts: garbage collections, waiting for a core, off the CPU, and classes of code."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from loopdiag.analysis.class_shares import counted, normalised
from loopdiag.analysis.loop_time import LoopTime
from loopdiag.analysis.outside import LOOP
from loopdiag.model.ledger import Step
from loopdiag.model.timeline import Pause, Timeline

#: time between the loop's clock and its thread's CPU clock counts from here on: below, it is the clocks' and the samples' own
NOISE_SHARE, NOISE_NS = 0.05, 2_000_000
#: samples that cover less of the trial do not speak for all of it
SAMPLED_SHARE = 0.8
#: of the loop's running time; a smaller part is not worth an account
LEAST_SHARE = 0.01
NO_PROFILE = "no profile: of the loop's time only TLS is told apart"


def loop_shares(timeline: Timeline, classes: Mapping[str, float] | None) -> tuple[dict[str, float], tuple[str, ...]]:
    """Account → share of the loop's running time without its collections, which add up to 1; and notes.

    Args:
        timeline: one trial.
        classes: class of code → share of the loop's CPU; None or empty: there is no profile.
    """
    waiting = off_cpu_shares(timeline)
    notes = () if classes else (NO_PROFILE,)
    code = normalised(classes, without=("gc",) if timeline.pauses else ()) if classes else {}
    running = 1.0 - sum(waiting.values())
    code = code or counted(timeline, running)
    return {**{f"{LOOP}/{name}": share * running for name, share in code.items()}, **waiting}, notes


def off_cpu_shares(timeline: Timeline) -> dict[str, float]:
    """What the loop's thread spent off the CPU while the loop ran, as shares of its running time: in the run queue, and otherwise.

    Only what is beyond noise.  From the thread's own clocks, over the time between their first sample and their last, where that is most of the trial; else from
    the process's, over all of it: other threads' CPU then hides as much of what is looked for.
    """
    loop = LoopTime.of(timeline)
    counted = _of_thread(timeline) or _of_process(timeline)
    if counted is None or not loop.seen:
        return {}
    first, last, cpu, run_queue = counted
    running = last - first - loop.slept_in(first, last)
    off = running - cpu
    if off <= max(NOISE_NS, NOISE_SHARE * running):
        return {}
    queued = min(off, run_queue)
    found = {"loop/run-queue": queued / running, "loop/off-cpu": (off - queued) / running}
    return {account: share for account, share in found.items() if share > LEAST_SHARE}


def _of_thread(timeline: Timeline) -> tuple[int, int, int, int] | None:
    """From when to when the loop's thread was sampled, its CPU and its wait for a core then; None where that is not most of the trial."""
    process = timeline.process
    if process is None or process.cpu_ns is None or process.first_ns is None or process.last_ns is None:
        return None
    most = process.last_ns - process.first_ns >= SAMPLED_SHARE * timeline.total_ns
    return (process.first_ns, process.last_ns, process.cpu_ns, process.run_queue_ns or 0) if most else None


def _of_process(timeline: Timeline) -> tuple[int, int, int, int] | None:
    """The same of the whole process, over the whole trial."""
    return None if timeline.cpu_ns is None else (0, timeline.total_ns, timeline.cpu_ns, timeline.run_queue_ns or 0)


def collected(steps: Sequence[Step], pauses: Sequence[Pause]) -> int:
    """Nanoseconds of the loop's steps in which the garbage collector ran."""
    ordered = sorted(pauses, key=lambda pause: pause.start_ns)
    starts = [pause.start_ns for pause in ordered]
    before = [0, *accumulate(pause.length_ns for pause in ordered)]

    def until(at_ns: int) -> int:
        index = bisect_right(starts, at_ns) - 1
        return 0 if index < 0 else before[index] + min(at_ns - starts[index], ordered[index].length_ns)

    return sum(until(step.end_ns) - until(step.start_ns) for step in steps if step.account == LOOP)


def rounded(whole: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`whole` in integers by shares that add up to 1; largest remainders make up what rounding leaves."""
    exact = {name: whole * share for name, share in shares.items()}
    found = {name: int(value) for name, value in exact.items()}
    left = whole - sum(found.values())
    by_remainder = sorted(exact, key=lambda name: (found[name] - exact[name], name))
    for place in range(abs(left)):
        found[by_remainder[place % len(by_remainder)]] += 1 if left > 0 else -1
    return found
