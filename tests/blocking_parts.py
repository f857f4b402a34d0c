"""What the tests of a program's own instruments share: a program in a file of its own, run as a user's program is, and what its instruments left."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loopdiag.analysis.timelines import resolve
from loopdiag.lab import columns
from loopdiag.lab.injection import injected_environment
from loopdiag.model.events import PHASES, legal
from loopdiag.model.program import LIBRARIES
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm
from loopdiag.model.timeline import Attempt, Timeline

MS = 1_000_000

#: Pythons that are installed beside this one, by their names; where there are none, this one is tested alone
PYTHONS = {
    found.name: str(found)
    for minor in range(10, 15)
    for found in sorted(Path(sys.base_prefix).parent.glob(f"3.{minor}*/bin/python3.{minor}"))[:1]
} or {"this": sys.executable}

#: after each program's own `main`: on the loop that was asked for
ON_LOOP = """
if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@dataclass
class Seen:
    """What one process of a program left."""

    output: str
    tables: dict[str, np.ndarray[Any, Any]]
    account: dict[str, Any]
    line: Timeline

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All of them, in the order in which they began."""
        return self.line.attempts

    def rows(self, table: str) -> "np.ndarray[Any, Any]":
        """A table without its sink; empty where nothing was written."""
        return self.tables[table][1:] if table in self.tables else np.zeros(0)

    def at(self, attempt: Attempt, stamp: str) -> int:
        """A stamp in nanoseconds of ``perf_counter_ns``."""
        return attempt.stamps[stamp] + self.line.t0_ns

    def text(self, place: int) -> str:
        """The line of the program at a place."""
        return str(self.account["places"][place][3])

    def made(self, what: str) -> list[tuple[str, int]]:
        """Line and count of everything of a kind that was made."""
        return [(self.text(each["place"]), each["count"]) for each in self.account["made"] if each["what"] == what]

    def makers(self) -> list[tuple[str, str]]:
        """Library and line of each request."""
        return [(LIBRARIES[row["library"]], self.text(row["place"])) for row in self.rows("requests")]


def run(folder: Path, program: str, *args: str, python: str = sys.executable) -> Seen:
    """Run `program` as a user's own, in the timeline tier, and read what its process left."""
    folder.mkdir(parents=True, exist_ok=True)
    script, trial = folder / "client.py", folder / "trial"
    script.write_text(program)
    trial.mkdir()
    env = {**injected_environment(os.environ, trial), "LOOPDIAG_PROGRAM": "1", "LOOPDIAG_TIER": "timeline"}
    ended = subprocess.run([python, str(script), *args], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    (process,) = (each for each in trial.iterdir() if (each / "instruments.json").exists())
    account = json.loads((process / "instruments.json").read_text())
    tables = columns.load(process)
    since = min((int(row["t0"]) for name in ("attempts", "stalls") if name in tables for row in tables[name][1:]), default=1)
    spec = TrialSpec(id="t", arm=Arm(client="program", loop="own"), n=1, tier="timeline", repetition=0, seed=1)
    result = TrialResult(spec=spec, status="ok", t0_ns=since - MS, not_observed=account["not_observed"])
    return Seen(ended.stdout, tables, account, resolve(tables, result))


def assert_legal(attempt: Attempt) -> None:
    """The stamps come in an order that a life may have, and its phases are known ones."""
    names = list(attempt.stamps)
    order = sorted((at, names.index(name), name) for name, at in attempt.stamps.items())
    assert legal([name for *_, name in order]) is None, order
    assert {phase.name for phase in attempt.phases} <= set(PHASES)
