"""The phases of a critical request as accounts of the outside and of the loop, by the rules of the design's method §2."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from loopdiag.analysis.lag import SLACK_NS
from loopdiag.analysis.loop_time import LoopTime
from loopdiag.analysis.outside import LOOP, Piece, Ready, exactly, ran, shared, within
from loopdiag.analysis.phases import LOOP_BOUND
from loopdiag.model.timeline import Attempt, Connection, Jobs, Phase, Timeline

UNEXPLAINED = "unexplained"
#: phase of the outside → (its account, by how many iterations its end may be stamped late: where a task stamps it, the callback that woke it came before)
OUTSIDE: dict[str, tuple[str, int]] = {
    "dns": ("dns", 1),
    "lookup": ("dns", 1),
    "connect": ("connect", 1),
    "ssl": ("ssl", 0),
    "wait": ("server", 0),
    "receive": ("receive", 0),
}
#: what the server's own stamps tell at once
EXCHANGE = frozenset({"send", "wait", "kernel"})
#: phases that are the request's own work; in others that only the loop ends it is ready, and others run
OWN = frozenset({"prepare", "send", "decode", "finish"})
BOUND = LOOP_BOUND | {"decode", "due"}
#: so many attempts tell what a phase needs at least
SAMPLE = 2000
QUICK_PERCENTILE = 5
REFUSED = frozenset({429, 503})


@dataclass(frozen=True)
class Rules:
    """The rules, for one timeline.

    Attributes:
        loop: what the loop did.
        attempts: of the timeline.
        links: connections by number.
        calls: in executors, as (queued, started, ended), in the order in which they were made.
        repeated: requests that were made again after a refusal, (request, number of the refused attempt).
    """

    loop: LoopTime
    attempts: tuple[Attempt, ...]
    links: Mapping[int, Connection]
    calls: list[tuple[int, int, int]]
    repeated: frozenset[tuple[int, int]]
    _needed: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, timeline: Timeline) -> "Rules":
        """Those of the timeline."""
        jobs = timeline.jobs or Jobs()
        again = {(attempt.request, attempt.number - 1) for attempt in timeline.attempts if attempt.number}
        return cls(
            loop=LoopTime.of(timeline),
            attempts=timeline.attempts,
            links={link.number: link for link in timeline.connections},
            calls=sorted(zip(jobs.queued_ns, jobs.started_ns, jobs.ended_ns, strict=True)),
            repeated=frozenset(
                (each.request, each.number) for each in timeline.attempts if each.status in REFUSED and (each.request, each.number) in again
            ),
        )

    def pieces(self, attempt: Attempt, index: int, until_ns: int) -> tuple[int, list[Piece]]:
        """Share out the phase at `index` up to `until_ns`, together with those before it that one evidence tells about.

        Returns:
            The index of the first phase that was shared out, and its pieces in order, from that phase's start on.
        """
        phase = attempt.phases[index]
        if phase.name in EXCHANGE and attempt.server_received_ns is not None and attempt.server_answered_ns is not None:
            return self._exchange(attempt, index, until_ns)
        if phase.name == "unattributed":
            return self._unattributed(attempt, index, until_ns)
        start = phase.start_ns
        if phase.name in BOUND:
            pieces = self._bound(attempt, phase.name, start, until_ns)
        elif phase.name in OUTSIDE:
            pieces = self._handshake(attempt, start, until_ns) if phase.name == "ssl" else self._outside(attempt, phase, until_ns)
        elif phase.name == "kernel":  # the answer is there; a poll that sleeps on is about to return
            pieces = [Piece(start, until_ns, LOOP, own=False)]
        else:
            otherwise = "send" if phase.name == "send" else UNEXPLAINED
            pieces = ran(start, until_ns, self.loop, otherwise, own=phase.name in OWN)
        return index, pieces

    def _bound(self, attempt: Attempt, name: str, start: int, end: int) -> list[Piece]:
        """A phase that only the loop ends: its own while it ran; where it slept, a call in an executor, or the workload's own pause, may be why."""
        slept = self.loop.slept_in(start, end)
        if slept and (call := self._call(start, end)):
            queued, _, ended = call
            waiting = shared("executor", (queued, end), exactly(ended, queued, end), loop=self.loop, besides_ns=self._kept(attempt))
            return [*ran(start, queued, self.loop, UNEXPLAINED, own=name in OWN), *waiting]
        refused = (attempt.request, attempt.number) in self.repeated
        return ran(start, end, self.loop, "sleep" if refused else UNEXPLAINED, own=name in OWN)

    def _unattributed(self, attempt: Attempt, index: int, until_ns: int) -> tuple[int, list[Piece]]:
        """Time that no stamp shows; of what the phase rule took out of a phase that only the loop ends, the time in which the loop looked, and did not sleep, is the loop's."""
        lost, before = attempt.phases[index], attempt.phases[index - 1] if index else None
        if before is None or before.name not in BOUND:
            return index, [Piece(lost.start_ns, until_ns, UNEXPLAINED)]
        idle = self.loop.polled_in(before.start_ns, lost.end_ns)
        gap = max(0, min(until_ns, lost.end_ns) - lost.start_ns - idle)  # stamps are missing here
        border = until_ns - gap
        pieces = self._bound(attempt, before.name, before.start_ns, border)
        return index - 1, [*pieces, *([Piece(border, until_ns, UNEXPLAINED)] if gap else [])]

    def _exchange(self, attempt: Attempt, index: int, until_ns: int) -> tuple[int, list[Piece]]:
        """From the first byte sent to the first one read, where the server says when it had the request and when it answered."""
        first = index
        while first and attempt.phases[first - 1].name in EXCHANGE:
            first -= 1
        phases = attempt.phases[first : index + 1]
        start = phases[0].start_ns
        sent = max((phase.end_ns for phase in phases if phase.name == "send"), default=start)
        received = min(max(attempt.server_received_ns or 0, start), until_ns)
        written = min(sent, received)
        kernel = attempt.stamps.get("rx_kernel")
        answered = attempt.server_answered_ns or 0
        ready = exactly(max(answered, min(kernel, until_ns)) if kernel is not None else answered, written, until_ns)
        return first, [
            *ran(start, written, self.loop, "send", own=True),
            *shared("server", (written, until_ns), ready, loop=self.loop, besides_ns=self._kept(attempt)),
        ]

    def _handshake(self, attempt: Attempt, start: int, end: int) -> list[Piece]:
        """A TLS handshake: this side's CPU at both ends is its own work; between them is the only wait for the peer."""
        cpu = self._handshake_cpu(attempt, end - start)
        sent, read = start + cpu // 2, end - (cpu - cpu // 2)
        ready = within(sent, read, self.loop.waited(read, OUTSIDE["ssl"][1]), self._needs("ssl"))
        own = [Piece(start, sent, LOOP)] if sent > start else []
        return [
            *own,
            *shared("ssl", (sent, read), ready, loop=self.loop, besides_ns=self._kept(attempt)),
            *([Piece(read, end, LOOP)] if end > read else []),
        ]

    def _handshake_cpu(self, attempt: Attempt, length: int) -> int:
        link = self.links.get(attempt.connection or 0)
        return min(length, (link.tls_cpu_ns or 0) if link else 0)

    def _outside(self, attempt: Attempt, phase: Phase, until_ns: int) -> list[Piece]:
        start = phase.start_ns
        account, behind = OUTSIDE[phase.name]
        if phase.name == "dns" and (call := self._call(start, until_ns, first=True)):
            return self._looked_up(attempt, start, call, until_ns)
        ready = self._told(attempt, phase, until_ns) or within(
            start, until_ns, self._waited(phase.name, start, until_ns, behind), self._needs(phase.name)
        )
        return shared(account, (start, until_ns), ready, loop=self.loop, besides_ns=self._kept(attempt))

    def _told(self, attempt: Attempt, phase: Phase, until_ns: int) -> Ready | None:
        """When the answer was ready, where a stamp of the kernel's or of the server's tells."""
        if phase.name == "wait" and "rx_kernel" in attempt.stamps:
            return exactly(attempt.stamps["rx_kernel"], phase.start_ns, until_ns)
        if phase.name == "receive":
            last = attempt.stamps.get("rx_last", attempt.server_ended_ns)
            return None if last is None else exactly(last, phase.start_ns, until_ns)
        return None

    def _waited(self, name: str, start: int, end: int, behind: int) -> tuple[int, int | None]:
        """As `LoopTime.waited`; a body may have waited for all of its phase, since some clients read on only when they are asked to."""
        least, most = self.loop.waited(end, behind)
        return least, end - start if name == "receive" and most is not None else most

    def _looked_up(self, attempt: Attempt, start: int, call: tuple[int, int, int], end: int) -> list[Piece]:
        """A look-up in an executor, whose thread says when it began and ended."""
        queued, started, ended = call
        whole = shared("dns", (start, end), exactly(ended, start, end), loop=self.loop, besides_ns=self._kept(attempt))
        border = min(max(started, start), whole[0].end_ns) if whole and whole[0].account == "dns" else start
        waiting = [Piece(start, border, "executor")] if started - queued > SLACK_NS and border > start else []
        rest = [piece._replace(start_ns=max(piece.start_ns, border)) for piece in whole] if waiting else whole
        return [*waiting, *(piece for piece in rest if piece.end_ns > piece.start_ns)]

    def _call(self, start: int, end: int, *, first: bool = False) -> tuple[int, int, int] | None:
        """A call in an executor that was made and ended in the stretch, as (queued, started, ended): the one that ended last, or the first one made."""
        low, high = bisect_left(self.calls, (start - SLACK_NS,)), bisect_left(self.calls, (end + 1,))
        found = [call for call in self.calls[low:high] if call[2] <= end + SLACK_NS]
        if not found:
            return None
        queued, started, ended = min(found) if first else max(found, key=lambda call: call[2])
        return max(queued, start), max(started, start), min(ended, end)

    def _kept(self, attempt: Attempt) -> int:
        """How long the loop kept the attempt waiting in phases that only the loop ends, or ran for it."""
        return sum(phase.end_ns - phase.start_ns for phase in attempt.phases if phase.name in BOUND or phase.name == "kernel")

    def _needs(self, name: str) -> int:
        """What the outside needs for this phase at least: a low percentile over attempts of its length less what the loop may have kept it waiting."""
        if name not in self._needed:
            step = -(-len(self.attempts) // SAMPLE)
            needed = [
                max(0, self._length(attempt, phase)) for attempt in self.attempts[::step] for phase in attempt.phases if phase.name == name
            ]
            self._needed[name] = int(np.percentile(needed, QUICK_PERCENTILE)) if needed else 0
        return self._needed[name]

    def _length(self, attempt: Attempt, phase: Phase) -> int:
        length = phase.end_ns - phase.start_ns
        cpu = self._handshake_cpu(attempt, length) if phase.name == "ssl" else 0
        _, most = self.loop.waited(phase.end_ns - (cpu - cpu // 2), OUTSIDE[phase.name][1])
        return length - cpu - (most or 0)
