"""How one row is run for real: a run like any other, or a pair of arms that are the same."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from loopdiag.errors import NothingMeasured
from loopdiag.model.diagnosis import Verdict
from loopdiag.model.document import Document
from loopdiag.model.scenario import Plant, Scenario, Service
from loopdiag.selftest.program_run import served

SIDES = ("base", "same")

#: computes until whoever started it is gone
SPIN = """
import os, sys
core, parent = int(sys.argv[1]), int(sys.argv[2])
if core >= 0:
    os.sched_setaffinity(0, {core})
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


class Steps(Protocol):
    """What the campaign does with a row; tests put their own in."""

    def run(self, scenario: Scenario, folder: Path) -> Document:
        """Record, diagnose and, where the scenario says so, verify."""

    def again(self, folder: Path) -> Document:
        """Diagnose what was recorded, and run nothing."""

    def leaks(self, folder: Path, document: Document) -> bool:
        """Whether the causes would be others if the scenario did not tell what was planted."""

    def pair(self, scenario: Scenario, folder: Path) -> None:
        """Run the scenario against itself."""

    def verdict(self, folder: Path) -> Verdict:
        """What is said of such a pair."""


@dataclass(frozen=True)
class Real:
    """The pipeline."""

    def run(self, scenario: Scenario, folder: Path) -> Document:
        """Record, diagnose and, where the scenario says so, verify.

        Raises:
            KeyboardInterrupt: somebody asked for the end.
        """
        if scenario.program is None:
            return self._run(scenario, folder)
        with served(scenario) as program:
            return self._run(program, folder)

    def _run(self, scenario: Scenario, folder: Path) -> Document:
        from loopdiag import pipeline
        from loopdiag.verify import record as verified

        pipeline.record(scenario, folder)
        document = pipeline.diagnose(folder)
        if document.recording.interrupted:
            raise KeyboardInterrupt
        pipeline.require_usable(document, folder)
        if scenario.verify.enabled:
            document = pipeline.verify(folder, document)
            if (tried := verified.load(folder)) is not None and tried.interrupted:
                raise KeyboardInterrupt
        return document

    def again(self, folder: Path) -> Document:
        """Diagnose what was recorded, and run nothing."""
        from loopdiag import pipeline

        return pipeline.diagnose(folder)

    def leaks(self, folder: Path, document: Document) -> bool:
        """Whether the causes would be others if the scenario did not tell what was planted.

        Interventions have to read it, because they take it out; causes that did would find what they were told.
        """
        from loopdiag.causes.judging import judge
        from loopdiag.verify.judged import analysed

        made = analysed(folder, document)
        return any(
            [claim.cause for claim in judge(evidence).found]
            != [claim.cause for claim in judge(changed(evidence, scenario=hidden(evidence.scenario))).found]
            for evidence in made.evidence.values()
        )

    def pair(self, scenario: Scenario, folder: Path) -> None:
        """Run the scenario against itself, interleaved.

        Raises:
            KeyboardInterrupt: somebody asked for the end.
        """
        from loopdiag.lab import campaign, store
        from loopdiag.lab.environment import environment
        from loopdiag.lab.pairs import Rounds, Side, alone, run_pairs

        ns = tuple(scenario.sweep.n[i] for i in (0, len(scenario.sweep.n) // 2, -1))
        side, here, now = alone(scenario, ns), environment(scenario), datetime.now(UTC)
        sides = [Side(side, store.Store.create(folder / name, campaign.blank(side, here, now))) for name in SIDES]
        expected = dict.fromkeys(ns, 1.0)
        rounds = Rounds(ns=ns, budget_s=scenario.sweep.budget_s, expected_s=(expected, expected), enough=lambda _: False)
        made = run_pairs(sides, rounds, environment=here)
        if any(recording.interrupted for recording in made):
            raise KeyboardInterrupt

    def verdict(self, folder: Path) -> Verdict:
        """What is said of the difference between the two.

        Raises:
            NothingMeasured: too little came out.
            InputError: nothing was recorded.
        """
        from loopdiag.analysis.effects import effect
        from loopdiag.lab import store
        from loopdiag.lab.pairs import paired

        base, other = paired(*(store.load(folder / name) for name in SIDES))
        found = effect(base, other)
        if found is None:
            raise NothingMeasured(f"too little was measured to compare the sides in {folder}")
        return found.verdict


def hidden(scenario: Scenario) -> Scenario:
    """The scenario as somebody would know it who does not know what was planted into the workload and how the server serves."""
    workload, target = replace(scenario.workload, plant=Plant()), replace(scenario.target, service=Service())
    return replace(scenario, workload=workload, target=target)


@contextmanager
def busy_core(*, wanted: bool) -> Iterator[None]:
    """Have another process compute on the client's core meanwhile, where that is wanted."""
    if not wanted:
        yield
        return
    from loopdiag.lab.environment import client_and_server_cores

    client, _ = client_and_server_cores()
    spinning = subprocess.Popen([sys.executable, "-c", SPIN, str(client[0] if client else -1), str(os.getpid())])
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()
