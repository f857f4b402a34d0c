"""The rows one after the other, each kept in its folder, so that a campaign can be taken up again and its misses can be looked at."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from loopdiag.errors import InputError, LoopdiagError, NothingMeasured
from loopdiag.lab import store
from loopdiag.model.diagnosis import Diagnosis, Verdict
from loopdiag.model.scenario import Scenario
from loopdiag.model.value import Value
from loopdiag.selftest import scoring
from loopdiag.selftest.matrix import told
from loopdiag.selftest.rates import Summary, summary
from loopdiag.selftest.row import Effort, Row, scenario
from loopdiag.selftest.scoring import Score
from loopdiag.selftest.steps import Real, Steps, busy_core

SUMMARY, MATRIX = "selftest.json", "selftest.txt"
Say = Callable[[str], None]


class Done(Value, frozen=True, kw_only=True):
    """Beside a row's folder when it was run to its end: what was run, and what its diagnosis does not hold."""

    scenario: Scenario
    busy: bool = False
    leaks: bool = False


def silent(_: str) -> None:
    """Say nothing."""


@dataclass
class Campaign:
    """A self-test in a folder.

    Attributes:
        folder: where each row has its run's folder, and the summary goes.
        effort: how much is spent on a row.
        again: what was recorded is diagnosed again, and nothing is run.
        steps: how a row is run.
        say: takes a line of progress.
    """

    folder: Path
    effort: Effort
    again: bool = False
    steps: Steps = field(default_factory=Real)
    say: Say = silent

    def through(self, rows: Sequence[Row], *, command: str = "") -> Summary:
        """Run all rows, or those up to Ctrl-C, and leave the summary in the folder.

        Raises:
            InputError: the folder cannot be written.
            NothingMeasured: not one row could be run.
        """
        started, scores, partial = datetime.now(UTC), [], False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {self.folder}: cannot be made: {error.strerror}") from error
        try:
            for made in self._scores(rows):
                scores.append(made)  # noqa: PERF402 - what was scored before Ctrl-C is kept
        except KeyboardInterrupt:
            partial = True
        if not partial and all(made.outcome == "not run" for made in scores):
            raise NothingMeasured("no row of the self-test could be run", *(f"{made.row.name}: {made.why}" for made in scores[:5]))
        found = summary(scores, partial=partial, started=f"{started:%Y-%m-%dT%H:%M:%SZ}", command=command, machine=_machine())
        store.write(self.folder / SUMMARY, msgspec.json.format(msgspec.json.encode(found), indent=1))
        return found

    def _scores(self, rows: Sequence[Row]) -> Iterator[Score]:
        left_s = sum(self.effort.expected_s(row) for row in rows)
        for count, row in enumerate(rows, 1):
            self.say(f"[{count}/{len(rows)}] {row.name}: {row.arm}, {' + '.join(row.truth) or 'A/A'}; at most {left_s / 60:.0f} min left")
            made = self._score(row)
            self.say(f"    {told(made)}")
            left_s -= self.effort.expected_s(row)
            yield made

    def _score(self, row: Row) -> Score:
        """Run, or read, one row; what goes wrong in the diagnosis is a miss, what cannot be run is told as such."""
        place = self.folder / row.name
        try:
            wanted = scenario(row, self.effort)
            done = self._done(row)
            known = place.exists() if self.again else done is not None and (done.scenario, done.busy) == (wanted, row.busy)
            if self.again and not known:
                return scoring.not_run(row, "was not recorded yet", str(place))
            if row.kind == "same":
                return scoring.same(row, self._verdict(row, wanted, known=known), str(place))
            diagnosis, leaks = self._diagnosed(row, wanted, done if known else None)
            return replace(scoring.score(row, diagnosis, str(place)), leaks=None if row.script else leaks)
        except LoopdiagError as fault:
            return scoring.not_run(row, "; ".join(fault.faults[:2]), str(place))
        except Exception as error:  # noqa: BLE001 - a row that breaks the diagnosis is a finding of the self-test
            return scoring.broken(row, f"{type(error).__name__}: {error}".splitlines()[0], str(place))

    def _diagnosed(self, row: Row, wanted: Scenario, done: Done | None) -> tuple[Diagnosis, bool]:
        """The row's diagnosis, and whether its causes read what was planted."""
        place = self.folder / row.name
        if done is not None and not self.again:
            return msgspec.json.decode((place / "diagnosis.json").read_bytes(), type=Diagnosis), done.leaks
        if self.again:
            document = self.steps.again(place)
            return document.diagnosis, not row.script and self.steps.leaks(place, document)
        self._clear(row)
        with busy_core(wanted=row.busy):
            document = self.steps.run(wanted, place)
        leaks = not row.script and self.steps.leaks(place, document)  # nothing is planted where a program could look
        self._mark(row, Done(scenario=wanted, busy=row.busy, leaks=leaks))
        return document.diagnosis, leaks

    def _verdict(self, row: Row, wanted: Scenario, *, known: bool) -> Verdict:
        place = self.folder / row.name
        if not known:
            self._clear(row)
            with busy_core(wanted=row.busy):
                self.steps.pair(wanted, place)
            self._mark(row, Done(scenario=wanted, busy=row.busy))
        return self.steps.verdict(place)

    # -- what was done

    def _marker(self, row: Row) -> Path:
        return self.folder / f"{row.name}.done.json"

    def _mark(self, row: Row, done: Done) -> None:
        store.write(self._marker(row), msgspec.json.encode(done))

    def _done(self, row: Row) -> Done | None:
        """What was run of the row before; None where nothing was, or by a version that we cannot read."""
        try:
            return msgspec.json.decode(self._marker(row).read_bytes(), type=Done)
        except (OSError, msgspec.DecodeError):
            return None

    def _clear(self, row: Row) -> None:
        """Remove what an earlier, unfinished or different run of the row has left."""
        self._marker(row).unlink(missing_ok=True)
        if (place := self.folder / row.name).exists():
            shutil.rmtree(place)


def _machine() -> str:
    from loopdiag.lab.environment import environment

    here = environment()
    return f"{here.cpu}, {here.cores} cores, {here.system}, {here.python}"
