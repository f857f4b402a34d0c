"""What `loopdiag selftest` does, but for printing."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from loopdiag.errors import InputError
from loopdiag.lab import store
from loopdiag.selftest.campaign import MATRIX, Campaign, Say, silent
from loopdiag.selftest.matrix import render
from loopdiag.selftest.plants import chosen
from loopdiag.selftest.rates import Summary
from loopdiag.selftest.row import Effort, Row
from loopdiag.selftest.steps import Real, Steps

#: causes that a quick run verifies: a limit, and CPU
QUICK_VERIFIED = ("client_pool_limit", "cpu_in_loop")

STEPS: Steps = Real()


def selftest(  # noqa: PLR0913 - the options of the command line
    *,
    out: Path | None = None,
    quick: bool = False,
    only: str | None = None,
    budget: str | None = None,
    verify: bool = True,
    again: bool = False,
    seed: int = 1,
    say: Say = silent,
) -> tuple[Summary, str, Path]:
    """Run the rows that are asked for.

    Args:
        out: the campaign's folder; None: a new one under ``reports/``.
        quick: one variant of each cause, and little verified.
        only: a pattern of names, see `plants.chosen`.
        budget: for all rows together, as ``30m``; None: what the rows are given.
        verify: whether causes are verified; of a quick run, only some.
        again: what is recorded in `out` is diagnosed again, and nothing is run.
        seed: of plans and servers.
        say: takes a line of progress.

    Returns:
        The summary, the same as text, and the folder.

    Raises:
        InputError: an option is wrong, or the folder cannot be written.
        NothingMeasured: not one row could be run.
    """
    if again and out is None:
        raise InputError("--again: --out DIR is missing: the folder of an earlier self-test")
    rows = chosen(quick=quick, only=only)
    effort = Effort(quick=quick, verify=verify, seed=seed, verified=QUICK_VERIFIED if quick else None)
    if budget is not None:
        effort = Effort(quick=quick, verify=verify, seed=seed, verified=effort.verified, scale=_scale(budget, effort, rows))
    folder = out if out is not None else store.default_folder("selftest", datetime.now(UTC))
    made = Campaign(folder, effort, again=again, steps=STEPS, say=say).through(rows, command=_command())
    text = render(made)
    store.write(folder / MATRIX, text)
    return made, text, folder


def _scale(budget: str, effort: Effort, rows: tuple[Row, ...]) -> float:
    """By what every row's budgets are stretched, so that all rows together take as long as is asked."""
    from loopdiag.lab.scenario_overrides import budget_seconds

    return budget_seconds(budget) / sum(effort.expected_s(row) for row in rows)


def _command() -> str:
    return " ".join(["loopdiag", *sys.argv[1:]])
