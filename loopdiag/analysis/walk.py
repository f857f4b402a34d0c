"""A walk along the critical path of a trial: from the request that finished last back to t0, through whoever each request waited for."""

from loopdiag.analysis.outside import LOOP, Piece, ran
from loopdiag.analysis.path_phases import UNEXPLAINED, Rules
from loopdiag.analysis.releases import Releases
from loopdiag.model.ledger import Step
from loopdiag.model.scenario import Workload
from loopdiag.model.timeline import Attempt, Phase, Timeline

#: (index of the attempt that the path goes on with, how it got there)
Hop = tuple[int, str]


class Walk:
    """One walk from the end of the trial to its begin."""

    def __init__(self, timeline: Timeline, workload: Workload) -> None:
        self._attempts, self._open = timeline.attempts, workload.kind == "open"
        self._rules, self._releases = Rules.of(timeline), Releases(timeline.attempts)
        self._loop = self._rules.loop
        self._numbered = {(attempt.request, attempt.number): index for index, attempt in enumerate(timeline.attempts)}
        self._openers = {attempt.connection: i for i, attempt in enumerate(self._attempts) if self._opened(attempt)}
        self._at = timeline.total_ns
        self._via = ""
        self._backwards: list[Step] = []

    def _opened(self, attempt: Attempt) -> bool:
        link = self._rules.links.get(attempt.connection or 0)
        return link is not None and link.request == attempt.request

    def steps(self) -> tuple[Step, ...]:
        """Walk, and return the steps in order of time."""
        hop = self._last()
        entered: dict[int, int] = {}
        while self._at > 0 and hop is not None:
            index, via = hop
            self._via = self._via or via
            if entered.get(index, self._at + 1) <= self._at:
                break  # in a circle: who waits for whom is not what the stamps say
            entered[index] = self._at
            hop = self._through(index)
        self._charge([Piece(0, self._at, UNEXPLAINED)], None)
        return tuple(reversed(self._backwards))

    def _last(self) -> Hop | None:
        """Where the path ends: the attempt that was over last."""
        last = max(range(len(self._attempts)), key=lambda index: over(self._attempts[index]), default=None)
        if last is None:
            return None
        self._ran(over(self._attempts[last]), None)
        return last, ""

    def _through(self, index: int) -> Hop | None:
        """Back through the attempt's phases; returns where the path leaves it."""
        attempt = self._attempts[index]
        place = len(attempt.phases) - 1
        while place >= 0:
            phase = attempt.phases[place]
            if self._outside(attempt, phase):
                break
            if phase.start_ns < self._at:
                until = min(phase.end_ns, self._at)
                self._ran(until, attempt.request)
                if hop := self._left(attempt, index, phase, until):
                    return hop
                place, pieces = self._rules.pieces(attempt, place, until)
                self._charge(pieces, attempt.request)
            place -= 1
        return self._before(attempt, index)

    def _outside(self, attempt: Attempt, phase: Phase) -> bool:
        """Whether what happened in the phase, and before it, is looked for elsewhere than in the attempt."""
        del attempt, phase
        return False

    def _left(self, attempt: Attempt, index: int, phase: Phase, until: int) -> Hop | None:
        """Where the path leaves a phase in which the request waited for another one; the loop's time since that one ended is charged."""
        found: tuple[int, int] | None = None
        via = {"pool": "pool", "shared": "connection", "stream": "stream"}.get(phase.name, "")
        if phase.name == "pool":
            found = self._releases.slot(attempt, index, phase.start_ns, until)
        elif phase.name == "stream":
            found = self._releases.stream(attempt, index, phase.start_ns, until)
        elif phase.name == "shared":
            found = self._opening(attempt, index, phase, until)
        elif phase.name == "start" and not self._loop.seen:  # it waited for a thread, which another request had until then
            found, via = self._releases.turn(index, until, phase.start_ns), "worker"
        if found is None:
            return None
        when, who = found
        self._ran(when, attempt.request)
        return who, via

    def _opening(self, attempt: Attempt, index: int, phase: Phase, until: int) -> tuple[int, int] | None:
        """When the connection that another request opens was made, and whose it is."""
        opener = self._openers.get(attempt.connection)
        link = self._rules.links.get(attempt.connection or 0)
        if opener is None or opener == index or link is None:
            return None
        made = link.stamps.get("made", until)
        return (min(made, until), opener) if made > phase.start_ns else None

    def _before(self, attempt: Attempt, index: int) -> Hop | None:
        """What came before the attempt: the one before it of the same request, the schedule, or whoever ended so that it could begin."""
        if attempt.number and (before := self._numbered.get((attempt.request, attempt.number - 1))) is not None:
            self._ran(min(self._at, over(self._attempts[before])), attempt.request)
            return before, ""
        if self._open:
            self._via = self._via or "schedule"
            self._charge([Piece(0, self._at, "pacing")], None)
            return None
        found = self._releases.turn(index, self._at)
        self._ran(found[0] if found else 0, None)
        return (found[1], "worker") if found else None

    def _ran(self, start: int, request: int | None) -> None:
        """Charge the time from `start` to where the path is now, in which only the loop could be waited for."""
        if start < self._at:
            self._charge(ran(max(0, start), self._at, self._loop, UNEXPLAINED, own=False), request)

    def _charge(self, pieces: list[Piece], request: int | None) -> None:
        for piece in reversed(pieces):
            start, end = max(0, piece.start_ns), min(piece.end_ns, self._at)
            if start >= end:
                continue
            self._backwards.append(
                Step(
                    start_ns=start,
                    end_ns=end,
                    account=piece.account,
                    request=request,
                    own=piece.own or piece.account != LOOP,
                    via=self._via,
                    least_ns=piece.least_ns,
                    most_ns=piece.most_ns,
                )
            )
            self._via, self._at = "", start


def over(attempt: Attempt) -> int:
    """When the attempt was over, as far as its phases tell."""
    return attempt.phases[-1].end_ns if attempt.phases else 0
