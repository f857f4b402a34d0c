"""Verification: each cause's intervention is run beside its base, and what it does to the slope decides.

`verify` runs what the time bears and leaves it in the run's folder; `told` reads the folder and gives the causes their verdicts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loopdiag.analysis.evidence import Evidence
from loopdiag.lab.campaign import WORLD, World
from loopdiag.lab.targets import Targets
from loopdiag.lab.watching import Progress, Silent
from loopdiag.model.attribution import Attribution
from loopdiag.model.recording import Recording
from loopdiag.model.scenario import Scenario
from loopdiag.verify import record
from loopdiag.verify.bench import Bench
from loopdiag.verify.hypotheses import Causes, Found
from loopdiag.verify.record import Untried, Verified
from loopdiag.verify.search import ArmSearch, reason

Judge = Callable[[Evidence], Found]
Again = Callable[[Path, Scenario], Evidence | None]


@dataclass(frozen=True, kw_only=True)
class Hypotheses:
    """What causes there are, what they say, and how a treated side is diagnosed again.

    Attributes:
        causes: by name.
        judge: the causes that evidence shows, largest share first.
        again: evidence of a sub-recording in a folder, whose scenario is given; None where it does not carry.
    """

    causes: Causes
    judge: Judge
    again: Again


@dataclass
class _Told:
    """What the arms gave so far, put on disk after each."""

    folder: Path
    done: list[ArmSearch] = field(default_factory=list)
    untried: list[Untried] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False

    def save(self) -> Verified:
        made = Verified(
            attempts=tuple(each for search in self.done for each in search.attempts),
            untried=(*(each for search in self.done for each in search.untried), *self.untried),
            sweeps=tuple(each for search in self.done for each in search.sweeps),
            doses=tuple(each for search in self.done for each in search.doses),
            warnings=tuple(self.warnings),
            interrupted=self.interrupted,
        )
        record.save(self.folder, made)
        return made


def verify(  # noqa: PLR0913 - the run, its evidence, what it may cost, who watches
    folder: Path,
    recording: Recording,
    evidence: Mapping[str, Evidence],
    found: Mapping[str, Found],
    hypotheses: Hypotheses,
    *,
    budget_s: float,
    live: bool = False,
    progress: Progress | None = None,
    world: World = WORLD,
) -> Verified:
    """Run the interventions of the causes that were found, the most promising arm first, and leave what was done under ``folder/verify``.

    Half of the time is shared equally by the arms, half by what their largest causes claim; what one leaves falls to the others.  Ctrl-C ends it with what
    ended kept.

    Args:
        folder: of the run.
        recording: the run.
        evidence: arm → what its causes were judged by.
        found: arm → its judgement.
        hypotheses: the causes.
        budget_s: of everything.
        live: whether requests may go to a live target.
        progress: who watches.
        world: for tests.

    Raises:
        InputError: the folder cannot be written.
    """
    watch, told = progress or Silent(), _Told(folder)
    order = sorted((arm for arm in found if _to_try(found[arm])), key=lambda arm: -_promise(evidence[arm], found[arm]))
    with Targets(world.start) as targets:
        bench = Bench(folder, recording, world.clock() + budget_s, targets, live=live, progress=watch, world=world)
        watch.begin(budget_s, "verifying")
        try:
            for at, arm in enumerate(order):
                if not told.interrupted:
                    part = _part([_promise(evidence[other], found[other]) for other in order[at:]])
                    _through(_search(bench, evidence[arm], found[arm], hypotheses, bench.left_s() * part), told)
        except KeyboardInterrupt:  # between two trials
            told.interrupted = True
        finally:
            watch.end()
    for arm in set(order) - {search.arm for search in told.done}:
        told.untried += [Untried(arm=arm, cause=claim.cause, verdict="NOT_TRIED", why="interrupted") for claim in _to_try(found[arm])]
    return told.save()


def _through(search: ArmSearch, told: _Told) -> None:
    """Search one arm, and leave what it gave on disk; a defect there costs the other arms nothing, and is told."""
    told.done.append(search)
    try:
        search.through()
    except KeyboardInterrupt:
        search.interrupted = True
    except Exception as error:  # noqa: BLE001 - see above
        told.warnings.append(f"{search.arm}: verification ended early: {reason(error)}")
    told.interrupted = told.interrupted or search.interrupted
    told.save()


def _search(bench: Bench, evidence: Evidence, judged: Found, hypotheses: Hypotheses, budget_s: float) -> ArmSearch:
    def again(place: str, scenario: Scenario) -> Evidence | None:
        return hypotheses.again(bench.folder / place / record.TREATED, scenario)

    return ArmSearch(
        bench=bench,
        causes=hypotheses.causes,
        judge=hypotheses.judge,
        again=again,
        first=evidence,
        found=_to_try(judged),
        budget_s=budget_s,
    )


def _to_try(judged: Found) -> tuple[Attribution, ...]:
    """The causes of a judgement; that nothing grows is none to be tried."""
    return tuple(claim for claim in judged.found if claim.side != "none")


def _part(promises: Sequence[float]) -> float:
    """Of the time that is left, the first arm's part."""
    whole = sum(promises)
    return (1 / len(promises) + (promises[0] / whole if whole > 0 else 1 / len(promises))) / 2


def _promise(evidence: Evidence, judged: Found) -> float:
    """How many ms per request the largest cause of the arm claims."""
    return max(claim.share.value for claim in judged.found) * max(0.0, evidence.slope.value)
