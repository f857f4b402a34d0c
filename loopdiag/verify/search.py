"""One arm: the most promising cause first; what is confirmed and a remedy stays, and the next cause is tried on top of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as narrowed

from msgspec.structs import replace

from loopdiag.analysis.effects import rounds_needed
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.slope import slope
from loopdiag.errors import LoopdiagError
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.law import Estimate, NotEnough
from loopdiag.model.scenario import Scenario
from loopdiag.verify.bench import Bench, Costs, costs, values
from loopdiag.verify.doses import inject
from loopdiag.verify.hypotheses import Causes, Found
from loopdiag.verify.outcomes import Outcome
from loopdiag.verify.record import Attempt, Dose, Sweep, Untried

#: what of the slope an adopted change must at least take away for the search to go on
WORTH = 0.05
#: of an arm's time, kept for measuring the prescription at the other N
SWEEP_SHARE = 0.2
#: causes that share what is left at most: the first one gets no less than half
SHARED_BY = 3
#: a change that is predicted to leave more than this of the slope is not tried by itself
SOME_OF = 0.98
ALONE = "the replay says that its change alone takes nothing of the slope away"
JOINT_SHARE = 0.1  # what both of two causes must claim to be tried together, where neither helps alone


@dataclass
class ArmSearch:
    """The search in one arm.

    Attributes:
        evidence: of the run, later of the last adopted treated trials.
        found: causes still to be tried, in no order.
        again: evidence of a treated side, from its folder; None where it does not carry.
    """

    bench: Bench
    causes: Causes
    judge: Callable[[Evidence], Found]
    again: Callable[[str, Scenario], Evidence | None]
    first: Evidence
    found: tuple[Attribution, ...]
    budget_s: float
    attempts: list[Attempt] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    untried: list[Untried] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    doses: list[Dose] = field(default_factory=list)
    interrupted: bool = False

    def __post_init__(self) -> None:
        """Begin with nothing changed."""
        self.evidence, self.scenario = self.first, self.first.scenario
        self.upon: tuple[str, ...] = ()
        self.ns: tuple[int, ...] = ()
        self._base_totals = self.first.points
        self._done: set[str] = set()  # confirmed, or not to be tried again
        self._here: set[str] = set()  # tried on top of what is adopted now
        self._alone: list[str] = []  # remedies that alone do nothing: as the replay says, and later as was seen
        self._ends_s = self.bench.world.clock() + min(self.budget_s, self.bench.left_s())

    @property
    def arm(self) -> str:
        """Its name."""
        return self.first.arm.name

    def left_s(self) -> float:
        """What is left of the arm's time."""
        return max(0.0, self._ends_s - self.bench.world.clock())

    def through(self) -> None:
        """Try what there is, until nothing is left, too little is gained, or the time is over."""
        while not self.interrupted and (claim := self._next()) is not None:
            made = self._try(claim)
            if made is not None and made.adopted:
                self._adopt(made)
                if made.gain < WORTH:
                    break
        if not self.interrupted and not self.upon:
            self._together()
        if not self.interrupted and self.upon:
            self._sweep()
        if not self.interrupted:
            self._doses()
        self._tell_rest()

    # -- one attempt

    def _next(self) -> Attribution | None:
        """The most promising one that was not tried here."""
        left = [claim for claim in self.found if claim.cause in self.causes and claim.cause not in self._done | self._here]
        return max(left, key=lambda claim: claim.share.value, default=None)

    def _try(self, claim: Attribution) -> Outcome | None:
        """Run one cause's intervention; None where it was not run."""
        self._here.add(claim.cause)
        change = self._intervention(claim.cause, self.scenario)
        if change is None:
            return None
        waiting = sum(1 for other in self.found if other.cause not in self._done | self._here)
        budget_s = self.left_s() * (1 - SWEEP_SHARE * change.remedy) / (1 + 0.5 * min(waiting, SHARED_BY - 1))
        value = claim.predicted
        ratio = value.value / self.evidence.slope.value if value is not None and self.evidence.slope.value > 0 else 1.0
        if not (ns := self._fitting(claim.cause, change, ratio, budget_s)):
            return None
        predicted, expected, shows = self._predicted(claim, ns)
        idle = predicted is not None and expected is not None and _step(claim) is None and predicted.value > SOME_OF * expected
        if idle or not shows:
            self._skip(
                claim.cause, "NOT_TRIED", ALONE if idle and not self.upon else f"up to N = {ns[-1]} it takes hardly any of this slope"
            )
            if idle and change.remedy:
                self._alone.append(claim.cause)
            return None
        attempt = self._attempt(claim.cause, change, ns, predicted, expected)
        return self._run(replace(attempt, offset=_step(claim)), change, ratio, budget_s)

    def _fitting(self, cause: str, change: Intervention, ratio: float, budget_s: float) -> tuple[int, ...]:
        """The N at which the intervention can be compared; () and a reason where it cannot be run."""
        if why := self.bench.why_not(self.scenario, change.scenario):
            self._skip(cause, "NOT_TRIED", why)
            return ()
        ns = self._values(self._costs(ratio, budget_s))
        if not ns:
            self._skip(cause, "NOT_TRIED", f"two values of N on both sides take longer than the {budget_s:.0f} s that were left")
        return ns

    def _attempt(  # noqa: PLR0913, PLR0917 - what an attempt is told by
        self,
        cause: str,
        change: Intervention,
        ns: tuple[int, ...],
        predicted: Estimate | None,
        expected: float | None,
        also: tuple[str, ...] = (),
    ) -> Attempt:
        return Attempt(
            arm=self.arm,
            cause=cause,
            also=also,
            upon=self.upon,
            changes=change.changes,
            remedy=change.remedy,
            predicted=predicted,
            expected=expected,
            ns=ns,
            folder=self.bench.place(self.arm, cause),
        )

    def _run(self, attempt: Attempt, change: Intervention, ratio: float, budget_s: float) -> Outcome:
        claimed = None if attempt.predicted is None or attempt.expected is None else attempt.predicted.value - attempt.expected
        most = rounds_needed(self._base_totals, attempt.ns, claimed)
        made, self.interrupted = self.bench.attempt(attempt, self.scenario, change.scenario, self._costs(ratio, budget_s), most)
        self.attempts.append(attempt)
        self.outcomes.append(made)
        if made.verdict == "CONFIRMED":
            self._done.update({attempt.cause, *attempt.also})
        return made

    def _intervention(self, cause: str, scenario: Scenario) -> Intervention | None:
        """What the cause would change; a reason is kept where there is nothing, or it fails."""
        try:
            made = self.causes[cause].intervene(scenario, self.evidence)
        except Exception as error:  # noqa: BLE001 - a cause's defect must not cost the others their verdicts
            self._skip(cause, "NOT_TRIED", f"its intervention failed: {type(error).__name__}: {error}")
            return None
        if made is None:
            self._skip(cause, "NOT_APPLICABLE", "nothing can be changed from this side")
        return made

    def _costs(self, ratio: float, budget_s: float) -> Costs:
        return costs(self._base_totals, ratio, self.bench.process_s(self.arm), budget_s)

    def _values(self, cost: Costs) -> tuple[int, ...]:
        """The N to compare at: chosen once, so that all slopes of the arm's attempts are over the same ones; fewer where time runs out."""
        pace_s = self.bench.pace_s(self.scenario)
        if not self.ns:
            known = sorted(n for n, totals in self._base_totals.items() if totals)
            self.ns = values(known, self.first.scenario.verify.values, cost, pace_s)
            return self.ns
        return self.ns if cost.bears(self.ns, pace_s) else values(self.ns, len(self.ns), cost, pace_s)

    def _predicted(self, claim: Attribution, ns: tuple[int, ...]) -> tuple[Estimate | None, float | None, bool]:
        """The slope that the cause predicts over the N that will be compared, the one that it starts from, and whether the cause shows there at all.

        A limit of 100 says nothing about N up to 80: where only these can be paid for, there is nothing to try.
        """
        points = {n: self.evidence.points[n] for n in ns if n in self.evidence.points}
        over = slope(points) if len(points) > 1 else None
        here = self.evidence if over is None else narrowed(self.evidence, points=points, slope=over)
        try:
            again = self.causes[claim.cause].attribute(here)
        except Exception:  # noqa: BLE001 - what it said of the whole sweep stands
            again = NotEnough(why="")
        if isinstance(again, Attribution) and again.predicted is not None and _step(claim) is None:
            return again.predicted, here.slope.value, again.share.value >= WORTH or here is self.evidence
        of_run = claim.predicted if self.evidence is self.first else None
        return of_run, None if of_run is None else self.first.slope.value, again is not None

    # -- composing

    def _adopt(self, made: Outcome) -> None:
        """Keep a confirmed change: the treated side is the new base, and is diagnosed again."""
        assert made.scenario is not None
        self.scenario = replace(made.scenario, sweep=self.first.scenario.sweep, verify=self.first.scenario.verify)
        self.upon = (*self.upon, made.attempt.cause, *made.attempt.also)
        self._base_totals = made.treated
        self._here = set()
        fresh = self.again(made.attempt.folder, self.scenario)
        if fresh is not None:
            self.evidence = fresh
            seen = {claim.cause: claim for claim in self.judge(fresh).found}
            refuted = {made.attempt.cause for made in self.outcomes if made.verdict == "REFUTED"}
            kept = {claim.cause: claim for claim in self.found if claim.cause not in refuted}
            self.found = tuple((kept | seen).values())

    def _together(self) -> None:
        """Where no remedy helps alone: the two largest at once, because one may hide what the other does."""
        self._alone += [made.attempt.cause for made in self.outcomes if made.attempt.remedy]
        claims = sorted((each for each in self.found if each.cause in self._alone), key=lambda each: -each.share.value)
        pair = [claim.cause for claim in claims if claim.share.value >= JOINT_SHARE][:2]
        if len(pair) < 2:
            return
        one = self._intervention(pair[0], self.scenario)
        both = None if one is None else self._intervention(pair[1], one.scenario)
        if one is None or both is None:
            return
        change = Intervention(scenario=both.scenario, changes=(*one.changes, *both.changes))
        budget_s = self.left_s() * (1 - SWEEP_SHARE)
        ns = self._fitting(pair[0], change, 1.0, budget_s)
        if ns:
            made = self._run(self._attempt(pair[0], change, ns, None, None, (pair[1],)), change, 1.0, budget_s)
            if made.adopted:
                self._adopt(made)

    def _sweep(self) -> None:
        """Measure the prescription at the run's other N, ascending, as far as the time goes."""
        last = next(made for made in reversed(self.outcomes) if made.adopted)
        ratio = 1 - last.gain
        cost = costs(self.first.points, ratio, self.bench.process_s(self.arm), self.left_s()).treated
        chosen: list[int] = []
        for n in sorted(set(self.first.points) - set(last.treated)):
            if 2 * sum(cost[m] for m in [*chosen, n]) + cost[min([*chosen, n])] <= self.left_s():
                chosen.append(n)
        if chosen:
            place = self.bench.place(self.arm, "prescription")
            self.interrupted = self.bench.sweep(place, self.scenario, tuple(chosen), cost, self.left_s())
            self.sweeps.append(Sweep(arm=self.arm, folder=place))

    def _doses(self) -> None:
        """What cannot be taken away is made longer instead: the largest cause without an intervention, in what time is left."""
        fixed = {entry.cause for entry in self.untried if entry.verdict == "NOT_APPLICABLE"}
        claim = max((each for each in self.found if each.cause in fixed), key=lambda each: each.share.value, default=None)
        if claim is not None:
            dose, self.interrupted = inject(self.bench, claim, self.first, self.left_s())
            self.doses += [] if dose is None else [dose]

    # -- what was not tried

    def _skip(self, cause: str, verdict: str, why: str) -> None:
        if any(entry.cause == cause for entry in self.untried) or any(made.cause == cause for made in self.attempts):
            return
        self.untried.append(Untried(arm=self.arm, cause=cause, verdict=verdict, why=why))  # type: ignore[arg-type] # one of the two

    def _tell_rest(self) -> None:
        """Each cause that was found and not tried gets its reason."""
        for claim in self._rest():
            why = "interrupted" if self.interrupted else "the changes before it left too little to gain"
            self._skip(claim.cause, "NOT_TRIED", why)

    def _rest(self) -> Iterator[Attribution]:
        tried = {name for made in self.attempts for name in (made.cause, *made.also)}
        yield from (claim for claim in self.found if claim.cause in self.causes and claim.cause not in tried)


def _step(claim: Attribution) -> Estimate | None:
    """What of the total a cause claims that claims hardly any of the slope."""
    return claim.offset_ms if claim.share.value < WORTH else None


def reason(error: BaseException) -> str:
    """One line of an exception."""
    return "; ".join(error.faults) if isinstance(error, LoopdiagError) else f"{type(error).__name__}: {error}"
