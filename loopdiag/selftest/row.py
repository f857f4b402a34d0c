"""One row of the self-test: a scenario in which we know what makes T grow, because we put it there."""

from pathlib import Path
from typing import Literal

from loopdiag.model.scenario import Scenario
from loopdiag.model.value import Value
from loopdiag.selftest.program_run import CARRIER, programmed

Kind = Literal["single", "pair", "control", "same", "program", "healthy program"]

SMALL = (10, 20, 40, 80, 160)
EIGHTS = (8, 16, 32, 64, 128)
FEW = (5, 10, 20, 30, 48)  # httpx with all at once: beyond it, the pool's own scan outgrows what is planted
FLAT = (5, 10, 20, 30, 40)  # of requests that take long: a trial lasts as long as one of them
MANY = (50, 100, 200, 400, 600)

BUDGET_S, VERIFY_S = 14.0, 12.0
CODE_BUDGET_S = 22.0  # where code is the cause: profiles have a part of the budget, and need several values of N
QUICK = 0.45  # of the budget of measuring
ANALYSIS_S = 2.0
LEAST_BUDGET_S = 3.0  # below it, no sweep of five values of N is measured even once


class Row(Value, frozen=True, kw_only=True):
    """A plant and its truth.

    `truth` names the causes that were planted: one of a single or a program, two of a pair, of a control or a healthy program none or what
    honestly makes it grow.  `accept` names what is right, too, as a first answer, or no false alarm in a control; `why` says what makes it so.
    A program has a `script`, and `arm` is the client and the loop that it is seen to use.
    """

    name: str
    kind: Kind
    truth: tuple[str, ...]
    arm: str
    n: tuple[int, ...]
    keys: tuple[str, ...]  # lines of the scenario's TOML
    why: str
    accept: tuple[str, ...] = ()
    planted_ms: float | None = None  # single: of the slope, exactly so much per request is the plant's
    busy: bool = False  # another process spins on the client's core while the row is measured
    budget_s: float = BUDGET_S
    verify_s: float = VERIFY_S
    verified: bool = True  # its causes are verified, where anything is
    script: str = ""  # of a program: its name in the folder of scripts
    arguments: tuple[str, ...] = ()  # of the script; {n}, {url} and {ca} are filled in

    @property
    def right(self) -> tuple[str, ...]:
        """What may be named first."""
        return (*self.truth, *self.accept)


class Effort(Value, frozen=True, kw_only=True):
    """How much is spent on a row; `scale` stretches every budget, `verified` names the causes to verify (None: all)."""

    quick: bool = False
    verify: bool = True
    scale: float = 1.0
    seed: int = 1
    verified: tuple[str, ...] | None = None

    def verifies(self, row: Row) -> bool:
        """Whether the row's causes are verified."""
        if self.quick and row.script:
            return False  # a user's program takes longer to be run
        return self.verify and row.verified and (self.verified is None or any(cause in self.verified for cause in row.truth))

    def budget_s(self, row: Row) -> float:
        """Of measuring one row."""
        return max(LEAST_BUDGET_S, round(row.budget_s * (QUICK if self.quick else 1.0) * self.scale, 1))

    def verify_s(self, row: Row) -> float:
        """Of verifying one row."""
        return max(LEAST_BUDGET_S, round(row.verify_s * self.scale, 1)) if self.verifies(row) else 0.0

    def expected_s(self, row: Row) -> float:
        """What the row will take at most, its analysis included."""
        return self.budget_s(row) + self.verify_s(row) + ANALYSIS_S


def scenario(row: Row, effort: Effort) -> Scenario:
    """The row's scenario.

    Raises:
        InputError: it cannot run here: a client is missing, or a key is not known.
    """
    from loopdiag.lab.scenario_file import parse_scenario

    made = parse_scenario(toml(row, effort), source=row.name, folder=Path(), default_name=row.name)
    return programmed(made, row.script, row.arguments) if row.script else made


def toml(row: Row, effort: Effort) -> str:
    """The same as a scenario file."""
    lines = (
        f"# {row.why}",
        f'arms = ["{CARRIER if row.script else row.arm}"]',
        f"sweep.n = {list(row.n)}",
        f"sweep.budget_s = {effort.budget_s(row):g}",
        f"sweep.seed = {effort.seed}",
        "sweep.precision = 0.08",
        f"sweep.repetitions = {2 if effort.quick else 3}",
        "sweep.warmups = 0",  # one row after the other: files and cores are warm
        "profile.calls = false",
        f"verify.enabled = {str(effort.verifies(row)).lower()}",
        *((f"verify.budget_s = {effort.verify_s(row):g}", "verify.values = 3") if effort.verifies(row) else ()),
        *row.keys,
    )
    return "\n".join(lines) + "\n"
